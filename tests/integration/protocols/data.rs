//! A data set, before anything is trained on it.

use std::path::Path;

use lyceum_common::ids::Digest;

use super::made::{idx, picture, save, train};
use crate::command::{object, printed, refused};

/// What `about` says in the row `name`.
fn value<'a>(about: &'a str, name: &str) -> &'a str {
    let row = about.lines().find(|line| line.split_whitespace().next() == Some(name));
    row.unwrap_or_else(|| panic!("no {name}: {about}"))[name.len()..].trim()
}

/// How many packs are in the cache.
fn packs(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder.join("cache")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "pack")).count()
}

#[test]
fn a_data_set_is_prepared_for_the_run_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let changes = ["data.glyphs.classes=[12, 6, 5]", "data.glyphs.images.image_size=16"];
    let data = ["data", "glyphs-maml", "--set", changes[0], "--set", changes[1]];
    let about = printed(folder, &data);
    assert_eq!(value(&about, "data"), "glyphs");
    assert_eq!(value(&about, "images"), "16 × 16, grey");
    assert_eq!(value(&about, "train"), "12 classes, 240 images, 20 a class");
    assert_eq!(value(&about, "validation"), "6 classes, 120 images, 20 a class");
    assert_eq!(value(&about, "test"), "5 classes, 100 images, 20 a class");
    assert!(!about.contains("rotations"), "{about}");
    let pack = std::fs::read(value(&about, "file")).unwrap();
    assert_eq!(value(&about, "digest"), Digest::of(&pack).to_string());
    assert_eq!(value(&about, "bytes"), pack.len().to_string());
    let object = object(folder, &data);
    assert_eq!(object["digest"], value(&about, "digest"));
    assert_eq!(object["example"], serde_json::json!([16, 16, 1]));
    assert_eq!(object["splits"]["test"], serde_json::json!({ "classes": 5, "images": 100 }));

    assert_eq!(packs(folder), 1);
    train(folder, &[], &changes);
    assert_eq!(packs(folder), 1, "a run draws from the very same");
}

#[test]
fn files_are_read_and_turned_classes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    idx(&folder.join("digits"));
    let data = "data={ idx = { images_path = 'digits/images.idx', labels_path = 'digits/labels.idx', held_out = [0.34, 0.34], images = { rotations = true } } }";
    let about = printed(folder, &["data", "glyphs-maml", "--set", data]);
    assert_eq!(value(&about, "data"), "idx");
    for split in ["train", "validation", "test"] {
        assert_eq!(value(&about, split), "2 classes, 10 images, 5 a class");
    }
    assert!(value(&about, "rotations").contains("four times"), "{about}");
}

#[test]
fn where_nothing_can_be_prepared_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (preset, kind) in
        [("sinusoid-maml", "sinusoid"), ("quadratics-learned-optimizer", "quadratics")]
    {
        let said = printed(folder, &["data", preset]);
        assert_eq!(said, format!("data.{kind} is made up on the way: nothing is to be prepared"));
    }
    refused(folder, &["data", "omniglot-maml-5w1s"], &["data.omniglot.path", "--data"]);
    let expected = ["data.omniglot.path", "--data", "images_background", "nowhere: "];
    refused(folder, &["data", "omniglot-maml-5w1s", "--data", "nowhere"], &expected);
    let folder_key = ["data", "glyphs-maml", "--set", "data.folder.path=nope"];
    refused(folder, &folder_key, &["data.folder.path", "--data", "class folders", "nope: "]);
}

#[test]
fn too_few_classes_are_told_with_what_divides_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for class in 0..10 {
        for image in 0..4 {
            save(&picture(class), &folder.join(format!("images/class{class}/{image}.png")));
        }
    }
    let few =
        "episode.evaluation_ways (else episode.ways): 5, and the validation split has 1 classes; ";
    let train = ["train", "--set", "data.folder.path=images"];
    refused(folder, &train, &[few, "`lyceum data`", "data.folder.held_out"]);
}
