//! Model-agnostic meta-learning, exact and first-order (Finn et al. 2017, algorithm 2), and ANIL (Raghu et al. 2020),
//! whose inner loop changes the head alone.

use std::ops::Range;

use lyceum_common::config::{Adapt, MamlConfig, Order};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::kernels::pointwise::{add_scaled, clip};
use crate::objective::{Frame, TangentPlane};
use crate::trajectory::Trajectory;

/// MAML with K inner steps at the rate α.
pub(crate) struct Maml<T> {
    training: Stage<T>,
    evaluation: Stage<T>,
    adapted: Range<usize>,
    alpha: T,
    clip: Option<T>,
    order: Order,
    parameters: usize,
    kept_bytes: usize,
}

/// One thread's frames and vectors.
pub(crate) struct Scratch<T> {
    trajectory: Trajectory<T>,
    query: Frame<T>,
    tangents: TangentPlane<T>,
    /// The inner gradient as it is applied: clipped.
    step: Vec<T>,
    /// α λ where the inner loop passes it through, zero elsewhere.
    direction: Vec<T>,
    evaluation: StageFrames<T>,
}

impl<T: Real> Maml<T> {
    pub(crate) fn new(config: &MamlConfig, setting: &Setting<'_>) -> Self {
        let parameters = setting.network.layout().len();
        let adapted = match config.adapt {
            Adapt::All => 0..parameters,
            Adapt::Head => setting.network.head(),
        };
        let steps = (config.inner_steps, config.evaluation_steps);
        let (training, evaluation) = Stage::both(setting, steps, &adapted);
        let real = |value: f32| T::from_f64(f64::from(value));
        Self {
            training,
            evaluation,
            adapted,
            alpha: real(config.inner_rate),
            clip: config.inner_clip.map(|clip| real(clip.value)),
            order: config.order,
            parameters,
            kept_bytes: setting.kept_bytes,
        }
    }

    /// θ −= α g on the adapted part, with g clipped where asked.
    fn descend(&self, g: &[T], step: &mut [T], theta: &mut [T]) {
        let set = self.training.support.instruction_set();
        let adapted = self.adapted.clone();
        step[adapted.clone()].copy_from_slice(&g[adapted.clone()]);
        if let Some(bound) = self.clip {
            clip(set, bound, &mut step[adapted.clone()]);
        }
        add_scaled(set, -self.alpha, &step[adapted.clone()], &mut theta[adapted]);
    }

    /// v = α λ on the adapted part; zero where the clipped gradient g does not depend on θ.
    fn direct(&self, lambda: &[T], g: &[T], direction: &mut [T]) {
        let adapted = self.adapted.clone();
        for ((v, &lambda), &g) in
            direction[adapted.clone()].iter_mut().zip(&lambda[adapted.clone()]).zip(&g[adapted])
        {
            let passes = self.clip.is_none_or(|bound| g < bound && g > -bound);
            *v = if passes { self.alpha * lambda } else { T::ZERO };
        }
    }
}

impl<T: Real> Learner<T> for Maml<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let Stage { support, query, steps, .. } = &self.training;
        let kept_bytes = if self.order == Order::Second { self.kept_bytes } else { 0 };
        Scratch {
            trajectory: Trajectory::new(support, *steps, kept_bytes),
            query: query.frame(),
            tangents: support.tangent_plane(),
            step: vec![T::ZERO; self.parameters],
            direction: vec![T::ZERO; self.parameters],
            evaluation: self.evaluation.frames(),
        }
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn meta_gradient(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> EpisodeReport {
        let Stage { support, query, steps, .. } = &self.training;
        let Scratch { trajectory, query: frame, tangents, step, direction, .. } = scratch;
        trajectory.start(support, theta, &episode.support);
        for k in 0..*steps {
            // θₖ₊₁ = θₖ − α g(θₖ)
            trajectory.advance(support, k, |g, theta| self.descend(g, step, theta));
        }
        query.load(frame, &episode.query);
        query.set_parameters(frame, trajectory.end());
        query.gradient(frame);
        let lambda = out;
        lambda.copy_from_slice(query.gradient_of(frame));
        if self.order == Order::Second {
            for k in (0..*steps).rev() {
                // λₖ = λₖ₊₁ − H(θₖ) (α λₖ₊₁)
                let values = trajectory.revisit(support, k);
                self.direct(lambda, support.gradient_of(values), direction);
                let product = support.hessian_vector_product(values, direction, tangents);
                add_scaled(support.instruction_set(), -T::ONE, product, lambda);
            }
        }
        query.report(frame)
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> EpisodeReport {
        let Scratch { evaluation: frames, direction: adapted_theta, step, .. } = scratch;
        let Stage { support, steps, .. } = &self.evaluation;
        adapted_theta.copy_from_slice(theta);
        support.load(&mut frames.support, &episode.support);
        for _ in 0..*steps {
            support.set_parameters(&mut frames.support, adapted_theta);
            support.gradient(&mut frames.support);
            self.descend(support.gradient_of(&frames.support), step, adapted_theta);
        }
        let report = self.evaluation.predict(adapted_theta, episode, frames);
        // The direction of a Hessian-vector product is zero outside the adapted part.
        adapted_theta.fill(T::ZERO);
        report
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        let second = if self.order == Order::Second { hessian } else { 0 };
        self.training.steps * (gradient + second) + self.training.query.products().0
    }
}
