//! Minimal training sets, Lake's runs and other data sets, on data that is made here.

use std::path::Path;

use super::made::{glyphs, idx, lake_runs, omniglot, train};
use crate::command::{lyceum, object, printed, refused};

/// Trains on one of the minimal sets.
fn train_on(folder: &Path, split: &str, name: &str) {
    let changes = [
        &format!("data.omniglot.split.{split}.validation_alphabets=1"),
        name,
        "episode.ways=5",
        "episode.evaluation_ways=4",
        "published=[{ data = 'lake_runs', ways = 20, result = '86.3 %', citation = 'Lake et al. 2019', protocol = 'there' }]",
    ];
    train(folder, &["omniglot-prototypical-5w1s", "--data", "omniglot"], &changes);
}

#[test]
fn what_trained_on_a_minimal_set_is_scored_on_lakes_runs_and_on_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = folder.join("omniglot");
    omniglot(&data, "images_background_small1", &["Greek", "Korean", "Latin"], 4);
    omniglot(&data, "images_background_small2", &["Greek", "Sanskrit", "Tagalog"], 4);
    omniglot(&data, "images_evaluation", &["Tengwar"], 6);
    lake_runs(&data.join("python/one-shot-classification/all_runs"));
    train_on(folder, "small1", "name=small1");
    train_on(folder, "small2", "name=small2");

    // A test image is its class's training image, and so the nearest prototype is its own: if the labels are heeded.
    let runs = "omniglot/python/one-shot-classification";
    let results = object(folder, &["evaluate", "small1", "--lake-runs", runs]);
    assert_eq!(results["accuracy"].as_f64(), Some(1.0), "{results}");
    assert_eq!(results["runs"].as_array().unwrap().len(), 20);
    let all = object(folder, &["evaluate", "small2", "--lake-runs", "omniglot"]);
    assert_eq!(all["episode_list"], results["episode_list"], "the runs are the same episodes");
    let table = printed(folder, &["evaluate", "small2", "--lake-runs", "omniglot"]);
    assert!(table.contains("400 of 400 images") && table.contains("run 20"), "{table}");

    // A file lies where the folder of what is kept would: it is printed all the same.
    let [evaluations, aside] =
        ["evaluations", "aside"].map(|name| folder.join("runs/small2").join(name));
    std::fs::rename(&evaluations, &aside).unwrap();
    std::fs::write(&evaluations, "").unwrap();
    let output =
        lyceum(folder, &["evaluate", "small2", "--lake-runs", "omniglot"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("400 of 400 images"), "{output:?}");
    std::fs::remove_file(&evaluations).unwrap();
    std::fs::rename(&aside, &evaluations).unwrap();

    refused(folder, &["evaluate", "small1", "--lake-runs", "nowhere"], &["nowhere"]);
    let labels = data.join("python/one-shot-classification/all_runs/run07/class_labels.txt");
    let text = std::fs::read_to_string(&labels).unwrap();
    std::fs::write(&labels, text.replacen("class03", "class04", 1)).unwrap();
    refused(
        folder,
        &["evaluate", "small1", "--lake-runs", runs],
        &["run07/class_labels.txt", "line"],
    );
    std::fs::write(&labels, text).unwrap();

    // An inner loop from a support set of the same images learns them, if the labels are heeded; by chance it is a twentieth.
    let twenty_ways = [
        "name=maml20",
        "data.glyphs.classes=[20, 20, 20]",
        "data.glyphs.images_per_class=3",
        "episode.ways=20",
        "learner.maml.inner_rate=1.0",
        "learner.maml.evaluation_steps=10",
    ];
    train(folder, &[], &twenty_ways);
    let results = object(folder, &["evaluate", "maml20", "--lake-runs", runs]);
    assert_eq!(results["episode_list"], all["episode_list"], "the runs are the same episodes");
    assert_eq!(results["runs"].as_array().unwrap().len(), 20);
    assert!(results["accuracy"].as_f64().unwrap() > 0.5, "{results}");

    // One that trained on the alphabets of the runs, and one that cannot tell 20 classes apart.
    let config = folder.join("runs/small2/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let random = "[data.omniglot.split.random]\ntrain = 8\nvalidation = 4\nseed = 0\n";
    let small2 = "[data.omniglot.split.small2]\nvalidation_alphabets = 1\n";
    assert!(text.contains(small2), "{text}");
    std::fs::write(&config, text.replace(small2, random)).unwrap();
    let contaminated = ["evaluate", "small2", "--lake-runs", runs];
    refused(folder, &contaminated, &["data.omniglot.split.random", "evaluation alphabets"]);
    let pretends = ["--set", "data.omniglot.split.small2.validation_alphabets=1"];
    refused(folder, &[&contaminated[..], &pretends].concat(), &["evaluation alphabets"]);
    train(folder, &[], &glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3"));
    refused(folder, &["evaluate", "maml", "--lake-runs", runs], &["20 ways", "3 outputs"]);

    other_data(folder);
}

fn other_data(folder: &Path) {
    idx(&folder.join("digits"));
    let config = |size: u32| {
        format!(
            "[data.idx]\nimages_path = \"digits/images.idx\"\nlabels_path = \"digits/labels.idx\"\n\
             held_out = [0.0, 1.0]\nimages.image_size = {size}\n"
        )
    };
    std::fs::write(folder.join("digits.toml"), config(28)).unwrap();
    std::fs::write(folder.join("large.toml"), config(32)).unwrap();
    std::fs::write(folder.join("wrong.toml"), config(28).replace("held_out", "heldout")).unwrap();
    let on = |data: &'static str| ["evaluate", "small1", "--episodes", "9", "--data-set", data];
    let results = object(folder, &[&on("digits.toml")[..], &["--ways", "6"]].concat());
    // All drawings of a class are one picture.
    assert_eq!(results["accuracy"].as_f64(), Some(1.0), "{results}");
    refused(folder, &on("large.toml"), &["large.toml", "32 × 32, grey", "28 × 28, grey"]);
    refused(folder, &on("wrong.toml"), &["wrong.toml", "data.idx.heldout"]);
    refused(folder, &on("sinusoid-maml"), &["sinusoid"]);
    refused(folder, &on("no-such-set"), &["no-such-set"]);
    refused(folder, &[&on("digits.toml")[..], &["--ways", "7"]].concat(), &["7", "6 classes"]);

    let report = printed(folder, &["report", "small1"]);
    let row = |what: &str| {
        let row = report.lines().find(|line| line.contains(what));
        row.unwrap_or_else(|| panic!("no row of {what}: {report}")).to_owned()
    };
    assert!(
        row("Lake's 20 runs, trained on Omniglot, small1").contains("86.3 % (Lake et al. 2019)")
    );
    assert!(row("another data set, digits").contains("| 100.00 % ± 0.00 | – |"), "{report}");
    let own =
        row("| Omniglot, small1 / evaluation, test split, 4-way 1-shot with 2 queries a class");
    assert!(own.contains("| – |"), "98.8 % is of five ways: {own}");
}
