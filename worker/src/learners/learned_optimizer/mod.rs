//! Learning to learn by gradient descent by gradient descent (Andrychowicz et al. 2016): an LSTM m with parameters φ, the
//! same for every coordinate of an optimizee f and with a state h for each, takes the steps that train it,
//!
//! ```text
//! θₜ₊₁ = θₜ + s · mₜ,    (mₜ, hₜ₊₁) = m(∇fₜ(θₜ), hₜ; φ),    meta-loss Σₜ wₜ₊₁ fₜ₊₁(θₜ₊₁)
//! ```
//!
//! with w = 1 in the paper. An episode is the whole training of one optimizee. Its meta-gradient is the sum over the
//! trajectory's segments of `unroll` steps, all at the same φ; θ and h are carried from one to the next, and held constant
//! at the border. So there is no state between episodes, and the meta-gradient is a pure function of φ and the seed.
//!
//! Coordinates know of one another only where they share a memory. The paper's is a matrix that the LSTM writes and reads
//! ("NTM-BFGS"); here it holds what BFGS writes, the last pairs of a step and the change of the gradient over it, and the LSTM
//! reads what BFGS does, H ∇f. Like the gradient it is held constant. What the LSTM says is by which share of it a step departs from
//! BFGS's, coordinate by coordinate, so that it comes to rest where the function does:
//!
//! ```text
//! θₜ₊₁ = θₜ − (1 + s · mₜ) ∘ Hₜ∇fₜ(θₜ),    (mₜ, hₜ₊₁) = m(∇fₜ(θₜ), Hₜ∇fₜ(θₜ), hₜ; φ)
//! ```

mod coordinates;
mod kept;
mod lstm;
mod pes;
mod profile;
mod record;
#[cfg(test)]
mod tests;
mod update_rule;
mod workload;

pub use workload::LstmWorkload;

use lyceum_common::config::{Estimator, LearnedOptimizerConfig, Order};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::limited_memory::LimitedMemory;
use super::optimizee::Optimizee;
use crate::kernels::{InstructionSet, LogAndSign, Real};
use coordinates::{Coordinates, Segment, Setup};
use lstm::{Shape, Sums, Weights};
use update_rule::Observed;

/// A learned optimizer with its trajectory's lengths.
pub(crate) struct LearnedOptimizer<T> {
    setup: Setup<T>,
    /// Pairs in the memory; none without one.
    memory: usize,
    steps: usize,
    evaluation_steps: usize,
    loss_power: f64,
    order: Order,
    estimator: Estimator,
}

/// One thread's states and vectors, for optimizees of one size.
pub(crate) struct Scratch<T> {
    weights: Weights<T>,
    sums: Sums<T>,
    coordinates: Coordinates<T>,
    theta: Vec<T>,
    /// ∇f at the segment's θ₀ … θ_unroll, one behind the other.
    gradients: Vec<T>,
    /// H ∇f at the segment's θ₀ … θ_unroll₋₁; nothing without a memory.
    directions: Vec<T>,
    memory: Option<LimitedMemory<T>>,
    /// w of the loss after each of the segment's steps.
    loss_weights: Vec<T>,
    /// λ, a direction and a product, where the meta-gradient is exact.
    exact: [Vec<T>; 3],
    /// f₁(θ₁), f₂(θ₂), …
    losses: Vec<f64>,
    pes: Option<pes::Scratch<T>>,
}

/// How an optimizee's training went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Training {
    /// f₀(θ₀).
    pub(crate) first: f64,
    /// The meta-loss.
    pub(crate) total: f64,
    /// The last function at the last θ.
    pub(crate) last: EpisodeReport,
}

/// Whether what steps compute is kept.
#[derive(Clone, Copy, PartialEq)]
enum WayBack {
    Follows,
    None,
}

