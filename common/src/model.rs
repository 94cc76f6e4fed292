//! Which meta-parameters a network and a learner have: names, shapes, initial values. How they compute is the
//! worker's affair.

use crate::config::{
    Conv4Config, Downsample, Features, MlpConfig, NetworkConfig, RunConfig, Shape,
};
use crate::layout::{Initialisation, Layout, Role};

/// Convolution blocks of a conv4 network.
pub const CONV4_BLOCKS: usize = 4;

/// Convolution blocks of a relation module.
pub const RELATION_BLOCKS: usize = 2;

/// Units of a relation module's hidden linear layer.
pub const RELATION_UNITS: usize = 8;

/// Layers of a learned optimizer's LSTM.
pub const OPTIMIZER_LAYERS: usize = 2;

/// Numbers that a learned optimizer reads of a gradient.
pub const OPTIMIZER_READS: usize = 2;

/// The most numbers that a model may have: a gigabyte of them, of which every process holds several.
const LARGEST: usize = 1 << 28;

/// Why a network cannot read such examples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A convolution wants images.
    #[error("network.conv4 reads images, and this data set has vectors of {0}")]
    NotImages(usize),
    /// Nothing is left of the image after the pooling.
    #[error("network.conv4 halves images four times, and {0}×{1} leaves nothing")]
    TooSmall(usize, usize),
    /// There are no features to compare.
    #[error(
        "network.mlp has no encoder, and this learner compares what an encoder makes of images"
    )]
    NoEncoder,
    /// Nothing is left of the encoder's maps in the relation module.
    #[error(
        "a relation module halves the encoder's maps twice, and {0}×{1} leaves nothing; network.conv4 leaves larger ones with downsample = \"max_pool_twice\" and features = \"flatten\""
    )]
    NothingToRelate(usize, usize),
    /// It does not fit into a machine's memory a few times over.
    #[error("the model has {0} numbers, and may have {LARGEST}")]
    TooLarge(usize),
}

/// What stands behind a network's encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A linear layer of so many outputs, which an inner loop adapts.
    Linear(usize),
    /// Nothing: features are compared as they are.
    Features,
    /// LSTMs that read the features of a whole support set: one from the first on, one from the last, and one that attends.
    FullContext,
    /// A weight for each feature, by which their differences sum up to a distance, and a bias.
    WeightedDistance,
    /// A relation module: two convolution blocks and two linear layers on pairs of maps.
    Relation,
}

/// The meta-parameters of a run.
///
/// # Errors
/// Where the network cannot read the data, or is too large.
pub fn run_layout(config: &RunConfig) -> Result<Layout, ModelError> {
    let head = config.learner.head(config.outputs());
    let network = network_layout(&config.network, config.data.shape(), head)?;
    let layout = config.learner.layout(&network);
    // Of a learned optimizer the network is what it trains, and no part of the layout.
    let length = network.len().max(layout.len());
    if length > LARGEST { Err(ModelError::TooLarge(length)) } else { Ok(layout) }
}

/// The parameters of `network` on examples of `shape`, in the order of PyTorch's modules. Where features are compared,
/// batch norm's running statistics stand behind them.
///
/// # Errors
/// Where the network cannot read such examples, or has no features to compare.
pub fn network_layout(
    network: &NetworkConfig,
    shape: Shape,
    head: Head,
) -> Result<Layout, ModelError> {
    let mut layout = Layout::new();
    match (network, head) {
        (NetworkConfig::Conv4(conv4), Head::Linear(outputs)) => {
            let features = encoder_layout(&mut layout, conv4, shape)?.iter().product();
            linear(&mut layout, "head", features, outputs);
        }
        (NetworkConfig::Conv4(conv4), Head::Features) => {
            encoder_layout(&mut layout, conv4, shape)?;
            running_statistics(&mut layout);
        }
        (NetworkConfig::Conv4(conv4), Head::FullContext) => {
            let features = encoder_layout(&mut layout, conv4, shape)?.iter().product();
            for (name, vectors) in [("forward", 2), ("backward", 2), ("attention", 3)] {
                lstm_layout(&mut layout, &format!("context.{name}"), vectors * features, features);
            }
            running_statistics(&mut layout);
        }
        (NetworkConfig::Mlp(mlp), Head::Linear(outputs)) => {
            mlp_layout(&mut layout, mlp, shape.len(), outputs);
        }
        (NetworkConfig::Conv4(conv4), Head::WeightedDistance) => {
            let features = encoder_layout(&mut layout, conv4, shape)?.iter().product();
            linear(&mut layout, "head", features, 1);
            running_statistics(&mut layout);
        }
        (NetworkConfig::Conv4(conv4), Head::Relation) => {
            let map = encoder_layout(&mut layout, conv4, shape)?;
            relation_layout(&mut layout, map)?;
            running_statistics(&mut layout);
        }
        (NetworkConfig::Linear(_), Head::Linear(outputs)) => {
            let normal = Initialisation::Normal(1.0);
            layout.push("weight", &[outputs, shape.len()], Role::Trained, normal);
        }
        (
            NetworkConfig::Mlp(_) | NetworkConfig::Linear(_),
            Head::Features | Head::FullContext | Head::WeightedDistance | Head::Relation,
        ) => {
            return Err(ModelError::NoEncoder);
        }
    }
    Ok(layout)
}

