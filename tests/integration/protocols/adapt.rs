//! `lyceum adapt`: a model at work on images of one's own.

use std::path::Path;

use super::made::{glyphs, picture, save, train};
use crate::command::{object, printed, refused};

/// The same picture in support and query: nothing is nearer, whatever was learned.
fn pictures(folder: &Path) {
    for (class, number) in [("mountain", 0b1_1010), ("river", 0b11_0000_0011), ("sea", 0b100_1100)]
    {
        save(&picture(number), &folder.join(format!("support/{class}/1.png")));
        save(&picture(number), &folder.join(format!("query/{class}.png")));
    }
}

#[test]
fn a_trained_model_says_what_images_show() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(folder);
    let learner = "learner.prototypical={}";
    train(folder, &[], &glyphs("name=compares", learner, "episode.ways=5"));
    train(folder, &[], &glyphs("name=adapts", "learner.maml.inner_steps=1", "episode.ways=5"));

    let of = ["--support", "support", "--query", "query"];
    let arguments = [&["adapt", "compares"][..], &of].concat();
    let results = object(folder, &arguments);
    assert_eq!(results["classes"], serde_json::json!(["mountain", "river", "sea"]));
    assert_eq!(results["transductive"], false);
    let predictions = results["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    for prediction in predictions {
        let class = prediction["class"].as_str().unwrap();
        assert_eq!(prediction["file"], format!("query/{class}.png"));
        let scores = prediction["scores"].as_array().unwrap();
        let total: f64 = scores.iter().map(|score| score.as_f64().unwrap()).sum();
        assert!((total - 1.0).abs() < 1e-9, "{scores:?}");
    }
    // One alone is told as it is among others.
    let alone = object(
        folder,
        &["adapt", "compares", "--support", "support", "--query", "query/river.png"],
    );
    assert_eq!(alone["predictions"][0], predictions[1]);

    let table = printed(folder, &arguments);
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["image", "class", "score"]);
    assert_eq!(lines[2][..2], ["query/river.png", "river"]);

    let with = |run, more: &[&'static str]| [&["adapt", run][..], &of, more].concat();
    refused(folder, &with("adapts", &[]), &["adapts", "3 classes", "5 apart"]);
    refused(folder, &with("compares", &["--steps", "3"]), &["--steps"]);
    let none = ["adapt", "compares", "--support", "support/sea", "--query", "query"];
    refused(folder, &none, &["--support", "support/sea", "no class folders"]);
    let none = ["adapt", "compares", "--support", "support", "--query", "support"];
    refused(folder, &none, &["--query", "support", "no PNG or JPEG"]);
    save(&picture(1), &folder.join("support/sea/2.png"));
    let uneven = object(folder, &arguments);
    assert_eq!(uneven["predictions"].as_array().unwrap().len(), 3, "one class has two images");
    assert_ne!(uneven["predictions"], results["predictions"]);
}