impl<T: Real> LearnedOptimizer<T> {
    pub(crate) fn new(
        config: &LearnedOptimizerConfig,
        instruction_set: InstructionSet,
        kept_bytes: usize,
    ) -> Self {
        let setup = Setup {
            shape: Shape { inputs: config.inputs(), hidden: config.hidden },
            unroll: config.unroll.min(config.inner_steps),
            reading: LogAndSign::new(f64::from(config.preprocess_p)),
            output_scale: T::from_f64(f64::from(config.output_scale)),
            instruction_set,
            kept_bytes: if config.estimator == Estimator::BackPropagation { kept_bytes } else { 0 },
            step_by_step: config.order == Order::Second,
        };
        Self {
            setup,
            memory: config.memory,
            steps: config.inner_steps,
            evaluation_steps: config.evaluation_steps,
            loss_power: f64::from(config.loss_power),
            order: config.order,
            estimator: config.estimator,
        }
    }

    /// How many functions back an optimizee is asked for Hessian-vector products.
    pub(crate) fn curved(&self) -> usize {
        if self.order == Order::Second { self.setup.unroll + 1 } else { 0 }
    }

    /// For optimizees of `coordinates` parameters.
    pub(crate) fn scratch(&self, coordinates: usize) -> Scratch<T> {
        let Setup { shape, unroll, instruction_set, .. } = self.setup;
        let remembered = if self.memory > 0 { coordinates } else { 0 };
        let exact = if self.order == Order::Second { coordinates } else { 0 };
        let pes = match self.estimator {
            Estimator::BackPropagation => None,
            Estimator::Pes { .. } => {
                let segments = self.steps.div_ceil(unroll);
                Some(pes::Scratch::new(shape.parameters(), segments))
            }
        };
        Scratch {
            weights: Weights::new(shape),
            sums: Sums::new(shape),
            coordinates: Coordinates::new(coordinates, self.setup),
            theta: vec![T::ZERO; coordinates],
            gradients: vec![T::ZERO; (unroll + 1) * coordinates],
            directions: vec![T::ZERO; unroll * remembered],
            memory: (self.memory > 0)
                .then(|| LimitedMemory::new(self.memory, coordinates, instruction_set)),
            loss_weights: vec![T::ZERO; unroll],
            exact: std::array::from_fn(|_| vec![T::ZERO; exact]),
            losses: vec![0.0; self.steps.max(self.evaluation_steps)],
            pes,
        }
    }

    /// How many meta-parameters there are.
    pub(crate) fn parameters(&self) -> usize {
        self.setup.shape.parameters()
    }

