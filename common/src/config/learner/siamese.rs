//! Siamese networks, as both sides know them.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::model::Head;

/// Siamese networks (Koch et al. 2015): a weighted distance, trained on pairs of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiameseConfig {
    /// Which pairs of a query and a support example it is trained on.
    #[serde(default)]
    pub pairs: PairSampling,
}

/// Which pairs of an episode a siamese network is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairSampling {
    /// Every query with every support example.
    #[default]
    Every,
    /// Every query with the support examples of its own class and of the next one in the episode, whose order is drawn: half
    /// of the pairs show one class, as in the paper. There, pairs are drawn by themselves, as many of every alphabet, in
    /// batches of 128.
    Balanced,
}

impl Definition for SiameseConfig {
    fn head(&self, _: usize) -> Head {
        Head::WeightedDistance
    }
}
