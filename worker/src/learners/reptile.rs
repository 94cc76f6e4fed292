//! Reptile (Nichol et al. 2018): trains on the episode's support set and moves the initialisation towards where that
//! leads. Its "meta-gradient" is θ minus the adapted parameters.
//!
//! Adam's running mean of squares may be carried along with the meta-parameters: an episode begins with it, and what the
//! episode adds is its "gradient", as of batch norm's running statistics. Its correction for having begun at zero is carried
//! too, as the weight 1 − β₂ᵗ of all that was added.

use std::sync::Arc;

use lyceum_common::config::{AdamConfig, InnerOptimizer, ReptileConfig};
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::{Batch, Episode};
use crate::kernels::pointwise::{
    add_scaled, running_mean, running_mean_of_squares, subtract, subtract_adam,
};
use crate::kernels::{InstructionSet, Real};
use crate::objective::{Frame, Objective};
use crate::reports::Reports;

/// Reptile with SGD or Adam inside, on the whole support set or on batches of it.
pub(super) struct Reptile<T> {
    optimizer: InnerOptimizer,
    rate: T,
    training: Stage<T>,
    training_batch: Arc<Objective<T>>,
    evaluation: Stage<T>,
    evaluation_batch: Arc<Objective<T>>,
    parameters: usize,
}

/// One thread's frames and vectors.
pub(crate) struct Scratch<T> {
    inner: InnerScratch<T>,
    training_batch: Frame<T>,
    training: StageFrames<T>,
    evaluation_batch: Frame<T>,
    evaluation: StageFrames<T>,
}

/// What the inner loop works on.
struct InnerScratch<T> {
    theta: Vec<T>,
    /// Adam's running means of the gradient and of its square; untouched by SGD.
    mean: Vec<T>,
    square: Vec<T>,
    /// Support examples that are still to come before the next shuffle.
    left: Vec<u32>,
    rows: Vec<u32>,
}

impl<T: Real> Reptile<T> {
    pub(super) fn new(config: &ReptileConfig, setting: &Setting<'_>) -> Self {
        let parameters = setting.network.layout().len();
        let steps = (config.inner_steps, config.evaluation_steps);
        let (training, evaluation) = Stage::both(setting, steps, &(0..0));
        let is_smaller = |stage: &Stage<T>, size: &usize| *size < stage.support.examples();
        let training_batch = config.inner_batch.filter(|size| is_smaller(&training, size));
        let evaluation_batch = config.evaluation_batch.filter(|size| is_smaller(&evaluation, size));
        Self {
            optimizer: config.inner_optimizer,
            rate: T::from_f64(f64::from(config.inner_rate)),
            training_batch: training_batch.map_or_else(
                || Arc::clone(&training.support),
                |size| setting.objective(size, 0..0),
            ),
            evaluation_batch: evaluation_batch.map_or_else(
                || Arc::clone(&evaluation.support),
                |size| setting.evaluation_objective(size),
            ),
            training,
            evaluation,
            parameters,
        }
    }

    /// Begins an episode at the meta-parameters: θ, and what is carried.
    fn begin<'m>(&self, meta: &'m [T], inner: &mut InnerScratch<T>) -> (&'m [T], Carried<'m, T>) {
        let (theta, carried) = meta.split_at(self.parameters);
        inner.theta.copy_from_slice(theta);
        let carried = carried.split_last().map(|(&weight, squares)| (squares, weight));
        (theta, carried)
    }

    /// The stage's inner steps on batches of the support set, which is shuffled, gone through, and shuffled again. Returns the
    /// weight of Adam's mean of squares.
    fn train(
        &self,
        stage: &Stage<T>,
        (objective, frame): (&Objective<T>, &mut Frame<T>),
        (support, seed): (&Batch, Seed<OfEpisode>),
        carried: Carried<'_, T>,
        inner: &mut InnerScratch<T>,
    ) -> T {
        let InnerScratch { theta, mean, square, left, rows } = inner;
        let (batch, examples) = (objective.examples(), stage.support.examples());
        let mut generator = seed.stream(Purpose::InnerBatches);
        let mut optimizer = Descent::new(self.optimizer, self.rate, [mean, square], carried);
        left.clear();
        if batch == examples {
            objective.load(frame, support);
        }
        for _ in 0..stage.steps {
            if batch < examples {
                rows.clear();
                while rows.len() < batch {
                    if left.is_empty() {
                        left.resize(examples, 0);
                        generator.choose(examples as u32, left);
                    }
                    rows.extend(left.pop());
                }
                objective.load_rows(frame, support, rows);
            }
            objective.set_parameters(frame, theta);
            objective.gradient(frame);
            optimizer.step(objective.instruction_set(), objective.gradient_of(frame), theta);
        }
        optimizer.weight_of_squares()
    }
}

