//! The bits of a run do not depend on who comes, goes, lags, repeats itself, loses or garbles an answer.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{World, beginning, config, undisturbed};
use crate::run::{Completed, Event, Outcome, Run};

/// SplitMix64: the script of a world, from one number.
struct Script(u64);

impl Script {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// How often each fault struck.
#[derive(Debug, Default)]
struct Faults {
    left_with_work: usize,
    lost: usize,
    repeated: usize,
    garbled: usize,
    overdue: usize,
    stopped: usize,
}

fn disturbed(seed: u64, faults: &mut Faults) -> World {
    let mut script = Script(seed);
    let audit = ["farm.audit=0.0", "farm.audit=0.5"][script.below(2)];
    let size = ["farm.assignment=0", "farm.assignment=2"][script.below(2)];
    let config = config(&[audit, size]);
    let mut world = World::new(Run::new(config.clone(), beginning()));
    let mut reports = Vec::new();
    while world.outcome.is_none() {
        let workers: Vec<_> = world.workers.keys().copied().collect();
        let stuck = world.workers.values().all(Vec::is_empty);
        if workers.is_empty() || (workers.len() < 4 && script.below(12) == 0) {
            world.join(1 + script.below(3) as u32);
            continue;
        }
        let worker = workers[script.below(workers.len())];
        match script.below(24) {
            0 => {
                faults.left_with_work += usize::from(!world.workers[&worker].is_empty());
                world.leave(worker);
            }
            _ if stuck => world.leave(worker),
            1 => faults.lost += usize::from(world.take(worker).is_some()),
            2 => {
                let before: usize = world.workers.values().map(Vec::len).sum();
                world.wait(Duration::from_secs(31));
                let after: usize = world.workers.values().map(Vec::len).sum();
                faults.overdue += after - before;
            }
            3 => {
                if let Some(assignment) = world.take(worker) {
                    let submission = world.honest(&assignment);
                    world.submit(worker, submission.clone());
                    world.submit(worker, submission);
                    faults.repeated += 1;
                }
            }
            4 => {
                if let Some(assignment) = world.take(worker) {
                    let mut submission = world.honest(&assignment);
                    submission.partials.pop();
                    world.submit(worker, submission);
                    faults.garbled += 1;
                }
            }
            5 if script.below(4) == 0 => {
                world.handle(Event::Stop);
                let snapshot = world.snapshots.pop().expect("a stop saves");
                reports.append(&mut world.reports);
                world = World::new(Run::restore(config.clone(), snapshot).unwrap());
                faults.stopped += 1;
            }
            _ => {
                if let Some(assignment) = world.take(worker) {
                    let submission = world.honest(&assignment);
                    world.submit(worker, submission);
                }
            }
        }
    }
    reports.append(&mut world.reports);
    world.reports = reports;
    world
}

fn completed(world: &World) -> &Completed {
    match &world.outcome {
        Some(Outcome::Completed(completed)) => completed,
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn the_bits_do_not_depend_on_the_order_of_events() {
    let calm = undisturbed(&config(&[]));
    let mut faults = Faults::default();
    for seed in 0..2000 {
        let stormy = disturbed(seed, &mut faults);
        let (expected, found) = (completed(&calm), completed(&stormy));
        assert_eq!(found.parameters.digest(), expected.parameters.digest(), "seed {seed}");
        assert_eq!((found.step, found.selected), (expected.step, expected.selected));
        assert_eq!(stormy.reports, calm.reports, "seed {seed}");
    }
    let Faults { left_with_work, lost, repeated, garbled, overdue, stopped } = faults;
    for struck in [left_with_work, lost, repeated, garbled, overdue, stopped] {
        assert!(struck > 100, "{faults:?}");
    }
}

proptest! {
    #[test]
    fn nor_do_they_for_any_other_script(seed in any::<u64>()) {
        let calm = undisturbed(&config(&[]));
        let stormy = disturbed(seed, &mut Faults::default());
        prop_assert_eq!(
            completed(&stormy).parameters.digest(),
            completed(&calm).parameters.digest()
        );
    }
}
