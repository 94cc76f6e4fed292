//! Damaged and contradictory data sets: an error that names the culprit.

use super::super::tree::Tree;
use super::super::*;
use super::*;
use crate::config::{FolderConfig, IdxConfig, ImageOptions, OmniglotConfig, OmniglotSplit};
use crate::ids::Split;

/// The error of a data set that cannot be prepared; it must name `culprit`.
fn refused(config: &DataConfig, culprit: &str) -> DataError {
    let cache = tempfile::tempdir().unwrap();
    let error = prepare(config, cache.path()).unwrap_err();
    assert!(error.to_string().contains(culprit), "{error} does not name {culprit}");
    error
}

fn omniglot(path: &Path, split: OmniglotSplit) -> DataConfig {
    let images = ImageOptions { image_size: 4, rotations: false };
    DataConfig::Omniglot(OmniglotConfig { path: path.to_owned(), split, images })
}

const LAKE: OmniglotSplit = OmniglotSplit::Lake { validation_alphabets: 1 };

/// Omniglot in small: alphabets A and B in the background set, C in the evaluation set.
fn small_omniglot(root: &Path) {
    let background = [
        ("images_background/A/character01/1.png", png(8, 0)),
        ("images_background/B/character01/1.png", png(8, 0)),
    ];
    write(&root.join("images_background.zip"), &zip(&background));
    let evaluation = [("images_evaluation/C/character01/1.png", png(8, 0))];
    write(&root.join("images_evaluation.zip"), &zip(&evaluation));
}

#[test]
fn a_missing_zip_is_named() {
    let data = tempfile::tempdir().unwrap();
    let error = refused(&omniglot(data.path(), LAKE), "images_background.zip");
    assert!(matches!(error, DataError::Missing { .. }));
    small_omniglot(data.path());
    fs::remove_file(data.path().join("images_evaluation.zip")).unwrap();
    refused(&omniglot(data.path(), LAKE), "images_evaluation.zip");
}

#[test]
fn a_place_where_nothing_is_has_its_key_and_what_is_to_be_there() {
    let data = tempfile::tempdir().unwrap();
    let nope = data.path().join("nope");
    let nothing = |config: &DataConfig, expected: &[&str]| {
        let error = refused(config, "nope");
        assert!(matches!(error, DataError::Absent { .. }), "{error}");
        let error = error.to_string();
        assert!(expected.iter().all(|words| error.contains(words)), "{error}: {expected:?}");
    };
    let key = "data.omniglot.path (--data DIR): ";
    nothing(&omniglot(&nope, LAKE), &[key, "images_background and images_evaluation"]);
    small_omniglot(data.path());
    let split = OmniglotSplit::Vinyals { lists: nope.clone() };
    let key = "data.omniglot.split.vinyals.lists: ";
    nothing(&omniglot(data.path(), split), &[key, "train.txt, val.txt and test.txt", "split.lake"]);
    let images = ImageOptions::default();
    let folder = FolderConfig {
        path: nope.clone(),
        lists: "".into(),
        colour: false,
        invert: false,
        held_out: [0.1, 0.2],
        split_seed: 0,
        images: images.clone(),
    };
    nothing(&DataConfig::Folder(folder), &["data.folder.path (--data DIR): ", "class folders"]);
    let (images_path, labels_path) = (data.path().join("images"), nope);
    write(&images_path, b"there");
    let idx = IdxConfig { images_path, labels_path, held_out: [0.1, 0.2], split_seed: 0, images };
    nothing(&DataConfig::Idx(idx), &["data.idx.labels_path (--data DIR): ", "IDX file of labels"]);
}

#[test]
fn no_truncation_of_a_zip_goes_unnoticed() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    let path = data.path().join("images_background.zip");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&omniglot(data.path(), LAKE), "images_background.zip");
    }
}

#[test]
fn a_damaged_zip_does_not_make_us_panic() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    let path = data.path().join("images_background.zip");
    let whole = fs::read(&path).unwrap();
    let mut refusals = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x80;
        fs::write(&path, damaged).unwrap();
        let cache = tempfile::tempdir().unwrap();
        refusals += usize::from(prepare(&omniglot(data.path(), LAKE), cache.path()).is_err());
    }
    assert!(refusals > whole.len() / 4, "{refusals} of {}", whole.len());
}

#[test]
fn an_image_that_does_not_decode_is_named() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    let name = "images_evaluation/C/character01/1.png";
    write(&data.path().join("images_evaluation.zip"), &zip(&[(name, b"no image".to_vec())]));
    let error = refused(&omniglot(data.path(), LAKE), name);
    assert!(matches!(error, DataError::Image { .. }));
    assert!(error.to_string().contains("images_evaluation.zip"));
}

