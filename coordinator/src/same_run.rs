//! Whether what is to go on is still the run that its last checkpoint is of: else its bits would be nobody's.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lyceum_common::config::{RunConfig, Schedule};
use lyceum_common::ids::Digest;
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::run_folder::RunFolder;

/// What may have changed, beside where data and a first model lie: no bit of a run depends on it. What these are, their
/// digests say.
const MAY_DIFFER: [&str; 4] =
    ["farm", "published", "training.checkpoint_every", "training.report_every"];

/// How a run differs from the one that its last checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherRun {
    /// The configuration was changed.
    #[error(
        "{}: {key} is not as in the last checkpoint: change it back, or begin a new run",
        file.display()
    )]
    Config {
        /// The file that has it.
        file: PathBuf,
        /// The first key that differs.
        key: String,
    },
    /// The data was changed.
    #[error(
        "{}: the last checkpoint is of the data pack {trained}, and the data set is now {found}",
        folder.display()
    )]
    Pack {
        /// The run's folder.
        folder: PathBuf,
        /// The digest of the pack that the run was trained on.
        trained: Digest,
        /// The digest of what is there now.
        found: Digest,
    },
}

/// The first key of which two configurations differ, but for what no bit of a run depends on. Where data lies counts as
/// that too: what data it is, the packs' digests say.
#[must_use]
pub fn differing_key(one: &RunConfig, other: &RunConfig) -> Option<String> {
    let value = |config: &RunConfig| serde_json::to_value(config).unwrap_or_default();
    first_difference("", &value(one), &value(other))
}

/// Compares what a checkpoint of a run's folder is of with the configuration and the data pack that are at hand.
///
/// # Errors
/// Where they are another run's.
pub fn check_same(
    folder: &RunFolder,
    checkpoint: &Checkpoint,
    config: &RunConfig,
    pack: Option<Digest>,
) -> Result<(), OtherRun> {
    check_config(&checkpoint.config, config, folder)?;
    check_pack(checkpoint.pack, pack, folder)
}

/// Compares the configuration that is written beside a run's parameters, if one is, with the one that is there now, which may
/// let the run go on for longer.
///
/// # Errors
/// Where it was changed.
pub fn check_config(trained: &str, found: &RunConfig, folder: &RunFolder) -> Result<(), OtherRun> {
    let changed = changed_key(trained, found);
    changed.map_or(Ok(()), |key| Err(OtherRun::Config { file: folder.config_file(), key }))
}

/// As [`differing_key`], of what [`check_config`] compares. None where nothing is written, or what cannot be read.
fn changed_key(trained: &str, found: &RunConfig) -> Option<String> {
    if trained.is_empty() {
        return None;
    }
    match RunConfig::from_toml(trained) {
        Ok(mut trained) => {
            if may_be_longer(&trained, found) {
                trained.training.meta_steps = found.training.meta_steps;
            }
            differing_key(&trained, found)
        }
        Err(error) => {
            // Another version wrote it, and the one in the folder was brought up to date since.
            tracing::warn!("the last checkpoint's configuration cannot be compared: {error}");
            None
        }
    }
}

/// Whether a run may have as many meta-steps as are `found`, once it was to have fewer: every bit has to be as if it always had
/// been to have these. So no rate may depend on the last meta-step, and the old last one has no validation of its own.
fn may_be_longer(trained: &RunConfig, found: &RunConfig) -> bool {
    let (old, new) = (&trained.training, &found.training);
    let schedule = &trained.meta_optimizer.schedule;
    let every = old.validate_every;
    old.meta_steps < new.meta_steps
        && matches!(schedule, Schedule::Constant | Schedule::Step { .. })
        && (every == 0 || old.meta_steps.is_multiple_of(every))
}

/// Compares the data pack that a checkpoint was trained on with the one that the run is to go on with, where both are
/// known.
fn check_pack(
    trained: Option<Digest>,
    found: Option<Digest>,
    folder: &RunFolder,
) -> Result<(), OtherRun> {
    match (trained, found) {
        (Some(trained), Some(found)) if trained != found => {
            Err(OtherRun::Pack { folder: folder.path().to_owned(), trained, found })
        }
        _ => Ok(()),
    }
}

/// The first key, in or below `key`, of which two values differ, and may not.
fn first_difference(key: &str, one: &Value, other: &Value) -> Option<String> {
    if one == other || MAY_DIFFER.contains(&key) || RunConfig::PLACES.contains(&key) {
        return None;
    }
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        return Some(key.to_owned());
    };
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    names.into_iter().find_map(|name| {
        let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let of = |table: &serde_json::Map<String, Value>| table.get(name).cloned();
        first_difference(&inner, &of(one).unwrap_or_default(), &of(other).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_common::config;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "run", "").unwrap();
        (runs, folder)
    }

    fn difference(preset: &str, overrides: &[&str]) -> Option<String> {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        let trained = config::load(preset, &[]).unwrap().to_toml();
        let (_runs, folder) = folder();
        check_config(&trained, &config::load(preset, &overrides).unwrap(), &folder)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn a_configuration_that_was_changed_is_named_by_its_first_key() {
        for (overrides, key) in [
            (&["learner.maml.inner_rate=0.02"][..], "learner.maml.inner_rate"),
            (&["training.meta_steps=9", "seed=4"], "seed"),
            (&["meta_optimizer.clip_norm=7.5"], "meta_optimizer.clip_norm"),
            (&["data.glyphs.seed=1"], "data.glyphs.seed"),
        ] {
            let error = difference("glyphs-maml", overrides).unwrap();
            assert!(error.contains(&format!("run/config.toml: {key} is not ")), "{error}");
        }
    }

    #[test]
    fn how_the_farm_behaves_and_where_data_lies_may_have_changed() {
        for (preset, overrides) in [
            ("glyphs-maml", &["farm.audit=0.5", "farm.assignment=2"][..]),
            ("glyphs-maml", &["training.checkpoint_every=7", "training.report_every=3"]),
            ("omniglot-maml-5w1s", &["data.omniglot.path=elsewhere"]),
            ("glyphs-maml", &[]),
        ] {
            assert_eq!(difference(preset, overrides), None, "{preset} {overrides:?}");
        }
        // As if it always had been to be as long.
        let longer = ["training.meta_steps=30000"];
        assert_eq!(difference("omniglot-maml-20w1s", &longer), None);
        for (preset, overrides) in [
            ("omniglot-maml-20w1s", &["training.meta_steps=1000"][..]),
            ("omniglot-maml-5w1s", &["training.meta_steps=30000"]),
        ] {
            assert!(difference(preset, overrides).is_some(), "{preset} {overrides:?}");
        }
        let config = config::load("glyphs-maml", &[]).unwrap();
        assert_eq!(changed_key("", &config), None, "the checkpoint has none");
        assert_eq!(changed_key("name = 3", &config), None, "another version wrote it");
    }

    #[test]
    fn another_data_pack_is_refused_with_both_digests() {
        let (trained, found) = (Digest::of(b"trained"), Digest::of(b"found"));
        let (_runs, folder) = folder();
        let check_pack = |trained, found| check_pack(trained, found, &folder);
        let error = check_pack(Some(trained), Some(found)).unwrap_err().to_string();
        assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
        assert!(error.contains(&trained.to_string()) && error.contains(&found.to_string()));
        assert_eq!(check_pack(Some(trained), Some(trained)), Ok(()));
        assert_eq!(check_pack(None, Some(found)), Ok(()), "an older version wrote it");
    }
}
