//! A run that begins with a model's parameters.

use super::made::{glyphs, train};
use crate::command::{object, printed, refused};

#[test]
fn a_run_begins_with_a_models_parameters_on_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=first", "learner.prototypical={}", "episode.ways=5"));

    let from = "initialisation.from=runs/first";
    let head = "initialisation.drawn=[\"head\"]";
    let maml = |name, changes: &[&'static str]| {
        let mut all = glyphs(name, "learner.maml.inner_steps=1", "episode.ways=5");
        all.extend(changes);
        all
    };
    train(folder, &[], &maml("name=alone", &[]));
    train(folder, &[], &maml("name=begun", &[from, head]));
    train(folder, &["--workers", "2"], &maml("name=two", &[from, head]));
    let digest =
        |run: &str| object(folder, &["evaluate", run, "--episodes", "3"])["digest"].clone();
    assert_eq!(digest("begun"), digest("two"));
    assert_ne!(digest("begun"), digest("alone"));

    // The file is written down, and no other one is begun with.
    let config = std::fs::read_to_string(folder.join("runs/begun/config.toml")).unwrap();
    let model = std::fs::read(folder.join("runs/first/model.safetensors")).unwrap();
    let expected = lyceum_common::ids::Digest::of(&model).to_string();
    assert!(config.contains(&format!("digest = \"{expected}\"")), "{config}");
    let told = printed(folder, &["report", "begun"]);
    assert!(told.contains("begun with ") && told.contains("runs/first"), "{told}");

    // What does not fit is said before there is a folder.
    let begin = |changes: &[&'static str], words: &[&str]| {
        let mut sets = maml("name=none", changes);
        sets.extend(["episode.queries=2", "episode.evaluation_queries=2"]);
        let sets = sets.iter().flat_map(|&change| ["--set", change]);
        let command: Vec<_> = ["train"].into_iter().chain(sets).collect();
        refused(folder, &command, words);
        assert!(!folder.join("runs/none").exists());
    };
    let small = "network.conv4.filters=8";
    begin(&[small, from], &["first/model.safetensors", "`head.weight`", "initialisation.drawn"]);
    begin(&[from, head], &["[8, 1, 3, 3]", "[32, 1, 3, 3]"]);
    let other =
        "initialisation.digest=0000000000000000000000000000000000000000000000000000000000000000";
    begin(&[small, from, head, other], &["initialisation.digest", &expected]);
    begin(&[small, "initialisation.from=runs/nowhere"], &["initialisation.from", "runs/nowhere"]);

    // Nobody knows what the model had seen.
    refused(folder, &["evaluate", "begun", "--lake-runs", "."], &["initialisation.from"]);
}
