//! A model as one file.

use std::path::Path;

use lyceum_common::config::RunConfig;
use lyceum_coordinator::checkpoint::read_model;
use lyceum_coordinator::enterprise::layout_of;
use safetensors::SafeTensors;

use super::made::{checkpoint_digest, glyphs, train};
use crate::command::{object, printed, refused};

/// The digest of the parameters in an exported file, which are read as its own configuration lays them out.
fn digest(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().as_ref().unwrap();
    let config = RunConfig::from_toml(&metadata["config"]).unwrap();
    assert_eq!(config.name, "five");
    let parameters = read_model(&path, &layout_of(&config).unwrap()).unwrap();
    assert_eq!(parameters.digest().to_string(), metadata["digest"]);
    metadata["digest"].clone()
}

#[test]
fn what_is_evaluated_is_exported_and_a_checkpoint_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=five", "learner.prototypical={}", "episode.ways=5");
    changes.push("training.checkpoint_every=2");
    train(folder, &[], &changes);
    let said = printed(folder, &["export", "five"]);
    let best = digest(folder, "five.safetensors");
    assert!(said.contains("five.safetensors") && said.contains(&best), "{said}");
    assert_eq!(object(folder, &["evaluate", "five", "--episodes", "3"])["digest"], best);
    let bytes = std::fs::read(folder.join("five.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let weight = tensors.tensor("encoder.0.conv.weight").unwrap();
    assert_eq!(weight.shape(), [8, 1, 3, 3], "as PyTorch has it");

    refused(folder, &["export", "five"], &["five.safetensors is there already", "--force"]);
    std::fs::write(folder.join("five.safetensors"), "in the way").unwrap();
    let told = object(folder, &["export", "five", "--force"]);
    assert_eq!((&told["digest"], &told["model"]), (&best.as_str().into(), &"final".into()));
    assert_eq!(told["file"], "five.safetensors");
    assert_eq!(digest(folder, "five.safetensors"), best);

    printed(folder, &["export", "runs/five", "--step", "2"]);
    printed(folder, &["export", "five", "--step", "4", "--to", "last.safetensors"]);
    let [second, last] =
        ["five-step-2.safetensors", "last.safetensors"].map(|file| digest(folder, file));
    let run = folder.join("runs/five");
    assert_eq!(second, checkpoint_digest(&run, 2));
    assert_eq!(last, checkpoint_digest(&run, 4));
    assert_ne!(second, last);
    refused(folder, &["export", "five", "--step", "3"], &["--step 3", "meta-step 3", "2, 4"]);
    refused(folder, &["export", "five", "--to", "no/folder/x.pt"], &["no/folder/x.pt"]);
    refused(folder, &["export", "nothing"], &["nothing"]);
}
