//! Prototypical networks (Snell et al. 2017): a class is the mean of its embedded support examples, and a query's class
//! follows from its distances to these.

use lyceum_common::config::{Distance, PrototypicalConfig};

use super::Setting;
use super::metric::{Metric, all_pairs, cosines};
use crate::kernels::Real;
use crate::layers::{GroupSum, Loss, LossKind, PairKind};

/// p(k | x) ∝ exp(−d(f(x), cₖ)), or of a scaled cosine, with cₖ the mean of f over the support examples of class k; the loss is −ln p of the
/// right class.
pub(super) fn learner<T: Real>(config: &PrototypicalConfig, setting: &Setting<'_>) -> Metric<T> {
    Metric::new(setting, |plan, embedded| {
        let width = embedded.width;
        let mean = GroupSum::mean(plan.planner, embedded.size.shots, width, embedded.supports);
        let compared = [embedded.queries, mean.y];
        plan.layers.push(Box::new(mean));
        let logits = match config.distance {
            Distance::SquaredEuclidean => {
                all_pairs(plan, PairKind::NegativeSquaredDistance, width, compared)
            }
            // d = 1 − cos, and the softmax does not see the one.
            Distance::Cosine => cosines(plan, width, config.scale, compared),
        };
        Loss::plan(plan.planner, LossKind::CrossEntropy, embedded.size.queries, logits)
    })
}
