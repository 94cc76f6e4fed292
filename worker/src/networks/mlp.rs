//! A multi-layer perceptron: linear layers with a non-linearity between.

use lyceum_common::config::MlpConfig;
use lyceum_common::layout::Layout;

use super::Plan;
use crate::kernels::{LANES, Real};
use crate::layers::{ActivationLayer, Dense, DenseSideBySide, Feature, Layer};
use crate::ops::Planner;

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
        let (layer, y) = linear(plan.planner, plan.abreast, plan.examples, weight.shape[0], x, moves);
        x = y;
        plan.layers.push(layer);
        if i + 1 < weights.len() {
            let activation = ActivationLayer::plan(plan.planner, config.activation, x);
            x = activation.y;
            plan.layers.push(Box::new(activation));
        }
    }
    x
}

/// A linear layer of one problem, or of as many as there are lanes, and its output.
fn linear<T: Real>(
    planner: &mut Planner,
    abreast: usize,
    examples: usize,
    outputs: usize,
    x: Feature,
    moves: bool,
) -> (Box<dyn Layer<T>>, Feature) {
    if abreast == LANES {
        let dense = DenseSideBySide::plan(planner, examples, outputs, x, moves);
        let y = dense.y;
        return (Box::new(dense), y);
    }
    let dense = Dense::plan(planner, examples, outputs, x, moves);
    let y = dense.y;
    (Box::new(dense), y)
}
