//! How the coordinator applies a meta-gradient.

use serde::{Deserialize, Serialize};

/// A rule, a rate and its schedule, and clipping ahead of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaOptimizerConfig {
    /// The update rule.
    pub rule: Rule,
    /// The rate at the start.
    pub rate: f32,
    /// How the rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The mean meta-gradient is scaled down to this norm where it is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
    /// The mean meta-gradient's elements are kept within ± this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f32>,
}

/// An update rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Gradient descent, with momentum where it is not zero.
    Sgd {
        /// The share of the last update that is kept.
        #[serde(default)]
        momentum: f32,
    },
    /// Adam (Kingma and Ba 2015).
    Adam(AdamConfig),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW {
        /// β₁, β₂, ε.
        #[serde(default)]
        adam: AdamConfig,
        /// The decay, per unit of rate.
        weight_decay: f32,
    },
}

/// How the rate changes over a run's meta-steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// In a straight line to `to`, reached at the last meta-step.
    Linear {
        /// The rate at the end.
        to: f32,
    },
    /// Along half a cosine to `to` (Loshchilov and Hutter 2017).
    Cosine {
        /// The rate at the end.
        to: f32,
    },
    /// Multiplied by `factor` every `every` meta-steps.
    Step {
        /// Meta-steps between changes.
        every: u64,
        /// What it is multiplied by.
        factor: f32,
    },
}

/// Adam's constants (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}
