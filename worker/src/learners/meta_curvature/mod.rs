//! Meta-curvature (Park and Oliva 2019): the initialisation θ and matrices M are learned together, by which the gradient of
//! each weight is transformed before a step is taken along it.

mod transform;

use std::ops::Range;

use lyceum_common::config::MetaCurvatureConfig;
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage};
use crate::episodes::Episode;
use crate::kernels::pointwise::{add_scaled, scale};
use crate::kernels::{InstructionSet, Real};
use crate::objective::{Frame, Objective, TangentPlane};
use crate::ops::From;
use crate::profile::Share;
use crate::reports::Reports;
use crate::trajectory::Trajectory;
use transform::{Room, Transform};

/// Meta-curvature. Its meta-parameters are (θ, M), one behind the other.
pub(super) struct MetaCurvature<T> {
    training: Stage<T>,
    evaluation: Stage<T>,
    curvature: Curvature<T>,
    parameters: usize,
    kept_bytes: usize,
}

/// What gradients are transformed by: each weight's by its own matrices, that of all else by the rate alone.
struct Curvature<T> {
    rate: T,
    weights: Vec<Transform>,
    rest: Vec<Range<usize>>,
    instruction_set: InstructionSet,
}

/// One thread's frames and vectors.
pub(crate) struct Scratch<T> {
    trajectory: Trajectory<T>,
    query: Frame<T>,
    tangents: TangentPlane<T>,
    room: Room<T>,
    /// A transformed gradient; and θ as evaluation adapts it.
    step: Vec<T>,
    adapted: Vec<T>,
    evaluation: StageFrames<T>,
}

impl<T: Real> Curvature<T> {
    fn new(config: &MetaCurvatureConfig, setting: &Setting<'_>) -> Self {
        let layout = setting.network.layout();
        let (mut weights, mut rest, mut at) = (Vec::new(), Vec::new(), 0);
        for entry in layout.entries() {
            let extents: Vec<_> = MetaCurvatureConfig::matrices(entry).map(|(_, n)| n).collect();
            if extents.is_empty() {
                rest.push(entry.range());
            } else {
                let transform = Transform::new(entry.range(), at, &extents);
                at = transform.end();
                weights.push(transform);
            }
        }
        let (rate, instruction_set) = (f64::from(config.inner_rate), setting.instruction_set);
        Self { rate: T::from_f64(rate), weights, rest, instruction_set }
    }

    fn room(&self) -> Room<T> {
        Room::for_all(&self.weights)
    }

    /// `next = θ − α M(g)`.
    fn descend(
        &self,
        matrices: &[T],
        (g, theta): (&[T], &[T]),
        (room, step): (&mut Room<T>, &mut [T]),
        next: &mut [T],
    ) {
        let set = self.instruction_set;
        step.copy_from_slice(g);
        for weight in &self.weights {
            let at = weight.weights();
            weight.apply(set, matrices, &g[at.clone()], room, &mut step[at]);
        }
        next.copy_from_slice(theta);
        add_scaled(set, -self.rate, step, next);
    }

    /// `v = α Mᵀ(λ)`, and takes α ∂⟨λ, M(g)⟩/∂M from the gradient by the matrices.
    fn pull_back(
        &self,
        matrices: &[T],
        (g, lambda): (&[T], &[T]),
        (room, scaled): (&mut Room<T>, &mut [T]),
        v: &mut [T],
        gradient: &mut [T],
    ) {
        let set = self.instruction_set;
        scale(set, self.rate, lambda, scaled);
        for at in &self.rest {
            v[at.clone()].copy_from_slice(&scaled[at.clone()]);
        }
        for weight in &self.weights {
            let at = weight.weights();
            let (g, u) = (&g[at.clone()], &scaled[at.clone()]);
            weight.pull_back(set, matrices, (g, u), room, &mut v[at], gradient);
        }
    }
}

impl<T: Real> MetaCurvature<T> {
    pub(super) fn new(config: &MetaCurvatureConfig, setting: &Setting<'_>) -> Self {
        let parameters = setting.network.layout().len();
        let steps = (config.inner_steps, config.evaluation_steps);
        let (training, evaluation) = Stage::both(setting, steps, &(0..parameters));
        let curvature = Curvature::new(config, setting);
        Self { training, evaluation, curvature, parameters, kept_bytes: setting.kept_bytes }
    }
}

impl<T: Real> Learner<T> for MetaCurvature<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let Stage { support, query, steps, .. } = &self.training;
        Scratch {
            trajectory: Trajectory::new(support, *steps, self.kept_bytes),
            query: query.frame(),
            tangents: support.tangent_plane(),
            room: self.curvature.room(),
            step: vec![T::ZERO; self.parameters],
            adapted: vec![T::ZERO; self.parameters],
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
        let (theta, matrices) = theta.split_at(self.parameters);
        let (lambda, matrices_gradient) = out.split_at_mut(self.parameters);
        let Stage { support, query, steps, .. } = &self.training;
        let Scratch { trajectory, query: frame, tangents, room, step, .. } = scratch;
        trajectory.start(support, &episode.support, |start| start.copy_from_slice(theta));
        for k in 0..*steps {
            // θₖ₊₁ = θₖ − α M(g(θₖ))
            trajectory.advance(support, k, query.parameters_mut(frame), |g, theta, next| {
                self.curvature.descend(matrices, (g, theta), (room, step), next);
            });
        }
        query.load(frame, &episode.query);
        query.step(frame, From::Zero, T::ONE, lambda);
        matrices_gradient.fill(T::ZERO);
        for k in (0..*steps).rev() {
            let values = trajectory.revisit(support, k);
            let (g, v) = (support.gradient_of(values), support.direction(tangents));
            // ∂/∂M −= α ∂⟨λₖ₊₁, M(g(θₖ))⟩/∂M, and λₖ = λₖ₊₁ − H(θₖ) α Mᵀ(λₖ₊₁)
            let room = (&mut *room, step.as_mut_slice());
            self.curvature.pull_back(matrices, (g, lambda), room, v, matrices_gradient);
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
        let (theta, matrices) = theta.split_at(self.parameters);
        let Scratch { evaluation: frames, adapted, room, step, .. } = scratch;
        adapted.copy_from_slice(theta);
        let phi = self.evaluation.adapt(episode, frames, adapted, |_, g, theta, next| {
            self.curvature.descend(matrices, (g, theta), (room, step), next);
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
        let transforms: usize = self.curvature.weights.iter().map(Transform::products).sum();
        self.training.steps * (gradient + hessian + transforms) + self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(1)
    }
}
