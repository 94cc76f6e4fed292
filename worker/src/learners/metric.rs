//! What the learners of a metric space share. Nothing adapts: the support and the query set are embedded as one batch,
//! and a learner compares what comes out. Evaluation is the same, with batch norm's running statistics.

use std::sync::Arc;

use lyceum_common::config::Precision;
use lyceum_common::seed::{OfEpisode, Seed};

use super::{Extent, Learner, Setting, running};
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::layers::{AllPairs, Feature, Loss, PairKind, UnitRows};
use crate::networks::{Network, Plan};
use crate::objective::{Frame, Objective};
use crate::profile::{Examples, Share};
use crate::reports::Reports;

/// An embedded episode: what there is to compare.
#[derive(Clone, Copy)]
pub(super) struct Embedded {
    pub(super) size: Extent,
    /// Features an example.
    pub(super) width: usize,
    /// `[ways, shots, width]`.
    pub(super) supports: Feature,
    /// `[queries, width]`.
    pub(super) queries: Feature,
}

/// A learner of a metric space. Its meta-parameters are what is trained, and behind that batch norm's running statistics.
pub(crate) struct Metric<T> {
    training: Arc<Objective<T>>,
    evaluation: Arc<Objective<T>>,
    transductive: bool,
    trained: usize,
    parameters: usize,
}

/// One thread's frames.
pub(crate) struct Scratch<T> {
    training: Frame<T>,
    evaluation: Frame<T>,
    /// Every batch norm's (μ, r), one behind the other.
    statistics: Vec<T>,
}

impl<T: Real> Metric<T> {
    /// A learner whose loss is what `compare` makes of an embedded episode.
    pub(super) fn new(
        setting: &Setting<'_>,
        compare: impl Fn(&mut Plan<'_, T>, &Embedded) -> Loss,
    ) -> Self {
        let network = setting.network;
        let trained = network.layout().trained().len();
        let objective = |network: &Network, size: Extent| {
            let (supports, examples) = (size.support(), size.support() + size.queries);
            let program = |plan: &mut Plan<'_, T>, images: Feature| {
                let z = network.plan(plan, images);
                let (width, at) = (z.value.len() / examples, z.value.len() / examples * supports);
                let (supports, queries) = (z.part(0..at), z.part(at..z.value.len()));
                compare(plan, &Embedded { size, width, supports, queries })
            };
            let set = setting.instruction_set;
            Arc::new(Objective::of_program(network, examples, 0..0, set, program))
        };
        let training = objective(network, setting.training);
        let is_exact = network.precision() == Precision::Float32;
        let evaluation = if is_exact && setting.evaluation == setting.training {
            Arc::clone(&training)
        } else {
            objective(&setting.evaluated_network(), setting.evaluation)
        };
        let parameters = network.layout().len();
        Self { training, evaluation, transductive: setting.transductive, trained, parameters }
    }
}

/// Compares every row aᵢ with every row bⱼ: `[rows, columns]`, or as many numbers a pair as a row has.
pub(super) fn all_pairs<T: Real>(
    plan: &mut Plan<'_, T>,
    kind: PairKind,
    width: usize,
    compared: [Feature; 2],
) -> Feature {
    let pairs = AllPairs::plan(plan.planner, kind, width, compared);
    let y = pairs.y;
    plan.layers.push(Box::new(pairs));
    y
}

/// s cos(aᵢ, bⱼ) for every row aᵢ and every row bⱼ, with s = `scale`: `[rows, columns]`.
pub(super) fn cosines<T: Real>(
    plan: &mut Plan<'_, T>,
    width: usize,
    scale: f32,
    [a, b]: [Feature; 2],
) -> Feature {
    let units = [(a, scale), (b, 1.0)].map(|(x, scale)| {
        let unit = UnitRows::plan(plan.planner, width, scale, x);
        let y = unit.y;
        plan.layers.push(Box::new(unit));
        y
    });
    all_pairs(plan, PairKind::DotProduct, width, units)
}

impl<T: Real> Learner<T> for Metric<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        Scratch {
            training: self.training.frame(),
            evaluation: self.evaluation.frame(),
            statistics: vec![T::ZERO; self.parameters - self.trained],
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
        let (objective, frame) = (&self.training, &mut scratch.training);
        let (theta, running) = theta.split_at(self.trained);
        let (gradient, change) = out.split_at_mut(self.trained);
        objective.load_episode(frame, episode);
        objective.set_parameters(frame, theta);
        objective.gradient(frame);
        gradient.copy_from_slice(objective.gradient_of(frame));
        running::change(objective.statistics_of(frame), running, change);
        objective.report(frame)
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> Reports {
        let (objective, frame) = (&self.evaluation, &mut scratch.evaluation);
        let (theta, running) = theta.split_at(self.trained);
        objective.load_episode(frame, episode);
        objective.set_parameters(frame, theta);
        if self.transductive {
            objective.predict(frame);
        } else {
            running::statistics(objective.by_norm(running), &mut scratch.statistics);
            objective.predict_inductively(frame, objective.by_norm(&scratch.statistics));
        }
        objective.report(frame)
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.outputs_of(&scratch.training)
    }

    fn evaluated<'s>(&'s self, scratch: &'s Scratch<T>) -> (&'s Objective<T>, &'s Frame<T>) {
        (&self.evaluation, &scratch.evaluation)
    }

    fn products(&self) -> usize {
        self.training.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        let (examples, objective) = (Examples::Both, &*self.training);
        vec![Share { examples, objective, gradients: 1, hessian_products: 0 }]
    }
}
