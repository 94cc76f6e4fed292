//! Meta-SGD (Li et al. 2017): the initialisation θ and a rate α for each parameter are learned together.

use lyceum_common::config::MetaSgdConfig;
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::kernels::pointwise::{less_product, multiply, subtract_product};
use crate::objective::{Frame, Objective, TangentPlane};
use crate::ops::From;
use crate::profile::Share;
use crate::reports::Reports;
use crate::trajectory::Trajectory;

/// Meta-SGD. Its meta-parameters are (θ, α), one behind the other.
pub(super) struct MetaSgd<T> {
    training: Stage<T>,
    evaluation: Stage<T>,
    parameters: usize,
    /// Those of all episodes abreast.
    numbers: usize,
    kept_bytes: usize,
}

/// One thread's frames and vectors.
pub(crate) struct Scratch<T> {
    trajectory: Trajectory<T>,
    query: Frame<T>,
    tangents: TangentPlane<T>,
    /// θ as evaluation adapts it.
    adapted: Vec<T>,
    evaluation: StageFrames<T>,
}

impl<T: Real> MetaSgd<T> {
    pub(super) fn new(config: &MetaSgdConfig, setting: &Setting<'_>) -> Self {
        let parameters = setting.network.layout().len();
        let steps = (config.inner_steps, config.evaluation_steps);
        let (training, evaluation) = Stage::both(setting, steps, &(0..parameters));
        let numbers = parameters * setting.abreast;
        Self { training, evaluation, parameters, numbers, kept_bytes: setting.kept_bytes }
    }
}

impl<T: Real> Learner<T> for MetaSgd<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let Stage { support, query, steps, .. } = &self.training;
        Scratch {
            trajectory: Trajectory::new(support, *steps, self.kept_bytes),
            query: query.frame(),
            tangents: support.tangent_plane(),
            adapted: vec![T::ZERO; self.numbers],
            evaluation: self.evaluation.frames(),
        }
    }

    fn meta_gradient(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Reports {
        let (theta, alpha) = theta.split_at(self.parameters);
        let (lambda, alpha_gradient) = out.split_at_mut(self.numbers);
        let Stage { support, query, steps, .. } = &self.training;
        let Scratch { trajectory, query: frame, tangents, .. } = scratch;
        let set = support.instruction_set();
        trajectory.start(support, &episode.support, |start| start.copy_from_slice(theta));
        for k in 0..*steps {
            // θₖ₊₁ = θₖ − α ∘ g(θₖ)
            trajectory.advance(support, k, query.parameters_mut(frame), |g, theta, next| {
                less_product(set, theta, alpha, g, next);
            });
        }
        query.load(frame, &episode.query);
        query.step(frame, From::Zero, T::ONE, lambda);
        alpha_gradient.fill(T::ZERO);
        for k in (0..*steps).rev() {
            let values = trajectory.revisit(support, k);
            // ∂/∂α −= g(θₖ) ∘ λₖ₊₁
            subtract_product(set, support.gradient_of(values), lambda, alpha_gradient);
            // λₖ = λₖ₊₁ − H(θₖ) (α ∘ λₖ₊₁)
            multiply(set, alpha, lambda, support.direction(tangents));
            support.step_along_product(values, tangents, -T::ONE, lambda);
        }
        query.report(frame)
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> Reports {
        let (theta, alpha) = theta.split_at(self.parameters);
        let Scratch { evaluation: frames, adapted, .. } = scratch;
        let set = self.evaluation.support.instruction_set();
        adapted[..self.parameters].copy_from_slice(theta);
        let phi = self.evaluation.adapt(episode, frames, adapted, |_, g, theta, next| {
            less_product(set, theta, alpha, g, next);
        });
        self.evaluation.predict(phi, episode, frames)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.query)
    }

    fn evaluated<'s>(&'s self, scratch: &'s Scratch<T>) -> (&'s Objective<T>, &'s Frame<T>) {
        (&self.evaluation.query, &scratch.evaluation.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        self.training.steps * (gradient + hessian) + self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(1)
    }
}
