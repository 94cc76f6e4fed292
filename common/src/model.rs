//! Which meta-parameters a network and a learner have: names, shapes, initial values. How they compute is the
//! worker's affair.

use crate::config::{
    Conv4Config, Downsample, Features, LearnedOptimizerConfig, LearnerConfig, MlpConfig,
    NetworkConfig, Shape,
};
use crate::layout::{Initialisation, Layout, Role};

/// Convolution blocks of a conv4 network.
pub const CONV4_BLOCKS: usize = 4;

/// Layers of a learned optimizer's LSTM.
pub const OPTIMIZER_LAYERS: usize = 2;

/// Numbers that a learned optimizer reads of a gradient.
pub const OPTIMIZER_INPUTS: usize = 2;

/// Why a network cannot read such examples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A convolution wants images.
    #[error("network.conv4 reads images, and this data set has vectors of {0}")]
    NotImages(usize),
    /// Nothing is left of the image after the pooling.
    #[error("network.conv4 halves images four times, and {0}×{1} leaves nothing")]
    TooSmall(usize, usize),
}

/// The parameters of `network` on examples of `shape` with `outputs` outputs, in the order of PyTorch's modules.
///
/// # Errors
/// Where the network cannot read such examples.
pub fn network_layout(
    network: &NetworkConfig,
    shape: Shape,
    outputs: usize,
) -> Result<Layout, ModelError> {
    let mut layout = Layout::new();
    match network {
        NetworkConfig::Conv4(conv4) => conv4_layout(&mut layout, conv4, shape, outputs)?,
        NetworkConfig::Mlp(mlp) => mlp_layout(&mut layout, mlp, shape.len(), outputs),
        NetworkConfig::Linear(_) => {
            let normal = Initialisation::Normal(1.0);
            layout.push("weight", &[outputs, shape.len()], Role::Trained, normal);
        }
    }
    Ok(layout)
}

/// The meta-parameters of `learner` over a network with this layout: the network's, and what the learner adds. Those of
/// a learned optimizer are its own, whatever it trains.
#[must_use]
pub fn learner_layout(learner: &LearnerConfig, network: &Layout) -> Layout {
    if let LearnerConfig::LearnedOptimizer(optimizer) = learner {
        return optimizer_layout(optimizer);
    }
    let mut layout = network.clone();
    if let LearnerConfig::MetaSgd(meta_sgd) = learner {
        let [low, high] = meta_sgd.initial_rates;
        for entry in network.entries() {
            let initialisation = Initialisation::Uniform(low, high);
            layout.push(format!("rate.{}", entry.name), &entry.shape, entry.role, initialisation);
        }
    }
    layout
}

/// Rows or columns behind one conv4 block.
#[must_use]
pub fn downsampled(extent: usize, downsample: Downsample) -> usize {
    match downsample {
        Downsample::Stride => extent.div_ceil(2),
        Downsample::MaxPool => extent / 2,
    }
}

fn conv4_layout(
    layout: &mut Layout,
    conv4: &Conv4Config,
    shape: Shape,
    outputs: usize,
) -> Result<(), ModelError> {
    let Shape::Image { height, width, channels } = shape else {
        return Err(ModelError::NotImages(shape.len()));
    };
    let filters = conv4.filters;
    let (mut rows, mut columns, mut inputs) = (height, width, channels);
    for block in 0..CONV4_BLOCKS {
        let name = format!("encoder.{block}");
        // He et al. 2015: keeps the variance through the ReLU.
        let weight = Initialisation::Normal((2.0 / (9 * inputs) as f32).sqrt());
        layout.push(format!("{name}.conv.weight"), &[filters, inputs, 3, 3], Role::Trained, weight);
        layout.push(
            format!("{name}.conv.bias"),
            &[filters],
            Role::Trained,
            Initialisation::Constant(0.0),
        );
        layout.push(
            format!("{name}.norm.weight"),
            &[filters],
            Role::Trained,
            Initialisation::Constant(1.0),
        );
        layout.push(
            format!("{name}.norm.bias"),
            &[filters],
            Role::Trained,
            Initialisation::Constant(0.0),
        );
        rows = downsampled(rows, conv4.downsample);
        columns = downsampled(columns, conv4.downsample);
        inputs = filters;
    }
    if rows == 0 || columns == 0 {
        return Err(ModelError::TooSmall(height, width));
    }
    let features = match conv4.features {
        Features::Flatten => filters * rows * columns,
        Features::SpatialMean => filters,
    };
    linear(layout, "head", features, outputs);
    Ok(())
}

fn mlp_layout(layout: &mut Layout, mlp: &MlpConfig, inputs: usize, outputs: usize) {
    let sizes: Vec<usize> =
        [inputs].into_iter().chain(mlp.hidden.iter().copied()).chain([outputs]).collect();
    for (i, pair) in sizes.windows(2).enumerate() {
        linear(layout, &format!("layers.{i}"), pair[0], pair[1]);
    }
}

/// An LSTM's layers as PyTorch's `LSTMCell` has them, uniform within ± 1/√hidden, and the layer that reads them out.
fn optimizer_layout(optimizer: &LearnedOptimizerConfig) -> Layout {
    let mut layout = Layout::new();
    let hidden = optimizer.hidden;
    let bound = 1.0 / (hidden as f32).sqrt();
    for layer in 0..OPTIMIZER_LAYERS {
        let inputs = if layer == 0 { OPTIMIZER_INPUTS } else { hidden };
        let shapes = [
            ("weight_ih", vec![4 * hidden, inputs]),
            ("weight_hh", vec![4 * hidden, hidden]),
            ("bias_ih", vec![4 * hidden]),
            ("bias_hh", vec![4 * hidden]),
        ];
        for (name, shape) in shapes {
            let initialisation = Initialisation::Uniform(-bound, bound);
            layout.push(format!("lstm.{layer}.{name}"), &shape, Role::Trained, initialisation);
        }
    }
    linear(&mut layout, "output", hidden, 1);
    layout
}

/// PyTorch's own initialisation of a linear layer: uniform within ± 1/√inputs.
fn linear(layout: &mut Layout, name: &str, inputs: usize, outputs: usize) {
    let bound = 1.0 / (inputs as f32).sqrt();
    let initialisation = Initialisation::Uniform(-bound, bound);
    layout.push(format!("{name}.weight"), &[outputs, inputs], Role::Trained, initialisation);
    layout.push(format!("{name}.bias"), &[outputs], Role::Trained, initialisation);
}
