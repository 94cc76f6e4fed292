//! Matching networks (Vinyals et al. 2016): a query's label is a sum of the support's, weighted by attention. With full-context
//! embeddings (appendix A there), what is compared is each example in the eyes of the whole support set.

use lyceum_common::config::{FullContext, MatchingConfig};

use super::Setting;
use super::metric::{Embedded, Metric, cosines};
use crate::kernels::Real;
use crate::layers::{
    AttendingLstm, BidirectionalLstm, ClassAttention, Feature, Fork, Loss, LossKind,
};
use crate::networks::Plan;

/// p(k | x) = Σ a(x, xᵢ) over the support examples xᵢ of class k, with a the softmax over all of them of
/// s cos(f(x), g(xᵢ)), where s is 1 in the paper; the loss is −ln p of the right class. f and g are the encoder, or read the whole support set.
pub(super) fn learner<T: Real>(config: &MatchingConfig, setting: &Setting<'_>) -> Metric<T> {
    let config = *config;
    Metric::new(setting, move |plan, embedded| {
        let (size, width) = (embedded.size, embedded.width);
        let compared = match config.full_context {
            Some(context) => in_context(context, plan, embedded),
            None => [embedded.queries, embedded.supports],
        };
        let cosines = cosines(plan, width, config.scale, compared);
        let attention = ClassAttention::plan(plan.planner, size.ways, size.shots, cosines);
        let scores = attention.y;
        plan.layers.push(Box::new(attention));
        Loss::plan(plan.planner, LossKind::CrossEntropy, size.queries, scores)
    })
}

/// Full-context embeddings: g of the support set by a bidirectional LSTM, f of the queries by one that attends to g.
fn in_context<T: Real>(
    config: FullContext,
    plan: &mut Plan<'_, T>,
    embedded: &Embedded,
) -> [Feature; 2] {
    let width = embedded.width;
    let g = BidirectionalLstm::plan(plan.planner, width, embedded.supports);
    // The queries attend to g, and are compared with it.
    let fork = Fork::plan(plan.planner, g.y);
    let [attended, supports] = fork.branches;
    let steps = config.processing_steps;
    let f = AttendingLstm::plan(plan.planner, (steps, width), embedded.queries, attended);
    let queries = f.y;
    plan.layers.push(Box::new(g));
    plan.layers.push(Box::new(fork));
    plan.layers.push(Box::new(f));
    [queries, supports]
}
