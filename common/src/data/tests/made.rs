//! Small data sets, made here.

use super::super::*;
use super::*;
use crate::config::{
    FolderConfig, GlyphsConfig, IdxConfig, ImageOptions, OmniglotConfig, OmniglotSplit,
    SinusoidConfig,
};
use crate::ids::Split;

fn names(pack: &Pack, split: Split) -> Vec<&str> {
    pack.classes(split).iter().map(|class| class.name()).collect()
}

fn prepared(config: &DataConfig) -> Arc<Pack> {
    let cache = tempfile::tempdir().unwrap();
    prepare(config, cache.path()).unwrap().unwrap()
}

#[test]
fn functions_have_no_pack() {
    let cache = tempfile::tempdir().unwrap();
    let config = DataConfig::Sinusoid(SinusoidConfig::default());
    assert!(prepare(&config, cache.path()).unwrap().is_none());
}

#[test]
fn a_data_set_is_prepared_once_and_again_where_it_changes() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for class in ["a", "b", "c", "d"] {
        write(&data.path().join(class).join("1.png"), &png(8, 10));
    }
    let config = DataConfig::Folder(folder(data.path()));
    let packs = || fs::read_dir(cache.path()).unwrap().count();
    let first = prepare(&config, cache.path()).unwrap().unwrap();
    let files = packs();
    assert_eq!(prepare(&config, cache.path()).unwrap().unwrap().digest(), first.digest());
    assert_eq!(packs(), files);
    // A pack that is damaged or gone is made again.
    let path = crate::pack::path_in(cache.path(), first.digest());
    fs::remove_file(&path).unwrap();
    assert_eq!(prepare(&config, cache.path()).unwrap().unwrap().digest(), first.digest());
    write(&data.path().join("d").join("2.png"), &png(8, 20));
    assert_ne!(prepare(&config, cache.path()).unwrap().unwrap().digest(), first.digest());
}

#[test]
fn a_folders_own_split_is_kept() {
    let data = tempfile::tempdir().unwrap();
    for (place, shade) in [("train/a", 1), ("train/b", 2), ("val/c", 3), ("test/d", 4)] {
        write(&data.path().join(place).join("1.png"), &png(4, shade));
        write(&data.path().join(place).join("2.PNG"), &png(4, shade + 100));
        write(&data.path().join(place).join("notes.txt"), b"no image");
    }
    let pack = prepared(&DataConfig::Folder(folder(data.path())));
    assert_eq!(names(&pack, Split::Train), ["a", "b"]);
    assert_eq!(names(&pack, Split::Validation), ["c"]);
    let d = &pack.classes(Split::Test)[0];
    assert_eq!((d.name(), d.images()), ("d", 2));
    assert_eq!(pack.image(d, 1), [104; 16]);
}

#[test]
fn lists_of_images_are_mini_imagenets() {
    let data = tempfile::tempdir().unwrap();
    for (place, shade) in
        [("images/1.png", 1), ("images/2.png", 2), ("3.png", 3), ("4.png", 4), ("n04/5.png", 5)]
    {
        write(&data.path().join(place), &png(4, shade));
    }
    for (list, lines) in [
        ("train.csv", "filename,label\r\n2.png,n02\r\n3.png,n01\r\n1.png,n02\r\n"),
        ("val.csv", "\u{feff}filename,label\n4.png, n03\n"),
        ("test.csv", "n04/5.png,n04\n\n"),
    ] {
        write(&data.path().join(list), lines.as_bytes());
    }
    let config = DataConfig::Folder(folder(data.path()));
    let pack = prepared(&config);
    assert_eq!(names(&pack, Split::Train), ["n01", "n02"]);
    assert_eq!(names(&pack, Split::Validation), ["n03"]);
    assert_eq!(names(&pack, Split::Test), ["n04"]);
    let n02 = &pack.classes(Split::Train)[1];
    assert_eq!([pack.image(n02, 0)[0], pack.image(n02, 1)[0]], [2, 1], "as listed");
    // A list that changes makes another pack.
    write(&data.path().join("test.csv"), b"n04/5.png,n05\n");
    assert_ne!(prepared(&config).digest(), pack.digest());
}

