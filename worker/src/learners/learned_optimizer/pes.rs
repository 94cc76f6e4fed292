//! Persistent evolution strategies (Vicol et al. 2021, algorithm 2): an estimate of the whole trajectory's meta-gradient,
//! without the bias of cutting it into segments and without a way back.
//!
//! Two particles train the same optimizee. In each segment one's φ is perturbed by ε ~ N(0, σ²), the other's by −ε, and each
//! carries its own θ and h on. With ξ the sum of all perturbations so far, and L⁺, L⁻ the two segments' losses,
//!
//! ```text
//! ĝ = Σ over segments  ξ (L⁺ − L⁻) / 2σ²
//! ```
//!
//! Between segments the particles live on: here within one episode, which is the whole trajectory, so that the estimate is a
//! function of φ and the seed like any other meta-gradient.

use super::{LearnedOptimizer, Training, WayBack};
use crate::kernels::Real;
use crate::kernels::pointwise::add_scaled;
use crate::learners::optimizee::Optimizee;

/// The estimator's constants.
pub(super) struct Pes {
    pub(super) deviation: f64,
    pub(super) pairs: usize,
}

/// One thread's vectors: three of the meta-parameters' length, and a particle's losses, segment by segment.
pub(super) struct Scratch<T> {
    /// φ ± ε.
    phi: Vec<T>,
    epsilon: Vec<T>,
    xi: Vec<T>,
    losses: Vec<f64>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(parameters: usize, segments: usize) -> Self {
        let vector = || vec![T::ZERO; parameters];
        Self { phi: vector(), epsilon: vector(), xi: vector(), losses: vec![0.0; segments] }
    }
}

/// What particles have in common.
struct Particles<'a, T, O> {
    learner: &'a LearnedOptimizer<T>,
    phi: &'a [T],
    optimizee: &'a mut O,
    scratch: &'a mut super::Scratch<T>,
    own: &'a mut Scratch<T>,
    deviation: f64,
}

impl Pes {
    /// Writes the estimate to `out`, the mean over all pairs, with perturbations of the deviation times `normals`. What is
    /// reported is the training by the last of the particles.
    pub(super) fn estimate<T: Real>(
        &self,
        learner: &LearnedOptimizer<T>,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        mut normals: impl Iterator<Item = f32> + Clone,
        scratch: &mut super::Scratch<T>,
        out: &mut [T],
    ) -> Training {
        let mut own = scratch.pes.take().expect("laid out where PES estimates");
        let set = learner.setup.instruction_set;
        let weight = 1.0 / (2.0 * self.deviation * self.deviation * self.pairs as f64);
        let mut training = Training::default();
        out.fill(T::ZERO);
        for _ in 0..self.pairs {
            let deviation = self.deviation;
            let (scratch, own) = (&mut *scratch, &mut own);
            let optimizee = &mut *optimizee;
            let mut particles = Particles { learner, phi, optimizee, scratch, own, deviation };
            // Both are perturbed by the same.
            let mut same = normals.clone();
            particles.train(T::ONE, &mut normals, |own, segment, loss| {
                own.losses[segment] = loss;
            });
            training = particles.train(-T::ONE, &mut same, |own, segment, loss| {
                if segment == 0 {
                    own.xi.fill(T::ZERO);
                }
                add_scaled(set, T::ONE, &own.epsilon, &mut own.xi);
                let share = T::from_f64(weight * (own.losses[segment] - loss));
                add_scaled(set, share, &own.xi, out);
            });
        }
        scratch.pes = Some(own);
        training
    }
}

impl<T: Real, O: Optimizee<T>> Particles<'_, T, O> {
    /// Trains the optimizee with φ + sign · ε, a new ε in each segment, and tells of each segment's loss.
    fn train(
        &mut self,
        sign: T,
        normals: &mut impl Iterator<Item = f32>,
        mut told: impl FnMut(&mut Scratch<T>, usize, f64),
    ) -> Training {
        let Self { learner, phi, optimizee, scratch, own, deviation } = self;
        let n = scratch.theta.len();
        let mut training = learner.start(*optimizee, scratch);
        for (segment, begin) in (0..learner.steps).step_by(learner.setup.unroll).enumerate() {
            for (epsilon, normal) in own.epsilon.iter_mut().zip(normals.by_ref()) {
                *epsilon = T::from_f64(*deviation * f64::from(normal));
            }
            own.phi.copy_from_slice(phi);
            add_scaled(learner.setup.instruction_set, sign, &own.epsilon, &mut own.phi);
            scratch.weights.set(&own.phi);
            let steps = learner.setup.unroll.min(learner.steps - begin);
            let before = training.total;
            let steps_of = begin..begin + steps;
            learner.advance(*optimizee, steps_of, scratch, &mut training, WayBack::None);
            scratch.gradients.copy_within(steps * n..(steps + 1) * n, 0);
            told(own, segment, training.total - before);
        }
        training
    }
}
