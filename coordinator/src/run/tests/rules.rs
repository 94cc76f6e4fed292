//! One rule of the farm a test.

use std::time::Duration;

use lyceum_common::ids::{Digest, EpisodeRange, MetaStep, Split};

use super::world::{World, beginning, config, undisturbed};
use crate::run::{Event, Job, Outcome, Refusal, ReportKind, Run, RunError};

fn world(overrides: &[&str]) -> World {
    World::new(Run::new(config(overrides), beginning()))
}

#[test]
fn a_lone_worker_gets_the_whole_meta_batch_and_two_get_parts() {
    let mut lone = world(&[]);
    let worker = lone.join(4);
    let ranges: Vec<_> = lone.workers[&worker].iter().map(|given| given.range).collect();
    assert_eq!(ranges, [EpisodeRange::new(0, 7)]);

    let mut several = world(&["farm.assignment=2"]);
    let first = several.join(1);
    let second = several.join(1);
    assert_eq!(several.workers[&first].len(), 2, "one to compute and the next");
    assert_eq!(several.workers[&second].len(), 2);
}

#[test]
fn reports_validations_and_checkpoints_come_when_they_are_due() {
    let world = undisturbed(&config(&[]));
    let came: Vec<_> = world.reports.iter().map(|r| (r.kind, r.step.0, r.episodes)).collect();
    let (training, validation) = (ReportKind::Training, ReportKind::Validation);
    assert_eq!(
        came,
        [
            (validation, 2, 5),
            (training, 4, 28),
            (validation, 4, 5),
            (training, 6, 14),
            (validation, 6, 5),
            (ReportKind::Test, 6, 9)
        ]
    );
    assert_eq!(world.snapshots.iter().map(|s| s.step.0).collect::<Vec<_>>(), [3, 6]);
    let Some(Outcome::Completed(completed)) = world.outcome else { panic!("it is complete") };
    let losses: Vec<_> =
        world.reports.iter().filter(|r| r.kind == validation).map(|r| r.loss.mean).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let at = losses.iter().position(|&loss| loss == best).unwrap();
    assert_eq!((completed.step, completed.selected), (MetaStep(2 * (at as u64 + 1)), true));
}

#[test]
fn an_evaluation_says_how_far_it_is_and_counts_no_episode_twice() {
    let mut world = world(&["farm.assignment=2", "farm.audit=1.0"]);
    let workers = [world.join(1), world.join(1)];
    let mut seen = Vec::new();
    for worker in workers.into_iter().cycle().take(1000) {
        let Some(assignment) = world.take(worker) else { continue };
        let answer = world.honest(&assignment);
        world.submit(worker, answer);
        let evaluation = world.run.evaluation();
        seen.extend(evaluation.map(|it| (it.split, it.answered, it.episodes)));
    }
    assert!(matches!(world.outcome, Some(Outcome::Completed(_))));
    assert_eq!(world.run.evaluation(), None);
    for (split, episodes) in [(Split::Validation, 5), (Split::Test, 9)] {
        let first = seen.iter().find(|it| it.0 == split);
        assert_eq!(first, Some(&(split, 0, episodes)), "what came before has ended");
        // An answer that is still to be audited counts, and the audit's does not.
        assert!(seen.contains(&(split, episodes, episodes)), "{seen:?}");
    }
    let of_test = seen.iter().filter(|it| it.0 == Split::Test);
    assert!(of_test.is_sorted_by_key(|it| it.1), "{seen:?}");
}

#[test]
fn of_equal_validations_the_earlier_is_kept() {
    // With a rate of next to nothing the parameters stay, to the bit, and so does the loss.
    let world = undisturbed(&config(&["meta_optimizer.rate=1e-30", "training.meta_steps=4"]));
    let best = world.snapshots.last().unwrap().best.as_ref().unwrap();
    let validations = world.reports.iter().filter(|r| r.kind == ReportKind::Validation);
    let losses: Vec<_> = validations.collect();
    assert!(losses.len() > 1);
    let first = losses.iter().position(|r| r.loss.mean == best.sums.mean_loss().mean).unwrap();
    assert_eq!(best.step, losses[first].step);
}

#[test]
fn a_range_that_is_overdue_goes_to_an_idle_worker_and_the_second_answer_is_dropped() {
    let mut world = world(&[]);
    let slow = world.join(1);
    let slow_range = world.workers[&slow][0].range;
    let quick = world.join(1);
    assert!(world.workers[&quick].is_empty(), "nothing is free, and nothing overdue");
    let timeout = world.run.poll_timeout().unwrap();
    assert_eq!(timeout - world.now, Duration::from_secs(30));
    world.wait(Duration::from_secs(29));
    assert!(world.workers[&quick].is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.workers[&quick][0].range, slow_range);
    let late = world.take(slow).unwrap();
    let late = world.honest(&late);
    let answer = world.take(quick).unwrap();
    let answer = world.honest(&answer);
    world.submit(quick, answer);
    world.submit(slow, late);
    assert_eq!(world.refusals, []);
    assert_eq!(world.accepted, [(quick, slow_range), (slow, slow_range)], "both computed it");
}

