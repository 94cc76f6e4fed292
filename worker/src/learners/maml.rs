//! Model-agnostic meta-learning, exact and first-order (Finn et al. 2017, algorithm 2), and ANIL (Raghu et al. 2020),
//! whose inner loop changes the head alone.

use std::ops::Range;

use lyceum_common::config::{Adapt, MamlConfig, Order};
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::kernels::pointwise::{add_scaled, clip, scale, scaled_sum};
use crate::objective::{Frame, TangentPlane};
use crate::profile::Share;
use crate::reports::Reports;
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
    /// Those of all episodes abreast.
    numbers: usize,
    kept_bytes: usize,
}

/// One thread's frames and vectors.
pub(crate) struct Scratch<T> {
    trajectory: Trajectory<T>,
    query: Frame<T>,
    tangents: TangentPlane<T>,
    /// The inner gradient as it is applied, where it is clipped.
    clipped: Vec<T>,
    /// θ as evaluation adapts it.
    adapted_theta: Vec<T>,
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
        let curved = if config.order == Order::Second { adapted.clone() } else { 0..0 };
        let (training, evaluation) = Stage::both(setting, steps, &curved);
        let numbers = parameters * setting.abreast;
        let adapted = adapted.start * setting.abreast..adapted.end * setting.abreast;
        let real = |value: f32| T::from_f64(f64::from(value));
        Self {
            training,
            evaluation,
            adapted,
            alpha: real(config.inner_rate),
            clip: config.inner_clip.map(|clip| real(clip.value)),
            order: config.order,
            parameters,
            numbers,
            kept_bytes: setting.kept_bytes,
        }
    }

    /// The part of g that is applied: the adapted one, clipped where asked.
    fn applied<'g>(&self, g: &'g [T], clipped: &'g mut [T]) -> &'g [T] {
        let g = &g[self.adapted.clone()];
        let Some(bound) = self.clip else { return g };
        let clipped = &mut clipped[..g.len()];
        clipped.copy_from_slice(g);
        clip(self.training.support.instruction_set(), bound, clipped);
        clipped
    }

    /// v = α λ on the adapted part; zero where the clipped gradient g does not depend on θ.
    fn direct(&self, lambda: &[T], g: &[T], v: &mut [T]) {
        let adapted = self.adapted.clone();
        let (lambda, v) = (&lambda[adapted.clone()], &mut v[adapted.clone()]);
        scale(self.training.support.instruction_set(), self.alpha, lambda, v);
        if let Some(bound) = self.clip {
            for (v, &g) in v.iter_mut().zip(&g[adapted]) {
                if g >= bound || g <= -bound {
                    *v = T::ZERO;
                }
            }
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
            clipped: vec![T::ZERO; if self.clip.is_some() { self.adapted.len() } else { 0 }],
            adapted_theta: vec![T::ZERO; self.numbers],
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
    ) -> Reports {
        let Stage { support, query, steps, .. } = &self.training;
        let Scratch { trajectory, query: frame, tangents, clipped, .. } = scratch;
        let set = support.instruction_set();
        trajectory.start(support, theta, &episode.support);
        for k in 0..*steps {
            // θₖ₊₁ = θₖ − α g(θₖ)
            trajectory.advance(support, k, query.parameters_mut(frame), |g, theta, next| {
                let Range { start, end } = self.adapted;
                next[..start].copy_from_slice(&theta[..start]);
                next[end..].copy_from_slice(&theta[end..]);
                let g = self.applied(g, clipped);
                scaled_sum(set, -self.alpha, &theta[start..end], g, &mut next[start..end]);
            });
        }
        query.load(frame, &episode.query);
        query.gradient(frame);
        let (lambda, lambda_end) = (out, query.gradient_of(frame));
        if self.order == Order::First {
            lambda.copy_from_slice(lambda_end);
        } else {
            for k in (0..*steps).rev() {
                // λₖ = λₖ₊₁ − H(θₖ) (α λₖ₊₁)
                let values = trajectory.revisit(support, k);
                let (g, is_last) = (support.gradient_of(values), k + 1 == *steps);
                let after = if is_last { lambda_end } else { &*lambda };
                self.direct(after, g, support.direction(tangents));
                let product = support.hessian_vector_product(values, tangents);
                if is_last {
                    scaled_sum(set, -T::ONE, lambda_end, product, lambda);
                } else {
                    add_scaled(set, -T::ONE, product, lambda);
                }
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
    ) -> Reports {
        let Scratch { evaluation: frames, adapted_theta, clipped, .. } = scratch;
        let Stage { support, steps, .. } = &self.evaluation;
        support.spread(theta, adapted_theta);
        support.load(&mut frames.support, &episode.support);
        for _ in 0..*steps {
            support.set_parameters(&mut frames.support, adapted_theta);
            support.gradient(&mut frames.support);
            let g = self.applied(support.gradient_of(&frames.support), clipped);
            let adapted = &mut adapted_theta[self.adapted.clone()];
            add_scaled(support.instruction_set(), -self.alpha, g, adapted);
        }
        self.evaluation.predict(adapted_theta, episode, frames)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        let second = if self.order == Order::Second { hessian } else { 0 };
        self.training.steps * (gradient + second) + self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(usize::from(self.order == Order::Second))
    }
}