impl<T: Real> Learner<T> for Reptile<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let examples = self.training.support.examples().max(self.evaluation.support.examples());
        let batch = self.training_batch.examples().max(self.evaluation_batch.examples());
        Scratch {
            inner: InnerScratch {
                theta: vec![T::ZERO; self.parameters],
                mean: vec![T::ZERO; self.parameters],
                square: vec![T::ZERO; self.parameters],
                left: Vec::with_capacity(examples),
                rows: Vec::with_capacity(batch),
            },
            training_batch: self.training_batch.frame(),
            training: self.training.frames(),
            evaluation_batch: self.evaluation_batch.frame(),
            evaluation: self.evaluation.frames(),
        }
    }

    fn meta_gradient(
        &self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Reports {
        let Scratch { inner, training_batch, training, .. } = scratch;
        let (theta, carried) = self.begin(theta, inner);
        let objective = (&*self.training_batch, training_batch);
        let weight =
            self.train(&self.training, objective, (&episode.support, seed), carried, inner);
        let set = self.training_batch.instruction_set();
        let (out, change) = out.split_at_mut(self.parameters);
        subtract(set, theta, &inner.theta, out);
        if let (Some((squares, before)), Some((last, change))) = (carried, change.split_last_mut())
        {
            subtract(set, &inner.square, squares, change);
            *last = weight - before;
        }
        self.training.predict(&inner.theta, episode, training)
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> Reports {
        let Scratch { inner, evaluation_batch, evaluation, .. } = scratch;
        let (_, carried) = self.begin(theta, inner);
        let objective = (&*self.evaluation_batch, evaluation_batch);
        self.train(&self.evaluation, objective, (&episode.support, seed), carried, inner);
        self.evaluation.predict(&inner.theta, episode, evaluation)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.training.query)
    }

    fn evaluated<'s>(&'s self, scratch: &'s Scratch<T>) -> (&'s Objective<T>, &'s Frame<T>) {
        (&self.evaluation.query, &scratch.evaluation.query)
    }

    fn products(&self) -> usize {
        self.training.steps * self.training_batch.products().0
    }
}

/// Adam's mean of squares and its weight, where they are carried.
type Carried<'m, T> = Option<(&'m [T], T)>;

/// The inner optimizer of an episode.
struct Descent<'s, T> {
    optimizer: InnerOptimizer,
    rate: T,
    mean: &'s mut [T],
    square: &'s mut [T],
    /// β₁ᵗ and β₂ᵗ.
    powers: (f64, f64),
}

impl<'s, T: Real> Descent<'s, T> {
    fn new(
        optimizer: InnerOptimizer,
        rate: T,
        [mean, square]: [&'s mut [T]; 2],
        carried: Carried<'_, T>,
    ) -> Self {
        let mut powers = (1.0, 1.0);
        if matches!(optimizer, InnerOptimizer::Adam(_)) {
            mean.fill(T::ZERO);
            match carried {
                None => square.fill(T::ZERO),
                Some((squares, weight)) => {
                    square.copy_from_slice(squares);
                    powers.1 = 1.0 - weight.to_f64();
                }
            }
        }
        Self { optimizer, rate, mean, square, powers }
    }

    /// 1 − β₂ᵗ over all steps that the mean of squares is of.
    fn weight_of_squares(&self) -> T {
        T::from_f64(1.0 - self.powers.1)
    }

    fn step(&mut self, set: InstructionSet, g: &[T], theta: &mut [T]) {
        match self.optimizer {
            InnerOptimizer::Sgd => add_scaled(set, -self.rate, g, theta),
            InnerOptimizer::Adam(adam) => self.adam(set, &adam, g, theta),
        }
    }

    /// θ −= rate · m̂ / (√v̂ + ε) (Kingma and Ba 2015, algorithm 1).
    fn adam(&mut self, set: InstructionSet, adam: &AdamConfig, g: &[T], theta: &mut [T]) {
        let (beta1, beta2) = (f64::from(adam.beta1), f64::from(adam.beta2));
        self.powers = (self.powers.0 * beta1, self.powers.1 * beta2);
        let real = T::from_f64;
        running_mean(set, real(beta1), real(1.0 - beta1), g, self.mean);
        running_mean_of_squares(set, real(beta2), real(1.0 - beta2), g, self.square);
        let rate = self.rate * real(1.0 / (1.0 - self.powers.0));
        let scale = real(1.0 / (1.0 - self.powers.1));
        subtract_adam(
            set,
            rate,
            scale,
            real(f64::from(adam.epsilon)),
            self.mean,
            self.square,
            theta,
        );
    }
}