#[test]
fn lists_of_classes_are_cifar_fss() {
    let (data, lists) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (class, shade) in [("apple", 1), ("bear", 2), ("cup", 3), ("unlisted", 4)] {
        write(&data.path().join(class).join("1.png"), &png(4, shade));
    }
    for (list, class) in [("train.txt", "cup"), ("val.txt", "apple"), ("test.txt", "bear\n")] {
        write(&lists.path().join(list), class.as_bytes());
    }
    let lists = lists.path().to_owned();
    let pack = prepared(&DataConfig::Folder(FolderConfig { lists, ..folder(data.path()) }));
    assert_eq!(Split::ALL.map(|split| names(&pack, split)), [["cup"], ["apple"], ["bear"]]);
}

#[test]
fn a_folder_without_a_split_is_split_by_its_seed() {
    let data = tempfile::tempdir().unwrap();
    for class in 0..8 {
        write(&data.path().join(format!("c{class}/1.png")), &png(5, class));
    }
    let config = FolderConfig { invert: true, colour: true, ..folder(data.path()) };
    let pack = prepared(&DataConfig::Folder(config));
    let counts = Split::ALL.map(|split| pack.classes(split).len());
    assert_eq!(counts, [4, 2, 2]);
    let first = &pack.classes(Split::Train)[0];
    let shade = 255 - first.name()[1..].parse::<u8>().unwrap();
    assert_eq!(pack.image(first, 0), [shade; 4 * 4 * 3]);
}

#[test]
fn omniglot_is_the_same_unpacked_as_in_zips() {
    let (zips, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (set, alphabets) in [("images_background", ["A", "B"]), ("images_evaluation", ["C", "D"])] {
        let names = alphabets.map(|alphabet| format!("{set}/{alphabet}/character01/0001_01.png"));
        let files = [(names[0].as_str(), png(105, 255)), (names[1].as_str(), png(105, 0))];
        write(&zips.path().join(format!("python/{set}.zip")), &zip(&files));
        for (name, bytes) in &files {
            write(&folders.path().join(name), bytes);
        }
    }
    let config = |path: &Path| {
        DataConfig::Omniglot(OmniglotConfig {
            path: path.to_owned(),
            split: OmniglotSplit::Lake { validation_alphabets: 1 },
            images: ImageOptions::default(),
        })
    };
    let pack = prepared(&config(zips.path()));
    assert_eq!(pack.digest(), prepared(&config(folders.path())).digest());
    assert_eq!(names(&pack, Split::Train), ["A/character01"]);
    assert_eq!(names(&pack, Split::Validation), ["B/character01"]);
    assert_eq!(names(&pack, Split::Test), ["C/character01", "D/character01"]);
    // White paper is 0, black ink 255.
    assert_eq!(pack.image(&pack.classes(Split::Train)[0], 0), [0; 784]);
    assert_eq!(pack.image(&pack.classes(Split::Validation)[0], 0), [255; 784]);
}

#[test]
fn idx_labels_may_be_of_32_bits() {
    let data = tempfile::tempdir().unwrap();
    let (images_path, labels_path) = (data.path().join("images"), data.path().join("labels"));
    write(&images_path, &idx(0x08, &[3, 1, 2], &[1, 2, 3, 4, 5, 6]));
    write(&labels_path, &idx(0x0c, &[3], &[0, 0, 1, 44, 0, 0, 0, 7, 0, 0, 1, 44]));
    let images = ImageOptions { image_size: 2, rotations: false };
    let config =
        IdxConfig { images_path, labels_path, held_out: [0.0, 1.0], split_seed: 0, images };
    let pack = prepared(&DataConfig::Idx(config));
    assert_eq!(names(&pack, Split::Test), ["7", "300"]);
    assert_eq!(pack.classes(Split::Test)[1].images(), 2);
}

#[test]
fn glyphs_of_any_size_are_drawn() {
    let images = ImageOptions { image_size: 40, rotations: false };
    let config = GlyphsConfig { classes: [2, 0, 1], images_per_class: 3, seed: 1, images };
    let pack = prepared(&DataConfig::Glyphs(config));
    assert_eq!(names(&pack, Split::Test), ["character0002"]);
    assert_eq!(pack.image(&pack.classes(Split::Test)[0], 2).len(), 1600);
}
