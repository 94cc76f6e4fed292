//! Siamese networks (Koch et al. 2015): twins embed two images, and a weighted distance says whether they show the same
//! class.

use lyceum_common::config::{PairSampling, SiameseConfig};

use super::Setting;
use super::metric::Metric;
use crate::kernels::Real;
use crate::layers::{AbsoluteDifferences, Dense, Loss, LossKind};

/// p(same | x, xᵢ) = σ(w · |f(x) − f(xᵢ)| + b) for every query x and support example xᵢ; the loss is the mean binary
/// cross-entropy over all pairs of an episode, or over its `balanced` ones: each query with its own class and with the next,
/// whose order in an episode is drawn, so that half of them show one class, as Koch et al. draw them. A query's class is that of the support example that it is likest to.
pub(super) fn learner<T: Real>(config: &SiameseConfig, setting: &Setting<'_>) -> Metric<T> {
    Metric::new(setting, |plan, embedded| {
        let (size, width) = (embedded.size, embedded.width);
        let differences =
            AbsoluteDifferences::plan(plan.planner, width, embedded.queries, embedded.supports);
        let pairs = size.queries * size.support();
        let head = Dense::plan(plan.planner, pairs, 1, differences.y, true);
        let scores = head.y;
        plan.layers.push(Box::new(differences));
        plan.layers.push(Box::new(head));
        let kind = match config.pairs {
            PairSampling::Every => LossKind::BinaryCrossEntropy,
            PairSampling::Balanced => LossKind::BalancedPairs { examples: size.shots },
        };
        Loss::plan(plan.planner, kind, size.queries, scores)
    })
}
