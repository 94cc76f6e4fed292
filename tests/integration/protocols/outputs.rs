//! That docs/outputs.md has what programs are told.

use std::collections::BTreeSet;

use serde_json::Value;

use super::made::{glyphs, train};
use crate::command::object;

/// The names of an object's keys, and of those of the objects in it.
fn keys(of: &Value, found: &mut BTreeSet<String>) {
    for (key, value) in of.as_object().into_iter().flatten() {
        found.insert(key.clone());
        keys(value, found);
    }
    of.as_array().into_iter().flatten().for_each(|value| keys(value, found));
}

#[test]
fn every_key_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3"));
    let mut found = BTreeSet::new();
    let metrics = std::fs::read_to_string(folder.join("runs/maml/metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str(line).unwrap());
    let told = [
        &["train", "--resume", "maml"][..],
        &["evaluate", "maml", "--episodes", "3"],
        &["compare", "maml", "maml", "--episodes", "3"],
        &["export", "maml"],
        &["data", "glyphs-maml"],
        &["report", "maml"],
    ];
    for object in lines.chain(told.map(|arguments| object(folder, arguments))) {
        keys(&object, &mut found);
    }
    for key in ["loss_interval", "meta_steps", "kept", "tensors", "bytes", "hand_made"] {
        assert!(found.contains(key), "{key} is in none: {found:?}");
    }
    let documented = include_str!("../../../docs/outputs.md");
    let missing: Vec<_> =
        found.iter().filter(|key| !documented.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