#[test]
fn a_class_without_images_is_named() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    let image = ("images_evaluation/C/character01/1.png", png(8, 0));
    let files = [image, ("images_evaluation/C/character02/", vec![])];
    write(&data.path().join("images_evaluation.zip"), &zip(&files));
    let error = refused(&omniglot(data.path(), LAKE), "C/character02");
    assert!(matches!(error, DataError::NoImages { .. }));
}

#[test]
fn splits_that_ask_for_too_much_are_refused() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    for split in [
        OmniglotSplit::Lake { validation_alphabets: 2 },
        OmniglotSplit::Random { train: 2, validation: 1, seed: 0 },
    ] {
        let error = refused(&omniglot(data.path(), split), "asked for");
        assert!(matches!(error, DataError::TooFew { .. }));
    }
}

#[test]
fn lists_are_checked_line_by_line() {
    let data = tempfile::tempdir().unwrap();
    small_omniglot(data.path());
    let lists = data.path().join("lists");
    let with = |train: &str, test: &str, culprit: &str| {
        write(&lists.join("train.txt"), train.as_bytes());
        write(&lists.join("val.txt"), b"B/character01/rot000\n");
        write(&lists.join("test.txt"), test.as_bytes());
        refused(&omniglot(data.path(), OmniglotSplit::Vinyals { lists: lists.clone() }), culprit)
    };
    let (a, c) = ("A/character01/rot000\nA/character01/rot090\n", "C/character01/rot270\n");
    let unknown = format!("{a}A/character77/rot000\n");
    let error = with(&unknown, c, "line 3: there is no character A/character77");
    assert!(matches!(error, DataError::Unknown { line: 3, .. }));
    let error = with(a, "A/character01/rot180\n", "in the train split already");
    assert!(matches!(error, DataError::TwoSplits { split: Split::Train, .. }));
    assert!(matches!(with("A/character01\n", c, "train.txt"), DataError::ListLine { line: 1, .. }));
    assert!(matches!(with("\n", c, "train.txt"), DataError::EmptySplit { .. }));
    fs::remove_file(lists.join("val.txt")).unwrap();
    refused(&omniglot(data.path(), OmniglotSplit::Vinyals { lists }), "val.txt");
}

#[test]
fn folders_without_classes_or_images_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let config = DataConfig::Folder(folder(data.path()));
    let unknown = refused(&config, "data.folder.path (--data DIR): ");
    assert!(matches!(unknown, DataError::NoKnownForm { .. }));
    for form in ["class folders", "train, val and test", "train.csv", ".txt"] {
        assert!(unknown.to_string().contains(form), "{unknown}");
    }
    fs::create_dir(data.path().join("empty")).unwrap();
    assert!(matches!(refused(&config, "empty"), DataError::NoImages { .. }));
    write(&data.path().join("train/a/1.png"), &png(8, 0));
    fs::create_dir(data.path().join("test")).unwrap();
    assert!(matches!(refused(&config, "test"), DataError::EmptySplit { split: Split::Test, .. }));
}

/// What editors and file managers leave in folders of images.
#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_or_round_in_circles_are_no_images() {
    use std::os::unix::fs::symlink;

    let data = tempfile::tempdir().unwrap();
    for class in ["train/a", "val/b", "test/c"] {
        let folder = data.path().join(class);
        write(&folder.join("1.png"), &png(8, 0));
        symlink("somebody@nowhere.1234", folder.join(".#1.png")).unwrap();
        symlink("somebody@nowhere.1234", folder.join("notes.txt")).unwrap();
        symlink("..", folder.join("up")).unwrap();
    }
    let config = DataConfig::Folder(folder(data.path()));
    let cache = tempfile::tempdir().unwrap();
    let pack = prepare(&config, cache.path()).unwrap().unwrap();
    assert_eq!(Split::ALL.map(|split| pack.classes(split).len()), [1; 3]);
    // An image's name says that one is there.
    symlink("nowhere", data.path().join("train/a/2.png")).unwrap();
    refused(&config, "train/a/2.png");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_refused_and_not_passed_over() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let name = |bytes| OsStr::from_bytes(bytes);
    for (class, image) in [(name(b"caf\xe9"), name(b"1.png")), (name(b"a"), name(b"caf\xe9.png"))] {
        let data = tempfile::tempdir().unwrap();
        write(&data.path().join(class).join(image), &png(8, 0));
        let error = refused(&DataConfig::Folder(folder(data.path())), "caf\u{fffd}");
        assert!(matches!(error, DataError::NotUtf8 { .. }), "{error}");
        let own = OwnImages::like(&DataConfig::Folder(folder(data.path()))).unwrap();
        assert!(matches!(own.classes(data.path()), Err(DataError::NotUtf8 { .. })));
    }
    let data = tempfile::tempdir().unwrap();
    write(&data.path().join("a/1.png"), &png(8, 0));
    write(&data.path().join("a").join(name(b"caf\xe9.txt")), b"no image");
    assert_eq!(Tree::Folder(data.path().to_owned()).inputs(1).unwrap().len(), 1);
}

