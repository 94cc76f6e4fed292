//! Learners: what is meta-learned, and how it adapts. One file each, and the registry of all.

mod hand_made;
mod imaml;
mod learned_optimizer;
mod limited_memory;
mod maml;
mod matching;
mod meta_curvature;
mod meta_sgd;
mod metric;
mod optimizee;
mod prototypical;
mod relation;
mod reptile;
mod running;
mod siamese;
mod stage;
#[cfg(test)]
mod tests;
mod thread;

pub use hand_made::HandMade;
pub(crate) use hand_made::Steps;
pub use learned_optimizer::LstmWorkload;
pub(crate) use learned_optimizer::{LearnedOptimizer, Scratch as OptimizerScratch};
pub(crate) use optimizee::{Optimizee, Optimizees, Trainee};
pub(crate) use stage::{Extent, Setting, Stage};
pub(crate) use thread::{AnyLearner, LearnerThread};

use std::sync::Arc;

use lyceum_common::config::{LearnedOptimizerConfig, LearnerConfig};
use lyceum_common::seed::{OfEpisode, Seed};

use crate::episodes::Episode;
use crate::kernels::Real;
use crate::objective::{Frame, Objective};
use crate::profile::Share;
use crate::reports::Reports;

/// What is meta-learned, and how it adapts to an episode. Parameters are in the network's own order.
///
/// A learner whose [`Setting`] has several episodes abreast is given as many at once: every number of `episode` and of
/// what is computed is then a vector itself, a lane for each of them, and nothing in a lane depends on another. They have θ
/// in common. `seed` is that of one of them: learners that draw compute one at a time.
pub(crate) trait Learner<T: Real>: Send + Sync {
    /// What one thread computes in, allocated once.
    type Scratch: Send;

    fn scratch(&self) -> Self::Scratch;

    /// Writes the episode's meta-gradient at θ to `out`.
    fn meta_gradient(
        &self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        scratch: &mut Self::Scratch,
        out: &mut [T],
    ) -> Reports;

    /// Adapts to the episode as in evaluation and predicts its query set.
    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        scratch: &mut Self::Scratch,
    ) -> Reports;

    /// The query set's outputs as the last call of [`Learner::meta_gradient`] left them.
    fn outputs<'s>(&self, scratch: &'s Self::Scratch) -> &'s [T];

    /// The query set's objective, and its frame as the last call of [`Learner::evaluate`] left it.
    fn evaluated<'s>(&'s self, scratch: &'s Self::Scratch) -> (&'s Objective<T>, &'s Frame<T>);

    /// Products, each with an addition, of a meta-gradient.
    fn products(&self) -> usize;

    /// The objectives that a meta-gradient consists of, for a profile; the support set's first.
    fn shares(&self) -> Vec<Share<'_, T>> {
        Vec::new()
    }
}

/// What the registry has for a configuration.
pub(crate) enum Registered<'c, T> {
    /// A learner on episodes of a support and a query set.
    OfEpisodes(Arc<dyn AnyLearner<T>>),
    /// A learned optimizer, whose episodes are trainings of optimizees.
    OfOptimizees(&'c LearnedOptimizerConfig),
}

/// The registry: the learner of `config`.
pub(crate) fn learner<'c, T: Real>(
    config: &'c LearnerConfig,
    setting: &Setting<'_>,
) -> Registered<'c, T> {
    Registered::OfEpisodes(match config {
        LearnerConfig::Maml(config) => Arc::new(maml::Maml::new(config, setting)),
        LearnerConfig::Imaml(config) => Arc::new(imaml::Imaml::new(config, setting)),
        LearnerConfig::MetaSgd(config) => Arc::new(meta_sgd::MetaSgd::new(config, setting)),
        LearnerConfig::MetaCurvature(config) => {
            Arc::new(meta_curvature::MetaCurvature::new(config, setting))
        }
        LearnerConfig::Reptile(config) => Arc::new(reptile::Reptile::new(config, setting)),
        LearnerConfig::Prototypical(config) => Arc::new(prototypical::learner(config, setting)),
        LearnerConfig::Matching(config) => Arc::new(matching::learner(config, setting)),
        LearnerConfig::Siamese(config) => Arc::new(siamese::learner(config, setting)),
        LearnerConfig::Relation(_) => Arc::new(relation::learner(setting)),
        LearnerConfig::LearnedOptimizer(config) => return Registered::OfOptimizees(config),
    })
}
