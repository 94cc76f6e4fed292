//! A multi-layer perceptron: linear layers with a non-linearity between.

use lyceum_common::config::MlpConfig;
use lyceum_common::layout::Layout;

use super::Plan;
use crate::kernels::Real;
use crate::layers::{ActivationLayer, Dense, Feature};

pub(super) fn plan<T: Real>(
    config: &MlpConfig,
    layout: &Layout,
    plan: &mut Plan<'_, T>,
    input: Feature,
) -> Feature {
    let weights: Vec<_> = layout.entries().iter().filter(|entry| entry.shape.len() == 2).collect();
    let mut x = input;
    for (i, weight) in weights.iter().enumerate() {
        let moves = plan.moves(weight.offset);
        let dense = Dense::plan(plan.planner, plan.examples, weight.shape[0], x, moves);
        x = dense.y;
        plan.layers.push(Box::new(dense));
        if i + 1 < weights.len() {
            let activation = ActivationLayer::plan(plan.planner, config.activation, x);
            x = activation.y;
            plan.layers.push(Box::new(activation));
        }
    }
    x
}