#[test]
fn what_is_wrong_with_an_answer_is_named() {
    let mut world = world(&[]);
    let refused = |change: &dyn Fn(&mut crate::run::Submission)| {
        let mut world = World::new(Run::new(config(&[]), beginning()));
        let worker = world.join(1);
        let assignment = world.take(worker).unwrap();
        let mut submission = world.honest(&assignment);
        change(&mut submission);
        world.submit(worker, submission);
        assert_eq!(world.workers[&worker].len(), 1, "the range is given again");
        world.refusals.pop().expect("it is refused").1
    };
    let is =
        |refusal: Refusal, text: &str| assert!(refusal.to_string().contains(text), "{refusal}");
    is(refused(&|s| s.job = Job::Gradient { step: MetaStep(9) }), "is for meta-step 9");
    is(refused(&|s| s.parameters = Digest::of(b"")), "is of the parameters");
    is(refused(&|s| s.range = EpisodeRange::new(0, 3)), "0..7, and the answer of 0..3");
    is(refused(&|s| s.partials.clear()), "are not those of its range's subtrees");
    is(refused(&|s| s.partials[0].gradient.truncate(2)), "has 2 elements and not 5");
    is(refused(&|s| s.partials[0].reports.episodes = 3), "reports 3 episodes and not 7");
    is(refused(&|s| s.finite = false), "is not finite");
    is(refused(&|s| s.partials[0].reports.loss = f64::INFINITY), "is not finite");

    let worker = world.join(1);
    let assignment = world.take(worker).unwrap();
    let mut submission = world.honest(&assignment);
    submission.assignment = 77;
    world.submit(worker, submission);
    assert_eq!(world.refusals, [(worker, Refusal::UnknownAssignment(77))]);
}

#[test]
fn a_worker_that_keeps_answering_wrong_is_expelled() {
    let mut world = world(&[]);
    let worker = world.join(1);
    for _ in 0..3 {
        let assignment = world.take(worker).unwrap();
        let mut submission = world.honest(&assignment);
        submission.partials.clear();
        world.submit(worker, submission);
    }
    assert_eq!(world.refusals.last(), Some(&(worker, Refusal::Expelled(3))));
    world.join(1);
    world.work();
    assert!(matches!(world.outcome, Some(Outcome::Completed(_))));
}

#[test]
fn a_worker_that_answers_what_it_was_not_given_for_ever_is_expelled() {
    let mut world = world(&[]);
    let worker = world.join(1);
    let assignment = world.take(worker).unwrap();
    let honest = world.honest(&assignment);
    let mut unknown = honest.clone();
    unknown.assignment = 77;
    for _ in 0..31 {
        world.submit(worker, unknown.clone());
    }
    // An answer in order among them, and it begins again.
    world.submit(worker, honest);
    for _ in 0..31 {
        world.submit(worker, unknown.clone());
    }
    assert_eq!(world.refusals.last(), Some(&(worker, Refusal::UnknownAssignment(77))));
    world.submit(worker, unknown);
    assert_eq!(world.refusals.last(), Some(&(worker, Refusal::Expelled(32))));
    assert_eq!(world.accepted, [(worker, assignment.range)]);
    world.join(1);
    world.work();
    assert!(matches!(world.outcome, Some(Outcome::Completed(_))));
}

#[test]
fn a_range_that_is_not_finite_twice_ends_the_run() {
    let mut world = world(&[]);
    let worker = world.join(1);
    for _ in 0..2 {
        let assignment = world.take(worker).unwrap();
        let mut submission = world.honest(&assignment);
        submission.finite = false;
        world.submit(worker, submission);
    }
    let Some(Outcome::Failed(error)) = world.outcome else { panic!("it has failed") };
    let job = Job::Gradient { step: MetaStep(0) };
    assert_eq!(error, RunError::Diverged { job, range: EpisodeRange::new(0, 7) });
    assert!(error.to_string().starts_with("diverged: meta-step 0"), "{error}");
}

