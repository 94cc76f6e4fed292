//! Siamese networks (Koch et al. 2015): twins embed two images, and a weighted distance says whether they show the same
//! class.

use lyceum_common::config::{PairSampling, SiameseConfig};

use super::Setting;
use super::metric::{Metric, all_pairs};
use crate::kernels::Real;
use crate::layers::{Dense, Loss, LossKind, PairKind};

/// p(same | x, xᵢ) = σ(w · |f(x) − f(xᵢ)| + b) for every query x and support example xᵢ; the loss is the mean binary
/// cross-entropy over all pairs of an episode, or over its `balanced` ones: each query with its own class and with the next,
/// the first behind the last. The classes' order is drawn, and half of these pairs show one class, as half of Koch et al.'s
/// do; but theirs are drawn by themselves, as many of every alphabet, in batches of 128, and are no episode's. A query's class
/// is that of the support example that it is likest to.
pub(super) fn learner<T: Real>(config: &SiameseConfig, setting: &Setting<'_>) -> Metric<T> {
    Metric::new(setting, |plan, embedded| {
        let (size, width) = (embedded.size, embedded.width);
        let compared = [embedded.queries, embedded.supports];
        let differences = all_pairs(plan, PairKind::AbsoluteDifference, width, compared);
        let pairs = size.queries * size.support();
        let head = Dense::plan(plan.planner, pairs, 1, differences, true);
        let scores = head.y;
        plan.layers.push(Box::new(head));
        let kind = match config.pairs {
            PairSampling::Every => LossKind::BinaryCrossEntropy,
            PairSampling::Balanced => LossKind::BalancedPairs { examples: size.shots },
        };
        Loss::plan(plan.planner, kind, size.queries, scores)
    })
}
