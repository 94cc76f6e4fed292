//! Four convolution blocks, and a linear head where there is one (Vinyals et al. 2016, Finn et al. 2017).

use lyceum_common::config::{Conv4Config, Downsample, Features};
use lyceum_common::model::{CONV4_BLOCKS, Head};

use super::Plan;
use crate::kernels::{Grid, Places, Pool, Real};
use crate::layers::{BatchNormRelu, Convolution, Dense, Feature, GroupMean};
use crate::ops::ConvolutionShape;

/// The layers of `config` on images of (height, width, channels).
pub(super) fn plan<T: Real>(
    config: &Conv4Config,
    (mut height, mut width, mut channels): (usize, usize, usize),
    head: Head,
    plan: &mut Plan<'_, T>,
    input: Feature,
) -> Feature {
    let (images, filters) = (plan.examples, config.filters);
    // Parameters are planned in the layout's order, so whether all of the encoder moves is decided by its first.
    let encoder = plan.moves(0);
    let mut x = input;
    for _ in 0..CONV4_BLOCKS {
        let stride = if config.downsample == Downsample::Stride { 2 } else { 1 };
        let shape =
            ConvolutionShape { images, height, width, inputs: channels, outputs: filters, stride };
        let convolution = Convolution::plan(plan.planner, shape, x, encoder);
        (height, width) = shape.output_extent();
        let places = match config.downsample {
            Downsample::Stride => {
                Places::Rows(Grid { rows: images * height * width, channels: filters })
            }
            Downsample::MaxPool => {
                Places::Windows(Pool { images, height, width, channels: filters })
            }
        };
        let norm = BatchNormRelu::plan(plan.planner, places, convolution.y, encoder);
        if config.downsample == Downsample::MaxPool {
            (height, width) = (height / 2, width / 2);
        }
        x = norm.y;
        plan.layers.push(Box::new(convolution));
        plan.layers.push(Box::new(norm));
        channels = filters;
    }
    if config.features == Features::SpatialMean {
        let mean = GroupMean::plan(plan.planner, height * width, filters, x);
        x = mean.y;
        plan.layers.push(Box::new(mean));
    }
    match head {
        Head::Linear(outputs) => {
            let dense = Dense::plan(plan.planner, images, outputs, x, true);
            let y = dense.y;
            plan.layers.push(Box::new(dense));
            y
        }
        Head::Features | Head::WeightedDistance => x,
    }
}
