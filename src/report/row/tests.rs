use lyceum_common::config::load;

use super::*;

/// What an evaluation departs in.
type Change = fn(&mut KeptEvaluation);

/// What was kept of an evaluation as the run of `config` has it.
fn kept(config: &RunConfig) -> KeptEvaluation {
    let episode = &config.episode;
    KeptEvaluation {
        parameters: "model".to_owned(),
        meta_step: None,
        validated: Some(config.training.validate_every > 0),
        episode_list: "list".to_owned(),
        protocol: Protocol::Episodes,
        data: config.data.kind().to_owned(),
        split: "test".to_owned(),
        ways: episode.ways_in_evaluation(),
        shots: episode.shots_in_evaluation(),
        queries: episode.queries_in_evaluation(),
        transductive: config.is_transductive(None),
        inner_steps: steps_of(config),
        overrides: Vec::new(),
        accuracy: if config.classifies() { vec![0.5, 1.0] } else { Vec::new() },
        loss: vec![1.0, 2.0],
    }
}

/// The row of what was kept, where `change` is what is other than the run has it.
fn row(preset: &str, change: impl FnOnce(&mut KeptEvaluation)) -> Row {
    let config = load(preset, &[]).unwrap();
    let mut kept = kept(&config);
    change(&mut kept);
    let model = Some(FinalModel {
        digest: "model".to_owned(),
        validated: config.training.validate_every > 0,
    });
    Row::of_kept(&Run { name: "run", config: &config, model, seconds: 60.0 }, &kept)
}

#[test]
fn nothing_published_stands_beside_what_departs_from_the_runs_own_test() {
    let preset = "omniglot-maml-5w1s";
    let own = row(preset, |_| {});
    assert!(own.line().contains("98.7 ± 0.4 % (Finn et al. 2017, table 1)"), "{own:?}");
    assert!(!own.line().contains("the run's own"), "{own:?}");
    let changes: [(Change, &str); 6] = [
        (|kept| kept.inner_steps = Some(0), "0 inner steps (the run's own: 3)"),
        (|kept| kept.queries = 19, "with 19 queries a class (the run's own: 1)"),
        (|kept| kept.split = "validation".to_owned(), "validation split"),
        (|kept| kept.parameters = "other".to_owned(), "of a checkpoint before the run's end"),
        (|kept| kept.overrides = vec!["a=1".to_owned()], "with a=1"),
        (|kept| kept.ways = 4, "4-way"),
    ];
    for (change, text) in changes {
        let row = row(preset, change);
        assert!(row.published.is_empty() && row.protocol.contains(text), "{row:?}");
    }
}

#[test]
fn what_selected_the_parameters_is_said_where_something_did() {
    let early = "of a checkpoint before the run's end";
    for (meta_step, validated, expected) in [
        (
            None,
            Some(true),
            format!(", transductive, 3 inner steps, selected on validation classes, {early}"),
        ),
        (None, Some(false), format!(", transductive, 3 inner steps, the last so far, {early}")),
        // An older version did not say.
        (None, None, format!(", transductive, 3 inner steps, {early}")),
        (Some(200), Some(false), ", transductive, 3 inner steps, after 200 meta-steps".to_owned()),
    ] {
        let row = row("omniglot-maml-5w1s", |kept| {
            "other".clone_into(&mut kept.parameters);
            (kept.meta_step, kept.validated) = (meta_step, validated);
        });
        assert!(row.protocol.ends_with(&expected), "{expected}: {row:?}");
    }
    // A checkpoint may hold what the run came to.
    let last = row("omniglot-maml-5w1s", |kept| {
        (kept.meta_step, kept.validated) = (Some(200), Some(false));
    });
    assert!(last.protocol.ends_with(", selected on validation classes"), "{last:?}");
}

#[test]
fn a_published_result_may_be_for_several_inner_steps() {
    for (steps, is_published) in [(1, true), (5, true), (10, true), (2, false)] {
        let row = row("sinusoid-maml", |kept| kept.inner_steps = Some(steps));
        assert_eq!(row.published.len(), usize::from(is_published), "{steps}: {row:?}");
        assert!(row.protocol.contains(&format!("{steps} inner steps")), "{row:?}");
        assert!(row.line().contains("| loss 1.5000 ± 0.9800 |"), "{row:?}");
        assert!(row.protocol.ends_with("selected on validation tasks"), "{row:?}");
    }
}

#[test]
fn what_diverged_is_counted_and_has_no_interval() {
    let functions = row("sinusoid-maml", |kept| kept.loss = vec![f64::NAN, 2.0]);
    let text = "| loss not finite, 1 episode diverged |";
    assert!(functions.line().contains(text), "{functions:?}");
    let json = functions.json();
    assert!(json["mean"].is_null() && json["interval"].is_null(), "{json}");
    assert_eq!((&json["measure"], &json["diverged"]), (&"loss".into(), &1.into()));
    let classes = row("omniglot-maml-5w1s", |kept| kept.loss[0] = f64::NAN);
    assert!(classes.line().contains("| 75.00 % ± 49.00, 1 episode diverged |"), "{classes:?}");
}
