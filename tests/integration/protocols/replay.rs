//! A run's bits, had again.

use lyceum_common::config::RunConfig;
use lyceum_common::ids::MetaStep;
use lyceum_common::parameters::MetaParameters;
use lyceum_coordinator::checkpoint;
use lyceum_coordinator::enterprise::layout_of;
use lyceum_coordinator::run_folder::RunFolder;

use super::made::{checkpoint_digest, glyphs, train};
use crate::command::{printed, refused};

#[test]
fn meta_steps_come_to_the_same_bits_again_and_a_difference_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=five", "learner.prototypical={}", "episode.ways=5");
    changes.push("training.checkpoint_every=2");
    train(folder, &[], &changes);
    let run = folder.join("runs/five");
    let [second, last] = [2, 4].map(|step| checkpoint_digest(&run, step));
    let first_leg = format!("meta-step 2, from 0 on: the same bits, {second}");
    let last_leg = format!("meta-step 4, from 2 on: the same bits, {last}");
    let metrics = std::fs::read(run.join("metrics.jsonl")).unwrap();
    assert_eq!(printed(folder, &["replay", "five"]), last_leg);
    assert_eq!(printed(folder, &["replay", "five", "--from", "0", "--to", "2"]), first_leg);
    let whole = ["replay", "runs/five", "--from", "0", "--workers", "2", "--threads", "1"];
    assert_eq!(printed(folder, &whole), format!("{first_leg}\n{last_leg}"));
    assert_eq!(std::fs::read(run.join("metrics.jsonl")).unwrap(), metrics);

    refused(folder, &["replay", "five", "--to", "2"], &["five: no checkpoint before", "--from 0"]);
    refused(folder, &["replay", "five", "--from", "4"], &["--from 4", "not before meta-step 4"]);
    refused(folder, &["replay", "five", "--to", "3"], &["no checkpoint of meta-step 3", "2, 4"]);
    refused(folder, &["replay", "five", "--from", "1"], &["no checkpoint of meta-step 1", "2, 4"]);

    // A configuration that was changed since is told, and not a difference.
    let text = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let changed = text.replace("meta_batch = ", "meta_batch = 1");
    assert_ne!(changed, text);
    std::fs::write(run.join("config.toml"), changed).unwrap();
    refused(folder, &["replay", "five", "--from", "0"], &["training.meta_batch"]);
    std::fs::write(run.join("config.toml"), text).unwrap();

    // As if the run had gone elsewhere in its last meta-steps.
    let run = RunFolder::open(run).unwrap();
    let layout = layout_of(&RunConfig::from_toml(run.config()).unwrap()).unwrap();
    let mut kept = run.checkpoint(MetaStep(4), &layout).unwrap();
    let mut values = kept.snapshot.parameters.values().to_vec();
    values[0] += 1.0;
    kept.snapshot.parameters = MetaParameters::new(layout, values).unwrap();
    checkpoint::write(&run.checkpoints(), &kept.snapshot, &kept.config, kept.pack).unwrap();
    let other = kept.snapshot.parameters.digest().to_string();
    refused(folder, &["replay", "five"], &["five: meta-step 4 differs", &other, &last]);
}
