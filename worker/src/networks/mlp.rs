//! A multi-layer perceptron: linear layers with a non-linearity between.

use lyceum_common::config::{Activation, MlpConfig};
use lyceum_common::layout::Layout;

use super::Plan;
use crate::kernels::Real;
use crate::layers::{ActivationLayer, Dense, DenseSideBySide, Feature, Rectified};

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
        let (outputs, is_last) = (weight.shape[0], i + 1 == weights.len());
        if plan.abreast > 1 {
            let relu = config.activation == Activation::Relu;
            let rectified = Rectified { x: relu && i > 0, y: relu && !is_last };
            let (examples, planner) = (plan.examples, &mut *plan.planner);
            let dense = DenseSideBySide::plan(planner, examples, outputs, x, moves, rectified);
            x = dense.y;
            plan.layers.push(Box::new(dense));
            if relu {
                continue;
            }
        } else {
            let dense = Dense::plan(plan.planner, plan.examples, outputs, x, moves);
            x = dense.y;
            plan.layers.push(Box::new(dense));
        }
        if !is_last {
            let activation = ActivationLayer::plan(plan.planner, config.activation, x);
            x = activation.y;
            plan.layers.push(Box::new(activation));
        }
    }
    x
}
