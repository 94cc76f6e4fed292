//! Prototypical networks, as both sides know them.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::model::Head;

/// Prototypical networks (Snell et al. 2017): the nearest class mean in a learned space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrototypicalConfig {
    /// How near a query is to a class's mean.
    #[serde(default)]
    pub distance: Distance,
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
    fn head(&self, _: usize) -> Head {
        Head::Features
    }
}
