//! Four convolution blocks, and a linear head where there is one (Vinyals et al. 2016, Finn et al. 2017).

use lyceum_common::config::{Conv4Config, Downsample, Features};
use lyceum_common::model::{CONV4_BLOCKS, Head};

use super::Plan;
use crate::kernels::{Grid, Places, Pool, Real};
use crate::layers::{BlockInput, ConvolutionBlock, Dense, Feature, GroupSum, Layer};
use crate::ops::ConvolutionShape;

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
    mut images: Images,
    head: Head,
    plan: &mut Plan<'_, T>,
    input: Feature,
) -> Feature {
    // Parameters are planned in the layout's order, so whether all of the encoder moves is decided by its first.
    let moves = plan.moves(0);
    let mut x = BlockInput::from(input);
    for number in 0..CONV4_BLOCKS {
        let downsample = config.downsample.in_block(number);
        (images, x) = block(images, config.filters, downsample, moves, plan, x);
    }
    let mut x = close(plan, x);
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

/// Normalises what the last block made.
pub(super) fn close<T: Real>(plan: &mut Plan<'_, T>, x: BlockInput) -> Feature {
    let (x, norm) = x.close();
    plan.layers.extend(norm.map(|norm| Box::new(norm) as Box<dyn Layer<T>>));
    x
}

/// Convolution, batch norm and ReLU, and a max pool where that halves the images.
pub(super) fn block<T: Real>(
    images: Images,
    filters: usize,
    downsample: Option<Downsample>,
    moves: bool,
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
    let block = ConvolutionBlock::plan(plan.planner, shape, places, x, moves);
    let y = block.output();
    plan.layers.push(Box::new(block));
    (behind, y)
}
