//! A run goes on where nobody is left to take a range who did not have it before.

use std::time::Duration;

use lyceum_common::ids::{EpisodeRange, WorkerId};

use super::world::{World, beginning, config, undisturbed};
use crate::run::{Completed, Outcome, Run, Submission};

fn world(overrides: &[&str]) -> World {
    World::new(Run::new(config(overrides), beginning()))
}

/// The worker answers its next assignment; returns the range.
fn answer(
    world: &mut World,
    worker: WorkerId,
    change: impl FnOnce(&mut Submission),
) -> EpisodeRange {
    let assignment = world.take(worker).expect("it has something to do");
    let mut submission = world.honest(&assignment);
    change(&mut submission);
    world.submit(worker, submission);
    assignment.range
}

fn completed(world: &World) -> &Completed {
    match &world.outcome {
        Some(Outcome::Completed(completed)) => completed,
        outcome => panic!("{outcome:?}"),
    }
}

/// All that is given is answered, and comes to the bits of a run that nothing happened to.
fn completes(mut world: World) {
    world.work();
    let expected = undisturbed(&config(&[]));
    let digests = [&world, &expected].map(|world| completed(world).parameters.digest());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn an_audited_range_whose_second_answer_is_not_finite_goes_to_the_first_worker_again() {
    let mut world = world(&["farm.audit=1.0"]);
    let (first, second) = (world.join(1), world.join(1));
    let range = answer(&mut world, first, |_| ());
    assert!(world.workers[&first].is_empty(), "another is to confirm it");
    assert_eq!(answer(&mut world, second, |submission| submission.finite = false), range);
    assert_eq!(world.workers[&first][0].range, range);
    assert!(world.workers[&second].is_empty(), "its values were not finite");
    completes(world);
}

#[test]
fn so_it_does_where_the_second_worker_never_answers() {
    let mut world = world(&["farm.audit=1.0"]);
    let (first, silent) = (world.join(1), world.join(1));
    let range = answer(&mut world, first, |_| ());
    assert!(world.take(silent).is_some());
    world.wait(Duration::from_secs(29));
    assert!(world.workers[&first].is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.workers[&first][0].range, range);
    completes(world);
}

#[test]
fn what_a_silent_worker_has_goes_to_one_whose_values_were_not_finite() {
    let mut world = world(&[]);
    let (first, silent) = (world.join(1), world.join(1));
    answer(&mut world, first, |submission| submission.finite = false);
    while world.take(silent).is_some() {}
    world.wait(Duration::from_secs(29));
    assert!(world.workers[&first].is_empty(), "there is another to ask");
    world.wait(Duration::from_secs(1));
    assert!(!world.workers[&first].is_empty());
    completes(world);
}
