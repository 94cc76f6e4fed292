//! Learners: what is meta-learned, and how it adapts. One file each.

mod hand_made;
mod learned_optimizer;
mod maml;
mod matching;
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

pub use hand_made::HandMade;
pub(crate) use hand_made::Steps;
pub use learned_optimizer::LstmWorkload;
pub(crate) use learned_optimizer::{LearnedOptimizer, Scratch as OptimizerScratch};
pub(crate) use maml::Maml;
pub(crate) use matching::matching;
pub(crate) use meta_sgd::MetaSgd;
pub(crate) use optimizee::{Optimizee, Optimizees, Trainee};
pub(crate) use prototypical::prototypical;
pub(crate) use relation::relation;
pub(crate) use reptile::Reptile;
pub(crate) use siamese::siamese;
pub(crate) use stage::{Setting, Stage};

use lyceum_common::seed::{OfEpisode, Seed};

use crate::episodes::Episode;
use crate::kernels::Real;
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

    /// How many meta-parameters there are.
    fn parameters(&self) -> usize;

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

    /// Products, each with an addition, of a meta-gradient.
    fn products(&self) -> usize;

    /// The objectives that a meta-gradient consists of, for a profile; the support set's first.
    fn shares(&self) -> Vec<Share<'_, T>> {
        Vec::new()
    }
}