/// A run that is over, and every evaluation of which, by its job and its number from 1 on, `diverges` has a loss of no number.
fn evaluated(diverges: impl Fn(&Job, usize) -> bool) -> World {
    let mut world = world(&[]);
    let worker = world.join(1);
    let mut evaluations = 0;
    while let Some(assignment) = world.take(worker) {
        let mut submission = world.honest(&assignment);
        if matches!(assignment.job, Job::Evaluation { .. }) && assignment.range.start.0 == 0 {
            evaluations += 1;
            if diverges(&assignment.job, evaluations) {
                submission.partials[0].reports.loss = f64::NAN;
                submission.partials[0].reports.loss_squared = f64::NAN;
            }
        }
        world.submit(worker, submission);
    }
    world
}

#[test]
fn an_evaluation_that_diverges_is_reported_and_selects_nothing() {
    let completed = |world: &World| match &world.outcome {
        Some(Outcome::Completed(completed)) => completed.clone(),
        outcome => panic!("{outcome:?}"),
    };
    let test = evaluated(|job, _| *job == Job::Evaluation { split: Split::Test });
    let of_test = completed(&test).test.unwrap();
    assert!(of_test.loss.mean.is_nan() && of_test.episodes == 9, "{of_test:?}");
    assert_eq!(test.refusals, []);
    let all_finite = completed(&undisturbed(&config(&[])));
    assert_eq!(completed(&test).parameters.digest(), all_finite.parameters.digest());

    let none = completed(&evaluated(|_, _| true));
    assert_eq!((none.step, none.selected), (MetaStep(6), false), "the last");
    let first = completed(&evaluated(|_, nth| nth == 1));
    assert!(first.selected && first.step > MetaStep(2), "{}", first.step);
    let but_first = completed(&evaluated(|_, nth| nth > 1));
    assert_eq!((but_first.step, but_first.selected), (MetaStep(2), true));
}

#[test]
fn a_run_that_fails_saves_the_last_complete_step_and_can_go_on_from_it() {
    let config = config(&["training.checkpoint_every=0"]);
    let mut world = World::new(Run::new(config.clone(), beginning()));
    let worker = world.join(1);
    for is_finite in [true, false, false] {
        let assignment = world.take(worker).unwrap();
        let mut submission = world.honest(&assignment);
        submission.finite = is_finite;
        world.submit(worker, submission);
    }
    assert!(matches!(world.outcome, Some(Outcome::Failed(RunError::Diverged { .. }))));
    let snapshot = world.snapshots.pop().unwrap();
    assert_eq!(snapshot.step, MetaStep(1));

    let mut resumed = World::new(Run::restore(config.clone(), snapshot).unwrap());
    resumed.join(1);
    resumed.work();
    let digest = |world: World| match world.outcome {
        Some(Outcome::Completed(completed)) => completed.parameters.digest(),
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(digest(resumed), digest(undisturbed(&config)));
}

#[test]
fn an_update_that_is_not_finite_saves_nothing_for_the_optimizer_has_moved() {
    let mut world = world(&["meta_optimizer.rule.sgd.momentum=0.0", "meta_optimizer.rate=1e30"]);
    let worker = world.join(1);
    let assignment = world.take(worker).unwrap();
    let mut submission = world.honest(&assignment);
    submission.partials[0].gradient.fill(1e30);
    world.submit(worker, submission);
    assert!(matches!(world.outcome, Some(Outcome::Failed(RunError::UpdateDiverged { .. }))));
    assert!(world.snapshots.is_empty());
}

#[test]
fn an_audit_that_differs_ends_the_run_and_names_both() {
    let mut world = world(&["farm.audit=1.0"]);
    let honest = world.join(1);
    let liar = world.join(1);
    let assignment = world.take(honest).unwrap();
    let answer = world.honest(&assignment);
    world.submit(honest, answer);
    assert_eq!(world.workers[&liar][0].range, assignment.range, "another computes it again");
    let again = world.take(liar).unwrap();
    let mut answer = world.honest(&again);
    let value = &mut answer.partials[0].gradient[0];
    *value = f32::from_bits(value.to_bits() ^ 1);
    world.submit(liar, answer);
    assert_eq!(world.snapshots.pop().unwrap().step, MetaStep(0));
    let Some(Outcome::Failed(RunError::AuditMismatch { job, range, first, second })) =
        world.outcome
    else {
        panic!("it has failed")
    };
    assert_eq!((job, range), (assignment.job, assignment.range));
    assert_eq!((first, second), (honest, liar));
}

#[test]
fn a_stop_saves_the_last_complete_step_and_ends() {
    let mut world = world(&[]);
    let worker = world.join(1);
    let assignment = world.take(worker).unwrap();
    let answer = world.honest(&assignment);
    world.submit(worker, answer);
    world.handle(Event::Stop);
    assert_eq!(world.snapshots.pop().unwrap().step, MetaStep(1));
    assert!(matches!(world.outcome, Some(Outcome::Stopped { step: MetaStep(1) })));
    assert_eq!(world.run.poll_timeout(), None);
}
