//! What `--set` may change in an evaluation.

use anyhow::bail;
use lyceum_common::config::RunConfig;
use lyceum_coordinator::enterprise::differing_key;

use crate::trained::Trained;

/// Changes the configuration that a model is evaluated with, and remembers what was changed.
pub(super) fn apply(overrides: &[String], trained: &mut Trained) -> anyhow::Result<()> {
    if overrides.is_empty() {
        return Ok(());
    }
    let config = &trained.config;
    let name = trained.folder.path().join("config.toml").display().to_string();
    let changed: RunConfig = lyceum_common::config::parse(&name, &config.to_toml(), overrides)?;
    // What no bit depends on is no change.
    if differing_key(config, &changed).is_some() {
        let changes = overrides.iter().filter(|set| !is_place(set));
        trained.overrides = changes.cloned().collect();
    }
    trained.config = changed;
    Ok(())
}

/// Refuses another data set, where the report is to say of every result what data it is on.
pub(super) fn check(set: &str, optimizes: bool) -> anyhow::Result<()> {
    if key_of(set).starts_with("data") && !optimizes && !is_place(set) {
        bail!("--set {set}: the data is that of the training; another one is said by --data-set")
    }
    Ok(())
}

/// The key that an override sets.
fn key_of(set: &str) -> &str {
    set.split('=').next().unwrap_or_default().trim()
}

/// Whether an override says where data lies, and so changes nothing.
fn is_place(set: &str) -> bool {
    let key = key_of(set);
    key.starts_with("data") && (key.ends_with("path") || key.ends_with("lists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_of_where_data_lies_is_told_from_one_that_changes_something() {
        for place in ["data.omniglot.path=x", " data.folder.lists = x", "data.idx.images_path="] {
            assert!(is_place(place), "{place}");
            check(place, false).unwrap();
        }
        for change in ["data.glyphs.seed=1", "learner.maml.inner_rate=0.1", "name=path", ""] {
            assert!(!is_place(change), "{change}");
        }
    }
}
