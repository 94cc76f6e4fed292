//! Matching networks (Vinyals et al. 2016, without full-context embeddings): a query's label is a sum of the support's,
//! weighted by attention.

use super::Setting;
use super::metric::Metric;
use crate::kernels::Real;
use crate::layers::{ClassAttention, Loss, LossKind, Similarities, UnitRows};

/// p(k | x) = Σ a(x, xᵢ) over the support examples xᵢ of class k, with a the softmax over all of them of
/// cos(f(x), f(xᵢ)); the loss is −ln p of the right class.
pub(crate) fn matching<T: Real>(setting: &Setting<'_>) -> Metric<T> {
    Metric::new(setting, |plan, embedded| {
        let (size, width) = (embedded.size, embedded.width);
        let [queries, supports] = [embedded.queries, embedded.supports].map(|x| {
            let unit = UnitRows::plan(plan.planner, width, x);
            let y = unit.y;
            plan.layers.push(Box::new(unit));
            y
        });
        let cosines = Similarities::plan(plan.planner, width, queries, supports);
        let attention = ClassAttention::plan(plan.planner, size.ways, size.shots, cosines.y);
        let scores = attention.y;
        plan.layers.push(Box::new(cosines));
        plan.layers.push(Box::new(attention));
        Loss::plan(plan.planner, LossKind::CrossEntropy, size.query(), scores)
    })
}
