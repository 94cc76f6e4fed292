//! A run's configuration: plain data, as it stands in a TOML file.

mod array;
mod data;
mod distortion;
mod farm;
mod idx_folder;
mod initialisation;
mod learner;
mod load;
mod meta_optimizer;
mod network;
mod places;
pub mod presets;
mod published;
mod run;
mod validate;

pub use data::{
    DataConfig, FolderConfig, GlyphsConfig, IdxConfig, ImageOptions, OmniglotConfig, OmniglotSplit,
    QuadraticsConfig, Shape, SinusoidConfig,
};
pub use distortion::DistortionConfig;
pub use farm::FarmConfig;
pub use initialisation::InitialisationConfig;
pub use learner::*;
pub use load::{LoadError, comment, load, load_data, parse, parse_for_evaluation};
pub use meta_optimizer::{AdamConfig, MetaOptimizerConfig, Rule, Schedule};
pub use network::{
    Activation, Conv4Config, Downsample, Features, LinearConfig, MlpConfig, NetworkConfig,
};
pub use published::Published;
pub use run::{EpisodeConfig, Precision, RunConfig, TrainingConfig};

/// Why a configuration cannot be run: the key, and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key's full name, such as `learner.maml.inner_rate`.
    pub key: String,
    /// What is wrong, as a lowercase fragment.
    pub problem: String,
    /// Other keys that would mend it as well: one of these is at fault where it was changed, and `key` was not.
    pub others: Vec<&'static str>,
}

impl ConfigError {
    /// An error of this key.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), others: Vec::new() }
    }

    /// The same, of these keys as well.
    #[must_use]
    pub(crate) fn or_of(self, others: &[&'static str]) -> Self {
        Self { others: others.to_vec(), ..self }
    }
}
