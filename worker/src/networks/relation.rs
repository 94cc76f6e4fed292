//! The relation module (Sung et al. 2018): two convolution blocks and two linear layers that score a pair of maps.

use lyceum_common::config::{Activation, Downsample};
use lyceum_common::model::{RELATION_BLOCKS, RELATION_UNITS};

use super::Plan;
use super::conv4::{Images, blocks};
use crate::kernels::Real;
use crate::layers::{ActivationLayer, Dense, Feature};

/// Scores in 0..1 of pairs of maps of `pairs`' extents, which `x` holds.
pub(super) fn plan<T: Real>(
    pairs: Images,
    filters: usize,
    plan: &mut Plan<'_, T>,
    x: Feature,
) -> Feature {
    let downsamples = [Some(Downsample::MaxPool); RELATION_BLOCKS];
    let (pairs, mut x) = blocks(pairs, filters, &downsamples, true, plan, x);
    let rows = pairs.count;
    for (units, activation) in [(RELATION_UNITS, Activation::Relu), (1, Activation::Sigmoid)] {
        let dense = Dense::plan(plan.planner, rows, units, x, true);
        let active = ActivationLayer::plan(plan.planner, activation, dense.y);
        x = active.y;
        plan.layers.push(Box::new(dense));
        plan.layers.push(Box::new(active));
    }
    x
}
