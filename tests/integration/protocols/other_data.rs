//! Data under another name, at another place, and other data: what is the run's own, and what is not.

use std::path::Path;

use super::made::{picture, save, train};
use crate::command::{lyceum, object, printed, refused};

/// A folder of images: train, val and test with three classes each, six alike drawings a class, of pictures from `first` on.
fn images(folder: &Path, first: u32) {
    for (s, split) in (0..).zip(["train", "val", "test"]) {
        for class in 0..3 {
            for image in 0..6 {
                let name = format!("{split}/class{class}/{image}.png");
                save(&picture(first + s * 3001 + class * 701), &folder.join(name));
            }
        }
    }
}

#[test]
fn other_images_are_not_taken_for_those_of_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(&folder.join("here"), 11);
    images(&folder.join("moved"), 11);
    images(&folder.join("others"), 5);
    let data = "data={ folder = { path = 'here', images = { image_size = 16 } } }";
    let mut changes = vec![data, "learner.prototypical={}", "episode.ways=3", "name=proto"];
    changes.push("network.conv4.downsample=max_pool");
    train(folder, &[], &changes);
    let rows = || printed(folder, &["report", "proto"]).matches("another data set, pack ").count();
    let evaluate = ["evaluate", "proto", "--episodes", "7", "--data"];
    printed(folder, &[&evaluate[..], &["moved"]].concat());
    assert_eq!(rows(), 0, "the same images elsewhere");
    printed(folder, &[&evaluate[..], &["others"]].concat());
    assert_eq!(rows(), 1, "other images");

    // Two models on such images are on no data of their own either.
    let second = "name=second";
    train(folder, &[], &[&changes[..], &[second, "seed=1"]].concat());
    let compare = ["compare", "proto", "second", "--episodes", "5", "--data"];
    printed(folder, &[&compare[..], &["moved"]].concat());
    assert_eq!(rows(), 1, "the same images elsewhere");
    let compared = lyceum(folder, &[&compare[..], &["others"]].concat()).output().unwrap();
    let told = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{told}");
    for run in ["runs/proto: ", "runs/second: "] {
        assert!(told.contains(&format!("{run}was trained on the data pack ")), "{told}");
    }
    assert_eq!(rows(), 2, "compared on other images");

    changes[0] = "data={ folder = { path = 'others', images = { image_size = 16 } } }";
    train(folder, &[], &[&changes[..], &["name=elsewhere"]].concat());
    let other = ["compare", "proto", "elsewhere", "--episodes", "5", "--data", "here"];
    refused(
        folder,
        &other,
        &["proto", "elsewhere", "were trained on different data", "data.folder"],
    );
}

#[test]
fn the_runs_own_data_is_its_own_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(&folder.join("here"), 11);
    let data = "[data.folder]\npath = \"here\"\nimages.image_size = 16\n";
    std::fs::write(folder.join("mine.toml"), data).unwrap();
    let turned = data.to_owned() + "images.rotations = true\n";
    std::fs::write(folder.join("turned.toml"), turned).unwrap();
    let mut changes = vec![
        "data={ folder = { path = 'here', images = { image_size = 16 } } }",
        "learner.prototypical={}",
        "episode.ways=3",
        "name=proto",
        "network.conv4.downsample=max_pool",
    ];
    changes.push(
        "published=[{ data = 'folder', ways = 3, result = '98.8 %', citation = 'A et al. 2017', protocol = 'there' }]",
    );
    train(folder, &[], &changes);
    let evaluate = ["evaluate", "proto", "--episodes", "7"];
    let own = object(folder, &evaluate);
    let rows = || {
        let report = printed(folder, &["report", "proto"]);
        let rows = report.lines().filter(|line| line.contains("7 episodes"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = rows();
    let named = object(folder, &[&evaluate[..], &["--data-set", "mine.toml"]].concat());
    assert_eq!((&named["data"], &named["kept"]), (&"folder".into(), &own["kept"]));
    assert_eq!(rows(), before);
    assert!(before.len() == 1 && before[0].contains("98.8 %"), "{before:?}");
    // The same pack, with four classes for one.
    let turned = object(folder, &[&evaluate[..], &["--data-set", "turned.toml"]].concat());
    assert_eq!(turned["data"], "turned");
    assert_eq!(rows().len(), 2);
}

#[test]
fn functions_of_other_ranges_are_another_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let brief = ["training.meta_steps=3", "training.validate_every=0", "training.test_episodes=6"];
    let sets = brief.iter().flat_map(|&change| ["--set", change]);
    printed(folder, &["train", "sinusoid-maml"].into_iter().chain(sets).collect::<Vec<_>>());
    let data = |amplitude| format!("[data.sinusoid]\namplitude = {amplitude}\n");
    std::fs::write(folder.join("wide.toml"), data("[50.0, 60.0]")).unwrap();
    std::fs::write(folder.join("own.toml"), data("[0.1, 5.0]")).unwrap();
    let evaluate = ["evaluate", "sinusoid-maml", "--episodes", "9", "--data-set"];
    let loss = |file: &str| {
        let found = object(folder, &[&evaluate[..], &[file]].concat());
        (found["loss"].as_f64().unwrap(), found["data"].as_str().unwrap().to_owned())
    };
    let (wide, own) = (loss("wide.toml"), loss("own.toml"));
    assert!(wide.0 > 10.0 * own.0 && wide.1 == "wide" && own.1 == "sinusoid", "{wide:?} {own:?}");
    let report = printed(folder, &["report", "sinusoid-maml"]);
    assert_eq!(report.matches("another data set, wide").count(), 1, "{report}");
    refused(folder, &[&evaluate[..], &["glyphs-maml"]].concat(), &["--data-set", "28 × 28"]);
}
