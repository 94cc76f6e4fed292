//! What `--set` may change in an evaluation.

use anyhow::bail;
use lyceum_coordinator::enterprise::differing_key;

use crate::trained::Trained;

/// Tables of a configuration that no evaluation reads.
const OF_TRAINING: [&str; 3] = ["training", "farm", "meta_optimizer"];

/// Changes the configuration that a model is evaluated with, and remembers what was changed.
pub(super) fn apply(overrides: &[String], trained: &mut Trained) -> anyhow::Result<()> {
    if overrides.is_empty() {
        return Ok(());
    }
    let config = &trained.config;
    let name = trained.folder.path().join("config.toml").display().to_string();
    let text = config.to_toml();
    let changed = lyceum_common::config::parse_for_evaluation(&name, &text, overrides)?;
    // What no bit depends on is no change.
    if differing_key(config, &changed).is_some() {
        let changes = overrides.iter().filter(|set| !is_place(set));
        trained.overrides = changes.cloned().collect();
    }
    trained.config = changed;
    Ok(())
}

/// Refuses an override that would be taken and change nothing, and says what does; and another data set, where the report is
/// to say of every result what data it is on.
pub(super) fn check(set: &str, optimizes: bool) -> anyhow::Result<()> {
    let key: Vec<&str> = key_of(set).split('.').map(str::trim).collect();
    match key.as_slice() {
        ["training", "test_episodes"] => {
            bail!("--set {set}: how many episodes a model is evaluated on is said by --episodes")
        }
        [table, ..] if OF_TRAINING.contains(table) => {
            bail!("--set {set}: an evaluation reads nothing of [{table}]")
        }
        ["learner", _, "inner_steps"] => {
            bail!(
                "--set {set}: these are the inner steps in training; --steps says those of an evaluation"
            )
        }
        [table, ..] if table.starts_with("data") && !optimizes && !is_place(set) => {
            bail!(
                "--set {set}: the data is that of the training; another one is said by --data-set"
            )
        }
        _ => Ok(()),
    }
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

    #[test]
    fn what_would_change_nothing_is_refused_with_what_does() {
        for (set, culprit) in [
            ("training.test_episodes=20", "--episodes"),
            (" training . test_episodes = 20", "--episodes"),
            ("training.meta_steps=20", "[training]"),
            ("training={}", "[training]"),
            ("farm.audit=0.5", "[farm]"),
            ("meta_optimizer.rate=1", "[meta_optimizer]"),
            ("learner.maml.inner_steps=20", "--steps"),
            ("data.glyphs.seed=1", "--data-set"),
        ] {
            let error = check(set, false).unwrap_err().to_string();
            assert!(error.contains(set) && error.contains(culprit), "{error}");
        }
        for set in ["learner.maml.inner_rate=0.1", "learner.maml.evaluation_steps=3", "seed=4"] {
            check(set, false).unwrap();
        }
        check("data.quadratics.dimension=17", true).unwrap();
    }
}
