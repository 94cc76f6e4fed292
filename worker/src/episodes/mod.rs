//! Episodes: where they come from, and the buffers they are drawn into.

use lyceum_common::ids::Split;
use lyceum_common::seed::{OfEpisode, Seed};

/// How many examples a class an episode has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeSize {
    /// Support examples a class.
    pub shots: usize,
    /// Query examples a class.
    pub queries: usize,
}

/// Examples and what is to be predicted of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// `[examples, shape]`; images are `[rows, columns, channels]`, channels last.
    pub inputs: Vec<f32>,
    /// `[examples, outputs]`: one-hot classes, or values.
    pub targets: Vec<f32>,
}

/// One sampled learning problem. Classification examples are in class-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// What the learner adapts to.
    pub support: Batch,
    /// What it is judged by.
    pub query: Batch,
}

/// A distribution over episodes.
pub trait EpisodeSource: Send + Sync {
    /// Draws the episode of `seed` into `episode`, whose buffers are reused: after the first draw of a size no
    /// memory is allocated.
    fn sample(&self, seed: Seed<OfEpisode>, split: Split, size: EpisodeSize, episode: &mut Episode);
}
