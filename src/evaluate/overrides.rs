//! What `--set` may change in an evaluation.

use anyhow::{bail, ensure};
use lyceum_common::config::{LearnerConfig, RunConfig};
use lyceum_coordinator::enterprise::differing_key;

use crate::trained::Trained;

/// Tables of a configuration that no evaluation reads.
const OF_TRAINING: [&str; 5] =
    ["training", "farm", "meta_optimizer", "initialisation", "published"];

/// What makes training episodes alone.
const OF_TRAINING_EPISODES: [&str; 3] = ["distortion", "class_distortion", "within_groups"];

/// What is read for a learner's meta-gradient alone, or for where its meta-parameters begin.
const OF_LEARNERS: [(&str, &[&str]); 5] = [
    ("maml", &["order", "first_order_meta_steps", "multi_step_loss"]),
    ("imaml", &["conjugate_gradient_steps"]),
    ("meta_sgd", &["initial_rates"]),
    ("reptile", &["training_shots", "inner_batch"]),
    ("learned_optimizer", &["unroll", "loss_power", "order", "estimator"]),
];

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
    let key = parts(set);
    let reads_nothing = |of: &str| bail!("--set {set}: an evaluation reads nothing of {of}");
    match key.as_slice() {
        ["training", "test_episodes"] => {
            bail!("--set {set}: how many episodes a model is evaluated on is said by --episodes")
        }
        [table, ..] if OF_TRAINING.contains(table) => reads_nothing(&format!("[{table}]")),
        ["name"] => reads_nothing("name"),
        ["episode", key, ..] if OF_TRAINING_EPISODES.contains(key) => {
            reads_nothing(&format!("episode.{key}"))
        }
        ["learner", _, "inner_steps"] => {
            bail!(
                "--set {set}: these are the inner steps in training; --steps says those of an evaluation"
            )
        }
        ["learner", learner, key, ..]
            if OF_LEARNERS.iter().any(|(name, keys)| name == learner && keys.contains(key)) =>
        {
            reads_nothing(&format!("learner.{learner}.{key}"))
        }
        [table, ..] if table.starts_with("data") && !optimizes && !is_place(set) => {
            bail!(
                "--set {set}: the data is that of the training; another one is said by --data-set"
            )
        }
        _ => Ok(()),
    }
}

/// Refuses an override that another key of the configuration that is evaluated hides.
pub(super) fn check_hidden(set: &str, config: &RunConfig) -> anyhow::Result<()> {
    let episode = &config.episode;
    let optimizes = matches!(config.learner, LearnerConfig::LearnedOptimizer(_));
    for (size, in_evaluation) in [
        // As many classes as an optimizee tells apart.
        ("ways", episode.evaluation_ways.filter(|_| !optimizes)),
        ("shots", episode.evaluation_shots),
        ("queries", episode.evaluation_queries),
    ] {
        ensure!(
            in_evaluation.is_none() || parts(set) != ["episode", size],
            "--set {set}: these are the {size} in training; --{size} says those of an evaluation"
        );
    }
    if let LearnerConfig::Maml(maml) = &config.learner
        && maml.learned_rates
        && parts(set) == ["learner", "maml", "inner_rate"]
    {
        bail!(
            "--set {set}: learned rates begin at this one, and an evaluation takes what was learned"
        );
    }
    Ok(())
}

/// The parts of the key that an override sets.
fn parts(set: &str) -> Vec<&str> {
    key_of(set).split('.').map(str::trim).collect()
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
            ("initialisation.from=x", "[initialisation]"),
            ("published=[]", "[published]"),
            ("name=x", "reads nothing of name"),
            ("episode.distortion={}", "episode.distortion"),
            ("episode.class_distortion.shear=[0, 1]", "episode.class_distortion"),
            ("episode.within_groups=1", "episode.within_groups"),
            ("learner.maml.order=first", "learner.maml.order"),
            ("learner.maml.multi_step_loss.meta_steps=3", "learner.maml.multi_step_loss"),
            ("learner.imaml.conjugate_gradient_steps=3", "conjugate_gradient_steps"),
            ("learner.meta_sgd.initial_rates=[0, 1]", "learner.meta_sgd.initial_rates"),
            ("learner.reptile.inner_batch=3", "learner.reptile.inner_batch"),
            ("learner.learned_optimizer.estimator.pes.pairs=2", "learned_optimizer.estimator"),
        ] {
            let error = check(set, false).unwrap_err().to_string();
            assert!(error.contains(set) && error.contains(culprit), "{error}");
        }
        for set in [
            "learner.maml.inner_rate=0.1",
            "learner.maml.evaluation_steps=3",
            "learner.reptile.evaluation_batch=3",
            "learner.learned_optimizer.initial_deviation=0.1",
            "learner.siamese.pairs=balanced",
            "episode.ways=3",
            "seed=4",
        ] {
            check(set, false).unwrap();
        }
        check("data.quadratics.dimension=17", true).unwrap();
    }

    #[test]
    fn what_training_and_evaluation_have_each_is_said_by_the_flag_of_the_latter() {
        let config = |preset: &str, sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
            lyceum_common::config::load(preset, &sets).unwrap()
        };
        let metric = ["learner.prototypical={}"];
        for (size, flag) in [("ways", "--ways"), ("shots", "--shots"), ("queries", "--queries")] {
            let set = format!("episode.{size}=3");
            let other = format!("episode.evaluation_{size}=4");
            let error = check_hidden(&set, &config("glyphs-maml", &[metric[0], &other]));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&set) && error.contains(flag), "{error}");
            check_hidden(&other, &config("glyphs-maml", &[metric[0], &other])).unwrap();
        }
        let same = config("omniglot-maml-5w1s", &[]);
        assert_eq!(same.episode.evaluation_ways, None);
        check_hidden("episode.ways=3", &same).unwrap();
        check_hidden("learner.maml.inner_rate=1", &same).unwrap();
        let learned = config("omniglot-maml-5w1s", &["learner.maml.learned_rates=true"]);
        let error = check_hidden("learner.maml.inner_rate=1", &learned).unwrap_err().to_string();
        assert!(error.contains("what was learned"), "{error}");
    }
}