#[test]
fn lists_of_a_folder_are_checked_line_by_line() {
    let (data, lists) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&data.path().join("a/1.png"), &png(8, 0));
    fs::create_dir(data.path().join("empty")).unwrap();
    let config = DataConfig::Folder(FolderConfig {
        path: data.path().to_owned(),
        lists: lists.path().to_owned(),
        colour: false,
        invert: false,
        held_out: [0.1, 0.2],
        split_seed: 0,
        images: ImageOptions::default(),
    });
    let none = refused(&config, "data.folder.lists: ");
    assert!(matches!(none, DataError::NoLists { .. }), "{none}");
    let with = |name: &str, text: &str, culprit: &str| {
        write(&lists.path().join(name), text.as_bytes());
        refused(&config, culprit)
    };
    with("train.txt", "a\n", "val.txt");
    let unknown = with("val.txt", "\nb\n", "val.txt, line 2: there is no class folder b in ");
    assert!(matches!(unknown, DataError::Unknown { line: 2, .. }));
    for other in ["../a", "..", "a/", "/"] {
        let line = with("val.txt", other, "is not the name of a class folder");
        assert!(matches!(line, DataError::ListLine { line: 1, .. }), "{other}");
    }
    assert!(matches!(with("val.txt", "empty", "empty"), DataError::NoImages { .. }));
    assert!(matches!(with("val.txt", "\n", "val.txt"), DataError::EmptySplit { .. }));
    let twice = with("train.txt", "a\na", "train.txt, line 2: ");
    assert!(matches!(twice, DataError::ListedTwice { line: 2, .. }));
    write(&data.path().join("images/2.png"), &png(8, 0));
    write(&data.path().join("images/3.png"), &png(8, 0));
    with("train.csv", "a/1.png,a", "val.csv");
    with("val.csv", "2.png,b", "test.csv");
    let two = with("test.csv", "3.png,a", "test.csv, line 1: a is in the train split already");
    assert!(matches!(two, DataError::TwoSplits { split: Split::Train, .. }));
    with("test.csv", "2.png,c", "2.png is listed already");
    with("test.csv", "filename,label\n3.png\n", "line 2: \"3.png\" is not FILE,CLASS");
    with("test.csv", "notes.txt,c", "is not FILE,CLASS");
    with("test.csv", "../3.png,c", "is not FILE,CLASS");
    with("test.csv", "4.png,c", "test.csv, line 1: there is no image 4.png in ");
}

#[test]
fn idx_files_that_contradict_themselves_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let (images_path, labels_path) = (data.path().join("images"), data.path().join("labels"));
    let config = DataConfig::Idx(IdxConfig {
        images_path: images_path.clone(),
        labels_path: labels_path.clone(),
        held_out: [0.4, 0.4],
        split_seed: 0,
        images: ImageOptions { image_size: 2, rotations: false },
    });
    let with = |images: &[u8], labels: &[u8], culprit: &str| {
        write(&images_path, images);
        write(&labels_path, labels);
        refused(&config, culprit)
    };
    let images = idx(0x08, &[2, 2, 2], &[0; 8]);
    let labels = idx(0x08, &[2], &[0, 1]);
    with(b"PK", &labels, "images: truncated");
    with(b"PK\x03\x04", &labels, "images: no IDX file");
    with(&labels, &labels, "images: IDX of type 0x08 and 1 dimensions");
    with(&images, &idx(0x0d, &[2], &[0; 8]), "labels: IDX of type 0x0d");
    with(&images[..20], &labels, "images: sizes [2, 2, 2] need 8 bytes, and there are fewer");
    with(&idx(0x08, &[2, 2, 2], &[0; 9]), &labels, "there are more");
    with(&idx(0x08, &[u32::MAX; 3], &[]), &labels, "more than 4 GiB");
    with(&idx(0x08, &[2, 0, 2], &[]), &labels, "images of 0");
    let error = with(&images, &idx(0x08, &[3], &[0, 1, 2]), "labels: 3 labels");
    assert!(matches!(error, DataError::LabelCount { images: 2, labels: 3, .. }));
    with(&[0x1f, 0x8b, 8, 0], &labels, "images: truncated");
    assert!(matches!(with(&images, &labels, "labels"), DataError::EmptySplit { .. }));
}
