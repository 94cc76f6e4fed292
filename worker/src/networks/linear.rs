//! A linear map without a bias.

use super::Plan;
use crate::kernels::Real;
use crate::layers::{Dense, Feature};

pub(super) fn plan<T: Real>(outputs: usize, plan: &mut Plan<'_, T>, input: Feature) -> Feature {
    let moves = plan.moves(0);
    let dense = Dense::plan_unbiased(plan.planner, plan.examples, outputs, input, moves);
    let y = dense.y;
    plan.layers.push(Box::new(dense));
    y
}