/// Rows or columns behind a block.
fn downsampled(extent: usize, downsample: Option<Downsample>) -> usize {
    match downsample {
        Some(Downsample::Stride) => extent.div_ceil(2),
        Some(Downsample::MaxPool | Downsample::MaxPoolTwice) => extent / 2,
        None => extent,
    }
}

/// The features that a conv4 encoder makes of examples: maps of rows, columns and channels.
///
/// # Errors
/// Where it cannot read such examples, or nothing of them is left.
pub fn encoder_map(conv4: &Conv4Config, shape: Shape) -> Result<[usize; 3], ModelError> {
    let Shape::Image { height, width, .. } = shape else {
        return Err(ModelError::NotImages(shape.len()));
    };
    let behind = |extent: usize| {
        (0..CONV4_BLOCKS)
            .fold(extent, |extent, block| downsampled(extent, conv4.downsample.in_block(block)))
    };
    match (behind(height), behind(width), conv4.features) {
        (0, ..) | (_, 0, _) => Err(ModelError::TooSmall(height, width)),
        (rows, columns, Features::Flatten) => Ok([rows, columns, conv4.filters]),
        (_, _, Features::SpatialMean) => Ok([1, 1, conv4.filters]),
    }
}

/// The encoder's blocks; gives its maps' extents.
fn encoder_layout(
    layout: &mut Layout,
    conv4: &Conv4Config,
    shape: Shape,
) -> Result<[usize; 3], ModelError> {
    let map = encoder_map(conv4, shape)?;
    let Shape::Image { channels, .. } = shape else {
        return Err(ModelError::NotImages(shape.len()));
    };
    for block in 0..CONV4_BLOCKS {
        let inputs = if block == 0 { channels } else { conv4.filters };
        block_layout(layout, &format!("encoder.{block}"), inputs, conv4.filters);
    }
    Ok(map)
}

fn block_layout(layout: &mut Layout, name: &str, inputs: usize, filters: usize) {
    // He et al. 2015: keeps the variance through the ReLU.
    let weight = Initialisation::Normal((2.0 / (9 * inputs) as f32).sqrt());
    layout.push(format!("{name}.conv.weight"), &[filters, inputs, 3, 3], Role::Trained, weight);
    for (part, initial) in [("conv.bias", 0.0), ("norm.weight", 1.0), ("norm.bias", 0.0)] {
        let initialisation = Initialisation::Constant(initial);
        layout.push(format!("{name}.{part}"), &[filters], Role::Trained, initialisation);
    }
}

fn relation_layout(
    layout: &mut Layout,
    [rows, columns, filters]: [usize; 3],
) -> Result<(), ModelError> {
    let (rows_left, columns_left) = (rows >> RELATION_BLOCKS, columns >> RELATION_BLOCKS);
    if rows_left == 0 || columns_left == 0 {
        return Err(ModelError::NothingToRelate(rows, columns));
    }
    for block in 0..RELATION_BLOCKS {
        let inputs = if block == 0 { 2 * filters } else { filters };
        block_layout(layout, &format!("relation.{block}"), inputs, filters);
    }
    linear(layout, "relation.fc.0", filters * rows_left * columns_left, RELATION_UNITS);
    linear(layout, "relation.fc.1", RELATION_UNITS, 1);
    Ok(())
}

/// An LSTM with one weight, of its input and of the state before it side by side: PyTorch's `weight_ih` and `weight_hh` in
/// one. Uniform within ± 1/√hidden, as there.
fn lstm_layout(layout: &mut Layout, name: &str, inputs: usize, hidden: usize) {
    let bound = 1.0 / (hidden as f32).sqrt();
    for (part, shape) in [("weight", &[4 * hidden, inputs][..]), ("bias", &[4 * hidden])] {
        let initialisation = Initialisation::Uniform(-bound, bound);
        layout.push(format!("{name}.{part}"), shape, Role::Trained, initialisation);
    }
}

/// Batch norm's running mean and variance, named as PyTorch names them, for every norm of the layout.
fn running_statistics(layout: &mut Layout) {
    let norms: Vec<_> = layout
        .entries()
        .iter()
        .filter_map(|entry| Some((entry.name.strip_suffix("norm.weight")?.to_owned(), entry.len())))
        .collect();
    for (block, channels) in norms {
        let mut push = |name: &str, initial: f32| {
            let initialisation = Initialisation::Constant(initial);
            layout.push(format!("{block}norm.{name}"), &[channels], Role::Buffer, initialisation);
        };
        push("running_mean", 0.0);
        push("running_var", 1.0);
    }
}

fn mlp_layout(layout: &mut Layout, mlp: &MlpConfig, inputs: usize, outputs: usize) {
    let sizes: Vec<usize> =
        [inputs].into_iter().chain(mlp.hidden.iter().copied()).chain([outputs]).collect();
    for (i, pair) in sizes.windows(2).enumerate() {
        linear(layout, &format!("layers.{i}"), pair[0], pair[1]);
    }
}

/// PyTorch's own initialisation of a linear layer: uniform within ± 1/√inputs.
pub(crate) fn linear(layout: &mut Layout, name: &str, inputs: usize, outputs: usize) {
    let bound = 1.0 / (inputs as f32).sqrt();
    let initialisation = Initialisation::Uniform(-bound, bound);
    layout.push(format!("{name}.weight"), &[outputs, inputs], Role::Trained, initialisation);
    layout.push(format!("{name}.bias"), &[outputs], Role::Trained, initialisation);
}
