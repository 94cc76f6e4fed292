//! Where the time of an optimizee's training goes: with the optimizee, on the LSTM's way forward, on its way back.

use std::time::{Duration, Instant};

use lyceum_common::config::Estimator;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use super::{LearnedOptimizer, Scratch};
use crate::kernels::Real;
use crate::learners::optimizee::Optimizee;
use crate::profile::Timing;

/// The phases of a trajectory: its optimizee's functions with their gradients and, for an exact meta-gradient, products with
/// their Hessians; the LSTM's steps, and the way back through them.
const PHASES: [(&str, &str); 4] = [
    ("optimizee", "Gradient"),
    ("optimizee", "HessianVectorProduct"),
    ("forward", "Lstm"),
    ("backward", "Lstm"),
];

#[expect(clippy::disallowed_methods, reason = "a profile is about time; no result depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// An optimizee, and how long it was asked and the LSTM took in between.
struct Watched<'o, O> {
    optimizee: &'o mut O,
    /// Steps after which the LSTM goes back through them.
    unroll: usize,
    /// Functions that were asked for.
    asked: usize,
    /// Products with their Hessians that were.
    curved: usize,
    /// When it was asked last.
    left: Instant,
    times: [Duration; PHASES.len()],
}

impl<O> Watched<'_, O> {
    /// The time since the optimizee was asked last is of `phase`.
    fn note(&mut self, phase: usize) {
        let arrived = now();
        self.times[phase] += arrived - self.left;
        self.left = arrived;
    }
}

impl<T: Real, O: Optimizee<T>> Optimizee<T> for Watched<'_, O> {
    fn start(&mut self, theta: &mut [T]) {
        self.optimizee.start(theta);
        self.left = now();
    }

    fn next(&mut self, theta: &[T], gradient: &mut [T]) -> EpisodeReport {
        // A step came before, and ahead of a segment's first one the way back through another.
        let follows_a_segment = self.asked > 1 && (self.asked - 1).is_multiple_of(self.unroll);
        self.note(if follows_a_segment { 3 } else { 2 });
        let report = self.optimizee.next(theta, gradient);
        self.asked += 1;
        self.note(0);
        report
    }

    fn hessian_vector_product(&mut self, at: usize, v: &[T], out: &mut [T]) {
        self.note(3);
        self.optimizee.hessian_vector_product(at, v, out);
        self.curved += 1;
        self.note(1);
    }
}

impl<T: Real> LearnedOptimizer<T> {
    /// Times the phases of the trajectory of `seed`, the medians of `repeats`. A segment's first step counts as the mean of
    /// its others. Empty for an estimator that goes no way back. `of` has the products of an optimizee's gradient, and of a
    /// product with its Hessian.
    pub(crate) fn profile(
        &self,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        seed: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        of: (usize, usize),
        repeats: usize,
    ) -> Vec<Timing> {
        if self.estimator != Estimator::BackPropagation {
            return Vec::new();
        }
        let (unroll, segments) = (self.setup.unroll, self.steps.div_ceil(self.setup.unroll));
        let mut out = vec![T::ZERO; self.parameters()];
        // Every trajectory has as many.
        let mut runs = [0; PHASES.len()];
        let trajectory = |_| {
            let times = [Duration::ZERO; PHASES.len()];
            let left = now();
            let mut watched = Watched { optimizee, unroll, asked: 0, curved: 0, left, times };
            self.meta_gradient(phi, &mut watched, seed, scratch, &mut out);
            watched.note(3);
            runs = [watched.asked, watched.curved, self.steps, self.steps];
            let [gradients, products, forward, backward] = watched.times;
            // Steps that a way back came before were timed with it.
            let together = segments - 1;
            let step = forward / u32::try_from(self.steps - together).unwrap_or(u32::MAX);
            let moved = step * u32::try_from(together).unwrap_or(u32::MAX);
            [gradients, products, forward + moved, backward.saturating_sub(moved)]
        };
        let trajectories: Vec<_> = (0..repeats).map(trajectory).collect();
        let (forward, backward) = self.step_products();
        let coordinates = scratch.theta.len();
        timings(&trajectories, runs, [of.0, of.1, coordinates * forward, coordinates * backward])
    }
}

/// The medians of the phases' times, each shared by its runs; without phases that are not run.
pub(super) fn timings(
    trajectories: &[[Duration; PHASES.len()]],
    runs: [usize; PHASES.len()],
    products: [usize; PHASES.len()],
) -> Vec<Timing> {
    let timing = |(phase, (program, op)): (usize, _)| {
        let mut times: Vec<_> = trajectories.iter().map(|times| times[phase]).collect();
        times.sort_unstable();
        let whole = times.get(times.len() / 2).copied().unwrap_or_default();
        let (runs, products) = (runs[phase], products[phase]);
        let time = whole / u32::try_from(runs.max(1)).unwrap_or(u32::MAX);
        Timing { batch: "all", program, layer: 0, op, products, runs, time }
    };
    PHASES.into_iter().enumerate().map(timing).filter(|timing| timing.runs > 0).collect()
}

/// The times of what the LSTM of `workload` does alone: its way forward, and back.
pub(super) fn of_lstm<W>(
    workload: &mut W,
    forward: impl FnOnce(&mut W),
    backward: impl FnOnce(&mut W),
) -> [Duration; PHASES.len()] {
    let started = now();
    forward(workload);
    let turned = now();
    backward(workload);
    [Duration::ZERO, Duration::ZERO, turned - started, now() - turned]
}
