//! Prototypical networks, as both sides know them.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::config::validate::positive;
use crate::config::{ConfigError, RunConfig};
use crate::model::Head;

/// Prototypical networks (Snell et al. 2017): the nearest class mean in a learned space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrototypicalConfig {
    /// How near a query is to a class's mean.
    pub distance: Distance,
    /// What cosines are multiplied by ahead of the softmax, which else takes no class for e² times as likely as another.
    pub scale: f32,
}

impl Default for PrototypicalConfig {
    fn default() -> Self {
        Self { distance: Distance::default(), scale: 1.0 }
    }
}

/// What tells how near two feature vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The square of the Euclidean distance.
    #[default]
    SquaredEuclidean,
    /// One minus the cosine of the angle between them.
    Cosine,
}

impl Definition for PrototypicalConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        let key = "learner.prototypical.scale";
        if self.distance != Distance::Cosine && self.scale != 1.0 {
            return Err(ConfigError::new(
                key,
                "cosines alone are scaled: use distance = \"cosine\"",
            ));
        }
        positive(key, self.scale)
    }

    fn head(&self, _: usize) -> Head {
        Head::Features
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    #[test]
    fn cosines_alone_are_scaled() {
        let scale = "learner.prototypical.scale=10".to_owned();
        let cosine = "learner.prototypical.distance=cosine".to_owned();
        let preset = "omniglot-prototypical-5w1s";
        let error = load(preset, std::slice::from_ref(&scale)).unwrap_err();
        assert_eq!(error.key(), Some("learner.prototypical.scale"), "{error}");
        load(preset, &[scale, cosine]).unwrap();
    }
}