    /// Writes the episode's meta-gradient at φ to `out`, in the layout's order.
    pub(crate) fn meta_gradient(
        &self,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        seed: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Training {
        let normals = || {
            let mut generator = seed.stream(Purpose::Perturbations);
            std::iter::repeat_with(move || generator.normal())
        };
        self.meta_gradient_with(phi, optimizee, normals, scratch, out)
    }

    /// The same with `normals` to perturb φ by, where that is estimated from: for every pair of particles, for each segment
    /// one for every meta-parameter.
    pub(crate) fn meta_gradient_with<N: Iterator<Item = f32> + Clone>(
        &self,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        normals: impl FnOnce() -> N,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Training {
        match self.estimator {
            Estimator::BackPropagation => self.back_propagate(phi, optimizee, scratch, out),
            Estimator::Pes { deviation, pairs } => {
                let pes = pes::Pes { deviation: f64::from(deviation), pairs };
                pes.estimate(self, phi, optimizee, normals(), scratch, out)
            }
        }
    }

    fn back_propagate(
        &self,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Training {
        let n = scratch.theta.len();
        scratch.sums.clear();
        scratch.weights.set(phi);
        let mut training = self.start(optimizee, scratch);
        let mut begin = 0;
        while begin < self.steps {
            let steps = self.setup.unroll.min(self.steps - begin);
            self.advance(optimizee, begin..begin + steps, scratch, &mut training, WayBack::Follows);
            let Scratch {
                weights,
                sums,
                coordinates,
                gradients,
                directions,
                loss_weights,
                exact,
                ..
            } = &mut *scratch;
            let segment = Segment { steps, gradients, directions, loss_weights };
            if self.order == Order::First {
                coordinates.backward(weights, segment, sums);
            } else {
                let vectors = exact.each_mut().map(|vector| &mut vector[..]);
                coordinates.backward_exactly(weights, segment, sums, vectors, |t, v, out| {
                    optimizee.hessian_vector_product(begin + t, v, out)
                });
            }
            // The segment's last gradient is the next one's first.
            gradients.copy_within(steps * n..(steps + 1) * n, 0);
            begin += steps;
        }
        scratch.sums.write(self.setup.instruction_set, out);
        training
    }

    /// Trains an optimizee as in evaluation.
    pub(crate) fn train(
        &self,
        phi: &[T],
        optimizee: &mut impl Optimizee<T>,
        scratch: &mut Scratch<T>,
    ) -> Training {
        let n = scratch.theta.len();
        scratch.weights.set(phi);
        let mut training = self.start(optimizee, scratch);
        for t in 0..self.evaluation_steps {
            self.advance(optimizee, t..t + 1, scratch, &mut training, WayBack::None);
            scratch.gradients.copy_within(n..2 * n, 0);
        }
        training
    }

    /// f₁(θ₁), f₂(θ₂), … of the training that `scratch` was last used for.
    pub(crate) fn losses<'s>(&self, scratch: &'s Scratch<T>) -> &'s [f64] {
        &scratch.losses
    }

    /// θ₀, its gradient, and states of zero.
    fn start(&self, optimizee: &mut impl Optimizee<T>, scratch: &mut Scratch<T>) -> Training {
        let n = scratch.theta.len();
        scratch.coordinates.reset();
        scratch.memory.iter_mut().for_each(LimitedMemory::reset);
        optimizee.start(&mut scratch.theta);
        let last = optimizee.next(&scratch.theta, &mut scratch.gradients[..n]);
        Training { first: last.loss, total: 0.0, last }
    }

    /// The steps of one segment, whose first gradient is there.
    fn advance(
        &self,
        optimizee: &mut impl Optimizee<T>,
        steps: std::ops::Range<usize>,
        scratch: &mut Scratch<T>,
        training: &mut Training,
        way_back: WayBack,
    ) {
        let Scratch {
            weights,
            coordinates,
            theta,
            gradients,
            directions,
            memory,
            loss_weights,
            losses,
            ..
        } = scratch;
        let (n, begin) = (theta.len(), steps.start);
        for (t, loss) in losses[steps].iter_mut().enumerate() {
            let (before, after) = gradients[t * n..].split_at_mut(n);
            let of_segment = (way_back == WayBack::Follows).then_some(t);
            let mut observed = Observed { gradient: before, direction: &[] };
            if let Some(memory) = memory {
                let direction = &mut directions[t * n..(t + 1) * n];
                memory.read(theta, before, direction);
                observed.direction = direction;
            }
            coordinates.step(weights, of_segment, observed, theta);
            training.last = optimizee.next(theta, &mut after[..n]);
            *loss = training.last.loss;
            let weight = self.weight(begin + t + 1);
            training.total += weight * *loss;
            loss_weights[t] = T::from_f64(weight);
        }
    }

    /// w of the loss after step `t`.
    fn weight(&self, t: usize) -> f64 {
        libm::pow(t as f64 / self.steps as f64, self.loss_power)
    }

    /// Products of a coordinate's step: forward, with the memory's, and backward.
    fn step_products(&self) -> (usize, usize) {
        let (forward, backward) = self.setup.shape.products();
        // Of each pair: with s and with y, either way.
        (forward + 4 * self.memory, backward)
    }

    /// Products, each with an addition, of the meta-gradient of an episode whose optimizee has `coordinates` parameters and
    /// these products: of a gradient, and of a Hessian-vector product. What is computed again counts once.
    pub(crate) fn products(&self, coordinates: usize, of: (usize, usize)) -> usize {
        let (forward, backward) = self.step_products();
        let gradients = (self.steps + 1) * of.0;
        match (self.estimator, self.order) {
            (Estimator::BackPropagation, Order::First) => {
                gradients + self.steps * coordinates * (forward + backward)
            }
            (Estimator::BackPropagation, Order::Second) => {
                // A segment's first θ is held constant.
                let curved = self.steps - self.steps.div_ceil(self.setup.unroll);
                gradients + curved * of.1 + self.steps * coordinates * (forward + backward)
            }
            (Estimator::Pes { pairs, .. }, _) => {
                2 * pairs * (gradients + self.steps * coordinates * forward)
            }
        }
    }
}
