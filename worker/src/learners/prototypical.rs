//! Prototypical networks (Snell et al. 2017): a class is the mean of its embedded support examples, and a query's class
//! follows from its distances to these.

use lyceum_common::config::{Distance, PrototypicalConfig};

use super::Setting;
use super::metric::Metric;
use crate::kernels::Real;
use crate::layers::{GroupSum, Loss, LossKind, NegativeSquaredDistances, Similarities, UnitRows};

/// p(k | x) ∝ exp(−d(f(x), cₖ)), or of a scaled cosine, with cₖ the mean of f over the support examples of class k; the loss is −ln p of the
/// right class.
pub(super) fn learner<T: Real>(config: &PrototypicalConfig, setting: &Setting<'_>) -> Metric<T> {
    Metric::new(setting, |plan, embedded| {
        let (width, queries) = (embedded.width, embedded.queries);
        let mean = GroupSum::mean(plan.planner, embedded.size.shots, width, embedded.supports);
        let prototypes = mean.y;
        plan.layers.push(Box::new(mean));
        let logits = match config.distance {
            Distance::SquaredEuclidean => {
                let distances =
                    NegativeSquaredDistances::plan(plan.planner, width, queries, prototypes);
                let y = distances.y;
                plan.layers.push(Box::new(distances));
                y
            }
            // d = 1 − cos, and the softmax does not see the one.
            Distance::Cosine => {
                let scaled = [(queries, config.scale), (prototypes, 1.0)];
                let [queries, prototypes] = scaled.map(|(x, scale)| {
                    let unit = UnitRows::plan(plan.planner, width, scale, x);
                    let y = unit.y;
                    plan.layers.push(Box::new(unit));
                    y
                });
                let cosines = Similarities::plan(plan.planner, width, queries, prototypes);
                let y = cosines.y;
                plan.layers.push(Box::new(cosines));
                y
            }
        };
        Loss::plan(plan.planner, LossKind::CrossEntropy, embedded.size.queries, logits)
    })
}
