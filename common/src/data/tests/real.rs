//! Published data, where it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::super::*;
use crate::config::{IdxConfig, ImageOptions, OmniglotConfig, OmniglotSplit};
use crate::ids::Split;

/// The folder of shared data: `LYCEUM_SHARED`, or the one beside the repository. None, said aloud, where there is none.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("LYCEUM_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    if folder.join("data").is_dir() {
        return Some(folder.join("data"));
    }
    assert!(std::env::var_os("LYCEUM_REQUIRE_SHARED").is_none(), "no data in {}", folder.display());
    println!("skipped: no data in {}", folder.display());
    None
}

fn omniglot(split: OmniglotSplit) -> Option<Arc<Pack>> {
    let path = shared()?.join("omniglot");
    let images = ImageOptions { image_size: 28, rotations: true };
    let cache = tempfile::tempdir().unwrap();
    let config = DataConfig::Omniglot(OmniglotConfig { path, split, images });
    let pack = prepare(&config, cache.path()).unwrap();
    // The second time, nothing is decoded: the pack is the one that the cache has.
    let again = prepare(&config, cache.path()).unwrap().unwrap();
    assert_eq!(pack.as_ref().unwrap().digest(), again.digest());
    pack
}

fn counts(pack: &Pack) -> [usize; 3] {
    Split::ALL.map(|split| pack.classes(split).len())
}

fn assert_twenty_drawers(pack: &Pack) {
    for split in Split::ALL {
        assert!(pack.classes(split).iter().all(|class| class.images() == 20));
    }
}

#[test]
fn vinyals_split_has_its_published_sizes() {
    let Some(shared) = shared() else { return };
    let lists = shared.join("omniglot/splits/vinyals");
    let pack = omniglot(OmniglotSplit::Vinyals { lists }).unwrap();
    assert_eq!(counts(&pack), [1028, 172, 423]);
    assert_twenty_drawers(&pack);
    // Ink is high, and most of a page is none.
    let bytes = pack.images(&pack.classes(Split::Train)[0]);
    let mean = bytes.iter().map(|&byte| f64::from(byte)).sum::<f64>() / bytes.len() as f64 / 255.0;
    assert!((0.02..0.3).contains(&mean), "{mean}");
}

#[test]
fn lakes_and_the_minimal_splits_test_on_the_evaluation_set() {
    let Some(lake) = omniglot(OmniglotSplit::Lake { validation_alphabets: 5 }) else { return };
    let [train, validation, test] = counts(&lake);
    assert_eq!((train + validation, test), (964, 659));
    assert_twenty_drawers(&lake);
    let small = omniglot(OmniglotSplit::Small1 { validation_alphabets: 1 }).unwrap();
    let [train, validation, test] = counts(&small);
    assert_eq!((train + validation, test), (136, 659));
    let small = omniglot(OmniglotSplit::Small2 { validation_alphabets: 1 }).unwrap();
    let [train, validation, test] = counts(&small);
    assert_eq!((train + validation, test), (156, 659));
}

/// Each of the runs' images is one of the evaluation set, prepared alike, and the two of a class are of one character: so
/// the answers agree with the folders of the set.
#[test]
fn the_answers_of_lakes_runs_are_the_characters_folders() {
    let Some(lake) = omniglot(OmniglotSplit::Lake { validation_alphabets: 0 }) else { return };
    let mut characters = BTreeMap::<&[u8], BTreeSet<&str>>::new();
    for class in lake.classes(Split::Test) {
        for image in 0..class.images() {
            characters.entry(lake.image(class, image)).or_default().insert(class.name());
        }
    }
    let runs = lake_runs(&shared().unwrap().join("omniglot"), 28).unwrap();
    let classes = runs.classes(Split::Test);
    assert_eq!(classes.len(), LAKE_RUNS * LAKE_WAYS);
    for run in classes.chunks(LAKE_WAYS) {
        let mut alphabets = BTreeSet::new();
        for class in run {
            let names = [0, 1].map(|image| characters.get(runs.image(class, image)));
            let [Some(training), Some(test)] = names else { panic!("{} is new", class.name()) };
            let name = training.intersection(test).next();
            let name = name.unwrap_or_else(|| panic!("{}: {training:?} {test:?}", class.name()));
            alphabets.insert(name.split_once('/').unwrap().0);
        }
        assert_eq!(alphabets.len(), 1, "a run is of one alphabet: {alphabets:?}");
    }
}

