//! What learners are built from, and what those of an initialisation share: objectives on the support and the query set, in training and in evaluation.

use std::ops::Range;
use std::sync::Arc;

use lyceum_common::config::Precision;

use crate::episodes::{Episode, EpisodeSize};
use crate::kernels::InstructionSet;
use crate::kernels::Real;
use crate::layers::LossKind;
use crate::networks::Network;
use crate::objective::{Frame, Objective};
use crate::profile::{Examples, Share};
use crate::reports::Reports;

/// How many examples learners are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Classes; one in regression.
    pub(crate) ways: usize,
    /// Support examples a class.
    pub(crate) shots: usize,
    /// Query examples, of whatever classes.
    pub(crate) queries: usize,
}

impl Extent {
    /// Support examples.
    pub(crate) fn support(self) -> usize {
        self.ways * self.shots
    }
}

impl From<EpisodeSize> for Extent {
    fn from(EpisodeSize { ways, shots, queries }: EpisodeSize) -> Self {
        Self { ways, shots, queries: ways * queries }
    }
}

/// What learners are built from.
pub(crate) struct Setting<'n> {
    pub(crate) network: &'n Network,
    pub(crate) loss: LossKind,
    pub(crate) training: Extent,
    pub(crate) evaluation: Extent,
    /// Episodes that are computed side by side: one, or as many as there are lanes. Every number that a
    /// learner computes is then there as often, one behind the other.
    pub(crate) abreast: usize,
    pub(crate) instruction_set: InstructionSet,
    /// Bytes for values kept for second order.
    pub(crate) kept_bytes: usize,
    /// Whether, in evaluation, query examples see one another through batch norm. Else it takes the support set's
    /// statistics, or a metric learner's running ones.
    pub(crate) transductive: bool,
}

impl Setting<'_> {
    /// The objective of training on `examples` examples, whose Hessian is multiplied along the `adapted` parameters.
    pub(crate) fn objective<T: Real>(
        &self,
        examples: usize,
        adapted: Range<usize>,
    ) -> Arc<Objective<T>> {
        self.objective_of(self.network, examples, adapted)
    }

    /// That of evaluation, whatever training multiplies: nothing takes its Hessian.
    pub(crate) fn evaluation_objective<T: Real>(&self, examples: usize) -> Arc<Objective<T>> {
        self.objective_of(&self.evaluated_network(), examples, 0..0)
    }

    /// The network as evaluation computes it.
    pub(crate) fn evaluated_network(&self) -> Network {
        self.network.in_precision(Precision::Float32)
    }

    fn objective_of<T: Real>(
        &self,
        network: &Network,
        examples: usize,
        adapted: Range<usize>,
    ) -> Arc<Objective<T>> {
        Arc::new(Objective::side_by_side(
            network,
            self.loss,
            (examples, self.abreast),
            adapted,
            self.instruction_set,
        ))
    }
}

/// The support and the query objective of training or of evaluation.
pub(crate) struct Stage<T> {
    pub(crate) support: Arc<Objective<T>>,
    pub(crate) query: Arc<Objective<T>>,
    pub(crate) steps: usize,
    /// Whether query examples see one another through batch norm.
    pub(crate) transductive: bool,
}

/// A stage's frames: of the support set, and of the query set.
pub(crate) struct StageFrames<T> {
    pub(crate) support: Frame<T>,
    pub(crate) query: Frame<T>,
}

impl<T: Real> Stage<T> {
    /// The stages of training and of evaluation, with as many inner steps as `steps` says.
    pub(crate) fn both(
        setting: &Setting<'_>,
        steps: (usize, usize),
        adapted: &Range<usize>,
    ) -> (Self, Self) {
        let training = Self {
            support: setting.objective(setting.training.support(), adapted.clone()),
            // Nothing takes the query loss's Hessian.
            query: setting.objective(setting.training.queries, 0..0),
            steps: steps.0,
            transductive: true,
        };
        let is_exact = setting.network.precision() == Precision::Float32;
        let shared = |objective: &Arc<Objective<T>>, examples: usize| {
            if is_exact && objective.examples() == examples {
                Arc::clone(objective)
            } else {
                setting.evaluation_objective(examples)
            }
        };
        let evaluation = Self {
            support: shared(&training.support, setting.evaluation.support()),
            query: shared(&training.query, setting.evaluation.queries),
            steps: steps.1,
            transductive: setting.transductive,
        };
        (training, evaluation)
    }

    pub(crate) fn frames(&self) -> StageFrames<T> {
        StageFrames { support: self.support.frame(), query: self.query.frame() }
    }

    /// What an episode computes on the two objectives: a gradient and `hessian_products` products a step, and the
    /// query set's gradient.
    pub(crate) fn shares(&self, hessian_products: usize) -> Vec<Share<'_, T>> {
        let share = |examples, objective, gradients, hessian_products| Share {
            examples,
            objective,
            gradients,
            hessian_products,
        };
        vec![
            share(Examples::Support, &*self.support, self.steps, self.steps * hessian_products),
            share(Examples::Query, &*self.query, 1, 0),
        ]
    }

    /// The inner loop in `phi`, from the φ₀ at its beginning, which is there once for all problems side by side: `step` is
    /// given k, g(φₖ) and φₖ, and writes φₖ₊₁ to where φₖ was. Gives where it leads.
    pub(crate) fn adapt<'p>(
        &self,
        episode: &Episode,
        frames: &mut StageFrames<T>,
        phi: &'p mut [T],
        mut step: impl FnMut(usize, &[T], &[T], &mut [T]),
    ) -> &'p [T] {
        let (support, frame) = (&self.support, &mut frames.support);
        let mut length = support.common_parameter_count();
        support.load(frame, &episode.support);
        for k in 0..self.steps {
            support.set_parameters(frame, &phi[..length]);
            support.gradient(frame);
            step(k, support.gradient_of(frame), support.parameters(frame), phi);
            length = phi.len();
        }
        &phi[..length]
    }

    /// Predicts the query set at the adapted parameters `theta`.
    pub(crate) fn predict(
        &self,
        theta: &[T],
        episode: &Episode,
        frames: &mut StageFrames<T>,
    ) -> Reports {
        let StageFrames { support, query } = frames;
        self.query.load(query, &episode.query);
        self.query.set_parameters(query, theta);
        if self.transductive {
            self.query.predict(query);
        } else {
            self.support.load(support, &episode.support);
            self.support.set_parameters(support, theta);
            self.support.predict(support);
            let statistics = self.support.statistics_of(support).map(|(values, _)| values);
            self.query.predict_inductively(query, statistics);
        }
        self.query.report(query)
    }
}
