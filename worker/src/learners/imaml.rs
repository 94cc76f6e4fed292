//! iMAML (Rajeswaran et al. 2019): φ* minimises L(φ) + λ/2 ‖φ − θ‖² on the support set, and by the implicit function
//! theorem the meta-gradient is (I + H(φ*)/λ)⁻¹ ∇L_query(φ*), whatever path led to φ*: memory does not grow with the steps.

use lyceum_common::config::ImamlConfig;
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::kernels::pointwise::{add_scaled, scaled_sum, subtract};
use crate::objective::{Frame, Objective, TangentPlane};
use crate::ops::inner_product;
use crate::profile::Share;
use crate::reports::Reports;

/// iMAML by gradient descent inside and conjugate gradients outside.
pub(super) struct Imaml<T> {
    training: Stage<T>,
    evaluation: Stage<T>,
    /// α.
    alpha: T,
    /// λ.
    regularisation: T,
    /// λ, and the damping of conjugate gradients.
    damped: T,
    conjugate_gradient_steps: usize,
    parameters: usize,
}

/// One thread's frames and vectors.
pub(super) struct Scratch<T> {
    training: StageFrames<T>,
    evaluation: StageFrames<T>,
    tangents: TangentPlane<T>,
    phi: Vec<T>,
    /// φ − θ in the inner loop.
    drift: Vec<T>,
    residual: Vec<T>,
    direction: Vec<T>,
    product: Vec<T>,
}

impl<T: Real> Imaml<T> {
    pub(super) fn new(config: &ImamlConfig, setting: &Setting<'_>) -> Self {
        let parameters = setting.network.layout().len();
        let steps = (config.inner_steps, config.evaluation_steps);
        let (training, evaluation) = Stage::both(setting, steps, &(0..parameters));
        Self {
            training,
            evaluation,
            alpha: T::from_f64(f64::from(config.inner_rate)),
            regularisation: T::from_f64(f64::from(config.regularisation)),
            damped: T::from_f64(f64::from(config.regularisation) + f64::from(config.damping)),
            conjugate_gradient_steps: config.conjugate_gradient_steps,
            parameters,
        }
    }

    /// φ ← φ − α (g(φ) + λ (φ − θ)), from θ on.
    fn descend(
        &self,
        stage: &Stage<T>,
        (theta, episode): (&[T], &Episode),
        frames: &mut StageFrames<T>,
        (phi, drift): (&mut [T], &mut [T]),
    ) {
        let set = stage.support.instruction_set();
        phi.copy_from_slice(theta);
        stage.adapt(episode, frames, phi, |_, g, _, phi| {
            subtract(set, phi, theta, drift);
            add_scaled(set, -self.alpha, g, phi);
            add_scaled(set, -(self.alpha * self.regularisation), drift, phi);
        });
    }
}

impl<T: Real> Learner<T> for Imaml<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let vector = || vec![T::ZERO; self.parameters];
        Scratch {
            training: self.training.frames(),
            evaluation: self.evaluation.frames(),
            tangents: self.training.support.tangent_plane(),
            phi: vector(),
            drift: vector(),
            residual: vector(),
            direction: vector(),
            product: vector(),
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
        let Stage { support, query, .. } = &self.training;
        let Scratch { training: frames, tangents, phi, drift, .. } = scratch;
        let set = support.instruction_set();
        self.descend(&self.training, (theta, episode), frames, (phi, drift));
        support.set_parameters(&mut frames.support, phi);
        support.gradient(&mut frames.support);
        query.load(&mut frames.query, &episode.query);
        query.set_parameters(&mut frames.query, phi);
        query.gradient(&mut frames.query);

        // Conjugate gradients (Hestenes and Stiefel 1952) on (I + H/λ) x = b, with a damped λ, from zero on.
        let (b, x) = (query.gradient_of(&frames.query), out);
        let (r, p, a_p) = (&mut scratch.residual, &mut scratch.direction, &mut scratch.product);
        x.fill(T::ZERO);
        r.copy_from_slice(b);
        p.copy_from_slice(b);
        let mut square = inner_product(r, r);
        for step in 0..self.conjugate_gradient_steps {
            if square <= T::ZERO {
                break;
            }
            support.direction(tangents).copy_from_slice(p);
            let h_p = support.hessian_vector_product(&frames.support, tangents);
            scaled_sum(set, T::ONE / self.damped, p, h_p, a_p);
            let curvature = inner_product(p, a_p);
            if curvature <= T::ZERO {
                // λ is too small for the problem to be convex: what was found so far, or the first order, has to do.
                if step == 0 {
                    x.copy_from_slice(b);
                }
                break;
            }
            let length = square / curvature;
            add_scaled(set, length, p, x);
            add_scaled(set, -length, a_p, r);
            let next = inner_product(r, r);
            // p ← r + (next / square) p
            a_p.copy_from_slice(p);
            scaled_sum(set, next / square, r, a_p, p);
            square = next;
        }
        query.report(&frames.query)
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> Reports {
        let Scratch { evaluation: frames, phi, drift, .. } = scratch;
        self.descend(&self.evaluation, (theta, episode), frames, (phi, drift));
        self.evaluation.predict(phi, episode, frames)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.training.query)
    }

    fn evaluated<'s>(&'s self, scratch: &'s Scratch<T>) -> (&'s Objective<T>, &'s Frame<T>) {
        (&self.evaluation.query, &scratch.evaluation.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        let inner = (self.training.steps + 1) * gradient;
        inner + self.conjugate_gradient_steps * hessian + self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(1)
    }
}
