//! Layers and overrides over one another: kinds, options, and what papers stand beside.

use crate::config::*;

use super::*;

fn loaded(preset: &str, overrides: &[&str]) -> Result<RunConfig, LoadError> {
    let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
    load(preset, &overrides)
}

#[test]
fn a_later_override_wins_and_another_kind_takes_the_place_of_the_files() {
    let config = loaded(
        "glyphs-maml",
        &["seed=1", "seed=2", "network.mlp.hidden=[64]", "network.mlp.activation=tanh"],
    )
    .unwrap();
    assert_eq!(config.seed, 2);
    let mlp = MlpConfig { hidden: vec![64], activation: Activation::Tanh };
    assert_eq!(config.network, NetworkConfig::Mlp(mlp));
    let config =
        loaded("glyphs-maml", &["meta_optimizer.rule=sgd", "meta_optimizer.schedule=constant"])
            .unwrap();
    assert_eq!(config.meta_optimizer.rule, Rule::Sgd { momentum: 0.0 });
    assert_eq!(config.meta_optimizer.schedule, Schedule::Constant);
}

#[test]
fn what_is_on_is_turned_off_by_none_and_may_be_turned_on_again() {
    let load = |overrides: &[&str]| loaded("omniglot-mamlpp-5w1s", overrides);
    let is_on = |config: RunConfig| match config.learner {
        LearnerConfig::Maml(maml) => {
            [config.episode.class_distortion.is_some(), maml.multi_step_loss.is_some()]
        }
        _ => unreachable!("MAML++ is MAML"),
    };
    let multi_step = "learner.maml.multi_step_loss=none";
    assert_eq!(is_on(load(&[]).unwrap()), [true, true]);
    assert_eq!(
        is_on(load(&["episode.class_distortion=none", multi_step]).unwrap()),
        [false, false]
    );
    assert_eq!(
        is_on(load(&[multi_step, "learner.maml.multi_step_loss.meta_steps=9"]).unwrap()),
        [true, true]
    );
    let refused = load(&["episode.ways=none"]).unwrap_err().to_string();
    assert!(refused.contains("episode.ways: expected a whole number"), "{refused}");
}

/// Each is turned off over a configuration that has something of its kind there, where serde would not take a text.
#[test]
fn every_option_is_one() {
    for option in OPTIONS {
        let preset = match option.split('.').nth(1) {
            Some("reptile") => "omniglot-reptile-5w1s",
            Some("matching") => "omniglot-matching-5w1s",
            Some("learned_optimizer") => "mnist-learned-optimizer",
            _ => "glyphs-maml",
        };
        let beside = match option {
            "initialisation.digest" => "initialisation.from=model.safetensors",
            "learner.reptile.training_shots" => "learner.reptile.inner_batch=none",
            _ => "seed=0",
        };
        let mut overrides = [beside.to_owned(), format!("{option}=none")];
        let config = load(preset, &overrides).unwrap_or_else(|error| panic!("{option}: {error}"));
        let as_text: Value = config.to_toml().parse::<Table>().unwrap().into();
        let there = option.split('.').try_fold(&as_text, |value, part| value.get(part));
        assert_eq!(there, None, "{option}");
        overrides[1] = format!("{option}=neither");
        let refused = load(preset, &overrides).unwrap_err().to_string();
        assert!(refused.contains(option), "{option}: {refused}");
    }
}

#[test]
fn a_paper_stands_beside_its_own_experiment_alone() {
    for (set, is_beside) in [
        ("seed=3", true),
        ("training.meta_steps=9000", true),
        ("data.omniglot.path=there", true),
        ("learner.maml.order=first", false),
        ("network.conv4.filters=8", false),
    ] {
        let config = load("omniglot-maml-5w1s", &[set.to_owned()]).unwrap();
        assert_eq!(!config.published.is_empty(), is_beside, "{set}");
    }
}
