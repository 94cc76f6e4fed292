//! What is kept of evaluations in a run's folder.

use std::fs::File;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use super::made::{glyphs, train};
use crate::command::{lyceum, object, printed, refused};

/// What is printed, and what is said of it, where it ends with status 1.
fn printed_and_failed(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = lyceum(folder, arguments).output().unwrap();
    let [printed, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {printed}{said}");
    (printed, said)
}

/// A learned optimizer's run.
const OPTIMIZER: &str = "quadratics-learned-optimizer";

/// Trains it, with two optimizees in its test.
fn train_optimizer(folder: &Path) {
    let small = ["training.meta_steps=1", "training.validate_every=0", "training.test_episodes=2"];
    let small = small.iter().flat_map(|&change| ["--set", change]);
    printed(folder, &["train", OPTIMIZER].into_iter().chain(small).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_kept_is_printed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3"));
    // A file lies where the folder would.
    std::fs::write(folder.join("runs/maml/evaluations"), "").unwrap();
    let not_kept = "what is printed was not kept: runs/maml/evaluations";
    for (command, figure) in [
        (&["evaluate", "maml", "--episodes", "5"][..], "test accuracy"),
        (&["compare", "maml", "maml", "--episodes", "5"], "paired t-test"),
    ] {
        let (table, said) = printed_and_failed(folder, command);
        assert!(table.contains(figure) && said.contains(not_kept), "{table}{said}");
        let (json, said) = printed_and_failed(folder, &[command, &["--json"]].concat());
        let results: Value = serde_json::from_str(&json).unwrap();
        let side = results.get("a").unwrap_or(&results);
        assert!(side["accuracy"].is_f64() && side["kept"].is_null(), "{json}");
        assert!(said.contains(not_kept), "{said}");
    }
}

#[test]
fn a_comparison_that_cannot_be_written_is_printed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_optimizer(folder);
    std::fs::write(folder.join("file"), "").unwrap();
    let evaluate = ["evaluate", OPTIMIZER, "--steps", "2", "--out", "file"];
    let (table, said) = printed_and_failed(folder, &evaluate);
    assert!(table.contains("loss at the end") && !table.contains("written to"), "{table}");
    assert!(said.contains("what is printed was not kept: file: "), "{said}");
    let (json, _) = printed_and_failed(folder, &[&evaluate[..], &["--json"]].concat());
    let results: Value = serde_json::from_str(&json).unwrap();
    assert!(results["out"].is_null() && results["optimizers"].is_array(), "{json}");
}

#[test]
fn comparisons_on_other_numbers_of_optimizees_are_kept_beside_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_optimizer(folder);
    let evaluate = ["evaluate", OPTIMIZER, "--steps", "12"];
    let choices: [&[&str]; 3] = [&[], &["--episodes", "3"], &["--search-episodes", "3"]];
    for more in choices {
        printed(folder, &[&evaluate[..], more].concat());
    }
    // Written anew, and not written over: whoever reads a file meanwhile reads it to its end.
    let own = folder.join("runs").join(OPTIMIZER).join("comparison/12-steps");
    let files = ["losses.csv", "search.csv", "losses.png", "results.json"];
    let readers = files.map(|name| File::open(own.join(name)).unwrap());
    printed(folder, &evaluate);
    #[cfg(unix)]
    for (name, reader) in files.iter().zip(&readers) {
        let [old, new] = [reader.metadata(), std::fs::metadata(own.join(name))];
        assert_ne!(old.unwrap().ino(), new.unwrap().ino(), "{name}");
    }
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), files.len());

    let report = printed(folder, &["report", OPTIMIZER]);
    for (episodes, searched) in [(2, 2), (3, 3), (2, 3)] {
        let protocol = format!(
            "{episodes} episodes, hand-made optimizers' rates searched on {searched} others, 12 inner steps"
        );
        assert!(report.contains(&protocol), "{protocol}: {report}");
    }

    // Of one that is damaged there is no row, and of the others there are.
    let damaged = own.join("results.json");
    std::fs::write(&damaged, "{").unwrap();
    let (report, said) = report_with_damage(folder, OPTIMIZER);
    assert_eq!(report.matches("hand-made optimizers' rates").count(), 2, "{report}");
    assert!(said.contains("passed over: ") && said.contains("12-steps/results.json"), "{said}");
}

/// What a report prints and says that ends well all the same.
fn report_with_damage(folder: &Path, run: &str) -> (String, String) {
    let output = lyceum(folder, &["report", run]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).into()
}

#[test]
fn a_damaged_evaluation_costs_no_other_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=a", "learner.prototypical={}", "episode.ways=3"));
    for episodes in ["5", "7"] {
        printed(folder, &["evaluate", "a", "--episodes", episodes]);
    }
    std::fs::write(folder.join("runs/a/evaluations/cut.json"), "{").unwrap();
    let (report, said) = report_with_damage(folder, "a");
    assert!(report.contains("5 episodes") && report.contains("7 episodes"), "{report}");
    assert!(said.contains("passed over: ") && said.contains("evaluations/cut.json"), "{said}");
}

#[test]
fn of_one_episode_there_is_a_figure_and_no_interval() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=a", "learner.prototypical={}", "episode.ways=3");
    changes.extend(["training.test_episodes=1", "training.meta_batch=1"]);
    train(folder, &[], &changes);
    let evaluate = ["evaluate", "a", "--episodes", "1"];
    let table = printed(folder, &evaluate);
    assert!(table.starts_with("test accuracy") && !table.contains('±'), "{table}");
    let results = object(folder, &evaluate);
    assert!(results["accuracy"].is_f64() && results["interval"].is_null(), "{results}");
    let report = object(folder, &["report", "a"]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "the test, and it once more: {report}");
    let row = &rows[0];
    assert!(row["interval"].is_null() && row["measure"] == "accuracy", "{report}");
    let file = printed(folder, &["episodes", "a", "--episodes", "1"]);
    let compare = ["compare", "a", "a", "--episodes-file", &file];
    refused(folder, &compare, &["a comparison takes two episodes or more"]);
}
