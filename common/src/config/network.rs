//! The network that a learner adapts.

use serde::{Deserialize, Serialize};

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkConfig {
    /// Four convolution blocks and a linear head, as nearly every few-shot paper has it.
    Conv4(Conv4Config),
    /// Linear layers with a non-linearity between.
    Mlp(MlpConfig),
    /// A linear map without a bias: on `data.quadratics`, a quadratic function of its weight.
    Linear(LinearConfig),
}

/// Four blocks of convolution 3×3, batch norm, ReLU (and max pool), then a linear head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv4Config {
    /// Output channels of each block.
    pub filters: usize,
    /// How blocks halve rows and columns.
    pub downsample: Downsample,
    /// What the head reads of the last block's output.
    #[serde(default)]
    pub features: Features,
}

/// How a convolution block halves rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downsample {
    /// The convolution's stride is 2.
    Stride,
    /// Max pool 2×2 behind the ReLU.
    MaxPool,
    /// Max pool 2×2 in the first two blocks alone: leaves maps for a relation module (Sung et al. 2018).
    MaxPoolTwice,
}

impl Downsample {
    /// How block `block`, from 0, does it; none where it does not.
    #[must_use]
    pub fn in_block(self, block: usize) -> Option<Self> {
        match self {
            Self::Stride | Self::MaxPool => Some(self),
            Self::MaxPoolTwice => (block < 2).then_some(Self::MaxPool),
        }
    }
}

/// What a head reads of a feature map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// All of it.
    #[default]
    Flatten,
    /// Each channel's mean over rows and columns.
    SpatialMean,
}

/// A multi-layer perceptron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// The non-linearity between layers.
    pub activation: Activation,
}

/// A linear map x ↦ W x. Its weight begins standard normal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {}

/// A non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}
