//! Four convolution blocks, and a linear head where there is one (Vinyals et al. 2016, Finn et al. 2017).

use lyceum_common::config::{Conv4Config, Downsample, Features};
use lyceum_common::model::{CONV4_BLOCKS, Head};

use super::Plan;
use crate::kernels::{Grid, Places, Pool, Real};
use crate::layers::{BlockInput, ConvolutionBlock, Dense, Feature, GroupSum, Layer};
use crate::ops::{ConvolutionShape, Share};

/// The extents of images, or of maps.
#[derive(Clone, Copy)]
pub(super) struct Images {
    pub(super) count: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

/// The layers of `config` on such images.
pub(super) fn plan<T: Real>(
    config: &Conv4Config,
    images: Images,
    head: Head,
    plan: &mut Plan<'_, T>,
    input: Feature,
) -> Feature {
    // Parameters are planned in the layout's order, so whether all of the encoder moves is decided by its first.
    let moves = plan.moves(0);
    let downsamples: [_; CONV4_BLOCKS] = std::array::from_fn(|n| config.downsample.in_block(n));
    let (images, mut x) = blocks(images, config.filters, &downsamples, moves, plan, input.into());
    if config.features == Features::SpatialMean {
        let positions = images.height * images.width;
        let mean = GroupSum::mean(plan.planner, positions, config.filters, x);
        x = mean.y;
        plan.layers.push(Box::new(mean));
    }
    match head {
        Head::Linear(outputs) => {
            let dense = Dense::plan(plan.planner, images.count, outputs, x, true);
            let y = dense.y;
            plan.layers.push(Box::new(dense));
            y
        }
        Head::Features | Head::FullContext | Head::WeightedDistance | Head::Relation => x,
    }
}

/// A block for each of `downsamples`.
pub(super) fn blocks<T: Real>(
    mut images: Images,
    filters: usize,
    downsamples: &[Option<Downsample>],
    moves: bool,
    plan: &mut Plan<'_, T>,
    mut x: BlockInput,
) -> (Images, Feature) {
    for (number, downsample) in downsamples.iter().enumerate() {
        let is_last = number + 1 == downsamples.len();
        (images, x) = block(images, filters, *downsample, (moves, is_last), plan, x);
    }
    let (x, norm) = x.close();
    plan.layers.extend(norm.map(|norm| Box::new(norm) as Box<dyn Layer<T>>));
    (images, x)
}

/// Convolution, batch norm and ReLU, and a max pool where that halves the images.
fn block<T: Real>(
    images: Images,
    filters: usize,
    downsample: Option<Downsample>,
    (moves, is_last): (bool, bool),
    plan: &mut Plan<'_, T>,
    x: BlockInput,
) -> (Images, BlockInput) {
    let Images { count, height, width, channels } = images;
    let shape = ConvolutionShape {
        images: count,
        height,
        width,
        inputs: channels,
        outputs: filters,
        stride: if downsample == Some(Downsample::Stride) { 2 } else { 1 },
        share: Share::ALL,
        precision: plan.precision,
    };
    let (height, width) = shape.output_extent();
    let pools = matches!(downsample, Some(Downsample::MaxPool | Downsample::MaxPoolTwice));
    let (places, behind) = if pools {
        let pool = Pool { images: count, height, width, channels: filters };
        (
            Places::Windows(pool),
            Images { count, height: height / 2, width: width / 2, channels: filters },
        )
    } else {
        let grid = Grid { rows: count * height * width, channels: filters };
        (Places::Rows(grid), Images { count, height, width, channels: filters })
    };
    let block = ConvolutionBlock::plan(plan.planner, shape, places, x, (moves, is_last));
    let y = block.output();
    plan.layers.push(Box::new(block));
    (behind, y)
}
