//! The relation module (Sung et al. 2018): two convolution blocks and two linear layers that score a pair of maps.

use lyceum_common::config::{Activation, Downsample};
use lyceum_common::model::{RELATION_BLOCKS, RELATION_UNITS};

use super::Plan;
use super::conv4::{Images, blocks};
use crate::kernels::Real;
use crate::layers::{ActivationLayer, Dense, Feature, PairsBlock};
use crate::ops::{ConvolutionShape, Share};

/// Scores in 0..1 of every row's map with every column's, row by row: maps of `maps`' extents, the column's ahead of the row's.
pub(super) fn plan<T: Real>(
    maps: Images,
    filters: usize,
    plan: &mut Plan<'_, T>,
    [columns, rows]: [Feature; 2],
) -> Feature {
    let Images { height, width, channels, .. } = maps;
    let shape = ConvolutionShape {
        images: 1,
        height,
        width,
        inputs: channels,
        outputs: filters,
        stride: 1,
        share: Share::ALL,
        precision: plan.precision,
    };
    let first = PairsBlock::plan(plan.planner, shape, [columns, rows], true);
    let input = first.output();
    plan.layers.push(Box::new(first));
    let pooled = Images { height: height / 2, width: width / 2, channels: filters, ..maps };
    let downsamples = [Some(Downsample::MaxPool); RELATION_BLOCKS - 1];
    let (pairs, mut x) = blocks(pooled, filters, &downsamples, true, plan, input);
    for (units, activation) in [(RELATION_UNITS, Activation::Relu), (1, Activation::Sigmoid)] {
        let dense = Dense::plan(plan.planner, pairs.count, units, x, true);
        let active = ActivationLayer::plan(plan.planner, activation, dense.y);
        x = active.y;
        plan.layers.push(Box::new(dense));
        plan.layers.push(Box::new(active));
    }
    x
}
