//! Frozen episodes: what is drawn is what is listed, and two runs are judged by the same.

use lyceum_common::statistics::PairedTest;

use super::made::{glyphs, train};
use crate::command::{object, printed, refused};

#[test]
fn two_runs_are_judged_by_the_same_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=prototypical", "learner.prototypical={}", "episode.ways=4"));
    train(folder, &[], &glyphs("name=matching", "learner.matching={}", "episode.ways=4"));
    let drawn = object(folder, &["evaluate", "prototypical", "--episodes", "40"]);
    let file = printed(folder, &["episodes", "prototypical", "--episodes", "40", "--out", "lists"]);
    let list = drawn["episode_list"].as_str().unwrap();
    assert_eq!(file, format!("lists/{list}.json"));

    // Of the file the same comes, whoever drew it; and it is kept, episode by episode.
    let a = object(folder, &["evaluate", "prototypical", "--episodes-file", &file]);
    assert_eq!((&a["accuracy"], &a["loss"]), (&drawn["accuracy"], &drawn["loss"]));
    assert_eq!((&a["episodes"], &a["episode_list"]), (&40.into(), &list.into()));
    let kept = |run: &str| -> serde_json::Value {
        let file = folder.join(format!("runs/{run}/evaluations/{list}-inductive.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    };
    let accuracies = |kept: &serde_json::Value| -> Vec<f64> {
        serde_json::from_value(kept["accuracy"].clone()).unwrap()
    };
    let first = kept("prototypical");
    let of_each = accuracies(&first);
    let mean = of_each.iter().sum::<f64>() / 40.0;
    assert!((mean - a["accuracy"].as_f64().unwrap()).abs() < 1e-12);
    assert_eq!((of_each.len(), &first["ways"], &first["split"]), (40, &4.into(), &"test".into()));

    let b = object(folder, &["evaluate", "matching", "--episodes-file", &file]);
    let both = ["compare", "prototypical", "matching"];
    let compared = object(folder, &[&both[..], &["--episodes-file", &file]].concat());
    assert_eq!(
        (&compared["a"]["accuracy"], &compared["b"]["accuracy"]),
        (&a["accuracy"], &b["accuracy"])
    );
    assert_eq!(
        (&compared["episode_list"], &compared["degrees_of_freedom"]),
        (&list.into(), &39.into())
    );
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let difference = number(&a["accuracy"]) - number(&b["accuracy"]);
    assert!((number(&compared["difference"]) - difference).abs() < 1e-12);
    let of_others = accuracies(&kept("matching"));
    assert_ne!(of_each, of_others, "there is something to compare");
    let test = PairedTest::of(&of_each, &of_others).unwrap();
    for (key, expected) in
        [("difference_interval", test.difference.interval), ("t", test.t), ("p", test.p)]
    {
        assert!((number(&compared[key]) - expected).abs() <= 1e-12 * expected.abs(), "{compared}");
    }
    let drawn = object(folder, &[&both[..], &["--episodes", "40"]].concat());
    assert_eq!(drawn, compared, "drawn as the first run draws");
    let same = object(folder, &["compare", "matching", "matching", "--episodes", "5"]);
    assert_eq!((number(&same["difference"]), number(&same["p"])), (0.0, 1.0));
    let of = |command: &'static str, flags: &[&'static str]| {
        [&[command, "prototypical"][..], flags].concat()
    };
    refused(folder, &of("episodes", &["--shots", "0"]), &["episode.evaluation_shots"]);
    refused(folder, &of("episodes", &["--episodes-file", "any.json"]), &["--episodes-file", "any"]);
    refused(folder, &of("evaluate", &["--episodes", "1000000000000"]), &["--episodes", "10000000"]);
    let other = ["--set", "data.glyphs.seed=1"];
    refused(folder, &of("evaluate", &other), &["data.glyphs.seed=1", "--data-set"]);
    refused(folder, &of("evaluate", &["--out", "there"]), &["--out", "learned optimizers"]);

    let table = printed(folder, &[&both[..], &["--episodes", "5"]].concat());
    assert!(table.contains("paired t-test") && table.contains("two-sided p = "), "{table}");
}

#[test]
fn episodes_that_cannot_be_the_same_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=a", "learner.prototypical={}", "episode.ways=4"));
    train(folder, &[], &glyphs("name=b", "learner.prototypical={}", "episode.ways=3"));
    train(folder, &[], &glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3"));
    let others = glyphs("name=others", "learner.prototypical={}", "episode.ways=4");
    train(folder, &[], &[&others[..], &["data.glyphs.seed=1"]].concat());
    let file = printed(folder, &["episodes", "a", "--episodes", "3"]);

    refused(folder, &["compare", "a", "b"], &["4 ways", "3", "--ways"]);
    printed(folder, &["compare", "a", "b", "--ways", "5", "--episodes", "3"]);
    refused(folder, &["compare", "a", "maml", "--ways", "4"], &["maml", "3 outputs"]);
    refused(folder, &["compare", "a", "maml", "--episodes-file", &file], &["maml", "3 outputs"]);
    refused(folder, &["compare", "a", "others"], &["different data", "data.glyphs"]);
    refused(folder, &["compare", "a", "b", "--episodes", "1"], &["--episodes"]);
    refused(folder, &["evaluate", "others", "--episodes-file", &file], &[&file, "data pack"]);
    refused(folder, &["evaluate", "maml", "--episodes-file", &file], &[&file, "3 outputs"]);
    refused(folder, &["evaluate", "a", "--episodes-file", "none.json"], &["none.json"]);
    refused(folder, &["evaluate", "a", "--episodes-file", &file, "--ways", "3"], &["--ways"]);

    let path = folder.join(&file);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"images\":[", "\"images\":[99,", 1)).unwrap();
    refused(folder, &["evaluate", "a", "--episodes-file", &file], &[&file, "episode 0"]);
}

#[test]
fn only_the_split_that_is_evaluated_needs_classes_enough() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=a", "learner.prototypical={}", "episode.ways=4");
    changes.push("data.glyphs.classes=[7, 4, 8]");
    train(folder, &[], &changes);
    let with = |command: &[&'static str], flags: &[&'static str]| {
        [command, &["--episodes", "3"], flags].concat()
    };
    let (evaluate, eight) = (["evaluate", "a"], ["--ways", "8"]);
    let results = object(folder, &with(&evaluate, &eight));
    assert_eq!((&results["ways"], &results["split"]), (&8.into(), &"test".into()));
    let set = ["--set", "episode.evaluation_ways=8"];
    assert_eq!(object(folder, &with(&evaluate, &set))["accuracy"], results["accuracy"]);
    printed(folder, &with(&["compare", "a", "a"], &eight));
    let file = printed(folder, &with(&["episodes", "a"], &eight));
    printed(folder, &["evaluate", "a", "--episodes-file", &file]);
    printed(folder, &with(&evaluate, &["--split", "train", "--ways", "7"]));
    for (split, too_many, has) in [
        ("train", "8", "the train split has 7 classes"),
        ("validation", "5", "the validation split has 4 classes"),
        ("test", "9", "the test split has 8 classes"),
    ] {
        let flags = ["--split", split, "--ways", too_many];
        refused(folder, &with(&evaluate, &flags), &[too_many, has]);
    }
}
