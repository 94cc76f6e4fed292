//! Meta-SGD (Li et al. 2017): the initialisation θ and a rate α for each parameter are learned together.

use lyceum_common::config::MetaSgdConfig;
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::kernels::pointwise::{add_scaled, multiply, subtract_product};
use crate::objective::{Frame, TangentPlane};
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
    /// α once for each episode, where several are abreast.
    rates: Vec<T>,
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
            rates: vec![T::ZERO; if self.numbers > self.parameters { self.numbers } else { 0 }],
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
        let Scratch { trajectory, query: frame, tangents, rates, .. } = scratch;
        let alpha = support.in_lanes(alpha, rates);
        let set = support.instruction_set();
        trajectory.start(support, &episode.support, |start| support.spread(theta, start));
        for k in 0..*steps {
            // θₖ₊₁ = θₖ − α ∘ g(θₖ)
            trajectory.advance(support, k, query.parameters_mut(frame), |g, theta, next| {
                next.copy_from_slice(theta);
                subtract_product(set, alpha, g, next);
            });
        }
        query.load(frame, &episode.query);
        query.gradient(frame);
        lambda.copy_from_slice(query.gradient_of(frame));
        alpha_gradient.fill(T::ZERO);
        for k in (0..*steps).rev() {
            let values = trajectory.revisit(support, k);
            // ∂/∂α −= g(θₖ) ∘ λₖ₊₁
            subtract_product(set, support.gradient_of(values), lambda, alpha_gradient);
            // λₖ = λₖ₊₁ − H(θₖ) (α ∘ λₖ₊₁)
            multiply(set, alpha, lambda, support.direction(tangents));
            let product = support.hessian_vector_product(values, tangents);
            add_scaled(set, -T::ONE, product, lambda);
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
        let Scratch { evaluation: frames, adapted, rates, .. } = scratch;
        let Stage { support, steps, .. } = &self.evaluation;
        let alpha = support.in_lanes(alpha, rates);
        support.spread(theta, adapted);
        support.load(&mut frames.support, &episode.support);
        for _ in 0..*steps {
            support.set_parameters(&mut frames.support, adapted);
            support.gradient(&mut frames.support);
            subtract_product(
                support.instruction_set(),
                alpha,
                support.gradient_of(&frames.support),
                adapted,
            );
        }
        self.evaluation.predict(adapted, episode, frames)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        self.training.steps * (gradient + hessian) + self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(1)
    }
}
