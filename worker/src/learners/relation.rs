//! Relation networks (Sung et al. 2018): the comparison itself is learned.

use super::Setting;
use super::metric::Metric;
use crate::kernels::Real;
use crate::layers::{GroupSum, Loss, LossKind};

/// r(k, x) = g(C(Σ f(xᵢ), f(x))), with Σ over the support examples of class k, C stacking maps along their channels and g
/// the relation module; the loss is the mean squared error of r against one for the right class and zero for others.
pub(super) fn learner<T: Real>(setting: &Setting<'_>) -> Metric<T> {
    let network = setting.network;
    Metric::new(setting, |plan, embedded| {
        let (size, map) = (embedded.size, embedded.width);
        let sum = GroupSum::sum(plan.planner, size.shots, map, embedded.supports);
        let classes = sum.y;
        plan.layers.push(Box::new(sum));
        let pairs = size.queries * size.ways;
        let scores = network.plan_relation(plan, pairs, [classes, embedded.queries]);
        Loss::plan(plan.planner, LossKind::SquaredError, size.queries, scores)
    })
}