#[test]
fn a_random_split_is_over_all_characters() {
    let split = OmniglotSplit::Random { train: 1100, validation: 100, seed: 3 };
    let Some(pack) = omniglot(split) else { return };
    assert_eq!(counts(&pack), [1100, 100, 423]);
}

/// The SHA-256 of the lines `<SHA-256 of a PNG>  <path in the zip>`, PNGs sorted by path: what the data set's README
/// states, whatever zip the files are packed in.
#[test]
fn the_zips_content_is_the_published_one() {
    let Some(shared) = shared() else { return };
    for (set, images, sum) in [
        ("background", 19_280, "deaa02f758afda524b3a045c7af40311f2d9ded3e2a39f715ece8470d474bc6a"),
        ("evaluation", 13_180, "3d5e035f27423c362bf9a181af649b43cda64c1008f842177ddc5203269c901e"),
        (
            "background_small1",
            2_720,
            "60f597e6afbd744503202bad7a103e2d1834938ad4b7f6bd72969326c4446488",
        ),
        (
            "background_small2",
            3_120,
            "88099aaf6ee18da07127530ed1c2831fd42f0513581e26dd38aa78d92df57fe0",
        ),
    ] {
        let path = shared.join(format!("omniglot/python/images_{set}.zip"));
        let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        let names = zip.file_names().map(|name| name.unwrap().into_owned());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".png")).collect();
        names.sort_unstable();
        assert_eq!(names.len(), images, "{set}");
        let mut all = Sha256::new();
        for name in names {
            let mut png = Vec::new();
            zip.by_name(&name).unwrap().read_to_end(&mut png).unwrap();
            all.update(format!("{}  {name}\n", hexadecimal(&Sha256::digest(&png))));
        }
        assert_eq!(hexadecimal(&all.finalize()), sum, "{set}");
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn idx(images: &str, labels: &str) -> Option<Arc<Pack>> {
    let shared = shared()?;
    let config = DataConfig::Idx(IdxConfig {
        images_path: shared.join(images),
        labels_path: shared.join(labels),
        held_out: [0.1, 0.2],
        split_seed: 0,
        images: ImageOptions::default(),
    });
    let cache = tempfile::tempdir().unwrap();
    prepare(&config, cache.path()).unwrap()
}

#[test]
fn mnist_has_its_counts() {
    let Some(pack) = idx("mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz")
    else {
        return;
    };
    assert_eq!(counts(&pack), [7, 1, 2]);
    let mut images = Split::ALL
        .into_iter()
        .flat_map(|split| pack.classes(split))
        .map(|class| (class.name().to_owned(), class.images()))
        .collect::<Vec<_>>();
    images.sort();
    let images = images.into_iter().map(|(_, images)| images).collect::<Vec<_>>();
    assert_eq!(images, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
}

#[test]
fn quick_draw_has_more_labels_than_a_byte_holds() {
    let Some(pack) = idx(
        "quickdraw/quickdraw345-images-idx3-ubyte.gz",
        "quickdraw/quickdraw345-labels-idx1-int.gz",
    ) else {
        return;
    };
    assert_eq!(counts(&pack).iter().sum::<usize>(), 345);
    let every = Split::ALL.into_iter().flat_map(|split| pack.classes(split));
    assert!(every.into_iter().all(|class| class.images() == 100));
}
