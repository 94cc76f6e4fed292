//! Which parameters of a run are put to use, with which configuration, and what is said of it.

use std::path::Path;

use serde_json::{Value, json};

use super::made::{checkpoint_digest, glyphs, picture, save, train};
use crate::command::{object, printed, refused};

/// Trains a run with checkpoints after two and after four meta-steps, the last.
fn train_maml(folder: &Path) {
    let mut changes = glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3");
    changes.push("training.checkpoint_every=2");
    train(folder, &[], &changes);
}

/// The row `name` of a table.
fn row<'a>(table: &'a str, name: &str) -> &'a str {
    let row = table.lines().find_map(|line| line.strip_prefix(name));
    row.unwrap_or_else(|| panic!("no {name}: {table}")).trim()
}

#[test]
fn an_evaluation_says_what_was_evaluated_and_where_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_maml(folder);
    let evaluate = ["evaluate", "maml", "--episodes", "5"];
    let results = object(folder, &evaluate);
    for (key, expected) in [
        ("data", json!("glyphs")),
        ("split", json!("test")),
        ("ways", json!(3)),
        ("shots", json!(1)),
        ("queries", json!(2)),
        ("inner_steps", json!(3)),
        ("model", json!("final")),
        ("validated", json!(true)),
        ("meta_steps", json!(4)),
        ("unfinished_at", Value::Null),
        ("diverged", json!(0)),
    ] {
        assert_eq!(results[key], expected, "{key}: {results}");
    }
    assert_eq!(results["digest"], results["parameters"]);
    assert!(folder.join(results["kept"].as_str().unwrap()).is_file(), "{results}");

    let validated = [&evaluate[..], &["--split", "validation", "--steps", "2"]].concat();
    let table = printed(folder, &validated);
    assert!(row(&table, "validation accuracy").contains("95 % interval"), "{table}");
    assert_eq!(row(&table, "each"), "3-way 1-shot, 2 queries a class");
    assert_eq!(row(&table, "data"), "glyphs, validation split");
    assert_eq!(row(&table, "inner steps"), "2");
    let step = &results["meta_step"];
    let model = format!("meta-step {step} of 4, the final model, the best by validation");
    assert_eq!(row(&table, "model"), model);
    assert!(row(&table, "kept in").starts_with("runs/maml/evaluations/"), "{table}");
    assert!(printed(folder, &["export", "maml"]).contains(&model));
    let compared = printed(folder, &["compare", "maml", "maml", "--episodes", "3"]);
    assert_eq!(compared.matches(&model).count(), 2, "{compared}");

    std::fs::remove_file(folder.join("runs/maml/model.safetensors")).unwrap();
    let unfinished = object(folder, &evaluate);
    assert_eq!(unfinished["digest"], results["digest"], "the best is the best so far");
    assert_eq!(unfinished["model"], "best_so_far");
    assert_eq!((&unfinished["meta_step"], &unfinished["unfinished_at"]), (step, &json!(4)));
    let table = printed(folder, &evaluate);
    assert!(row(&table, "model").ends_with("the run is unfinished, at meta-step 4"), "{table}");
}

#[test]
fn a_kept_checkpoint_is_evaluated_compared_and_adapted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_maml(folder);
    let evaluate = ["evaluate", "maml", "--episodes", "5"];
    let best = object(folder, &evaluate)["meta_step"].as_u64().unwrap();
    // The other one of two.
    let other = 6 - best;
    let step = other.to_string();
    let digest = checkpoint_digest(&folder.join("runs/maml"), other);
    let results = object(folder, &[&evaluate[..], &["--step", &step]].concat());
    assert_eq!(results["digest"], digest.as_str());
    assert_eq!((&results["model"], &results["meta_step"]), (&json!("checkpoint"), &json!(other)));

    let compare = ["compare", "maml", "maml", "--episodes", "3", "--step", &step];
    let compared = object(folder, &compare);
    assert_eq!(compared["a"]["digest"], digest.as_str());
    assert_eq!(compared["b"]["model"], "checkpoint");

    for class in 0..3 {
        save(&picture(class * 37), &folder.join(format!("mine/{class}/1.png")));
    }
    let adapt = ["adapt", "maml", "--support", "mine", "--query", "mine/0", "--step", &step];
    assert_eq!(object(folder, &adapt)["digest"], digest.as_str());

    // It is kept beside what the run is for, and not beside what was published.
    let report = printed(folder, &["report", "maml"]);
    let rows = |text: &str| report.lines().filter(|line| line.contains(text)).count();
    let after = format!(", after {step} meta-steps | ");
    assert_eq!((rows("5 episodes"), rows("3 episodes"), rows(&after)), (2, 1, 2), "{report}");
    // Nothing selected it but the person who asked for it.
    let selected = |row: &&str| row.contains(&after) && row.contains("selected on");
    assert_eq!(report.lines().filter(selected).count(), 0, "{report}");
    assert_eq!(rows("selected on validation classes"), 2, "the test and the best: {report}");
    refused(folder, &[&evaluate[..], &["--step", "3"]].concat(), &["--step 3", "2, 4"]);
}

#[test]
fn a_configuration_that_is_no_longer_the_checkpoints_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_maml(folder);
    let file = folder.join("runs/maml/config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let write = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    };
    let commands: [&[&str]; 6] = [
        &["evaluate", "maml", "--episodes", "3"],
        &["evaluate", "maml", "--episodes", "3", "--step", "2"],
        &["compare", "maml", "maml", "--episodes", "3"],
        &["export", "maml", "--force"],
        &["adapt", "maml", "--support", "mine", "--query", "mine/0"],
        &["report", "maml"],
    ];
    for class in 0..3 {
        save(&picture(class * 37), &folder.join(format!("mine/{class}/1.png")));
    }
    write("inner_rate = ", "inner_rate = 1");
    let culprits =
        ["runs/maml/config.toml: learner.maml.inner_rate is not as in", "change it back"];
    for command in commands {
        refused(folder, command, &culprits);
    }
    std::fs::remove_file(folder.join("runs/maml/model.safetensors")).unwrap();
    refused(folder, commands[0], &culprits);
    // No bit of a result depends on how the farm behaves.
    write("lease_seconds = ", "lease_seconds = 1");
    for command in commands {
        printed(folder, command);
    }
}

#[test]
fn an_override_that_would_change_nothing_is_refused_with_the_flag_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_maml(folder);
    for (set, flag) in [
        ("training.test_episodes=20", "--episodes"),
        ("learner.maml.inner_steps=20", "--steps"),
        ("training.meta_batch=2", "[training]"),
        ("meta_optimizer.rate=0.1", "[meta_optimizer]"),
        ("learner.maml.order=first", "learner.maml.order"),
        ("episode.distortion={}", "episode.distortion"),
        ("episode.queries=1", "--queries"),
    ] {
        refused(folder, &["evaluate", "maml", "--set", set], &[set, flag]);
    }
}
