//! What optimizees are trained on: the minibatch of every step, for learned optimizers.

mod images;
mod quadratics;
mod waves;

use std::sync::Arc;

use lyceum_common::config::{DataConfig, LearnedOptimizerConfig, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::pack::Pack;
use lyceum_common::seed::{OfEpisode, Seed};

use super::{Batch, EpisodeError};
use images::Images;
use quadratics::Quadratics;
use waves::Waves;

/// A distribution over sequences of minibatches. An optimizee's parameters at the beginning are its network's, drawn from
/// stream `Start` of the episode's seed in the order of the network's layout.
pub trait OptimizeeSource: Send + Sync {
    /// Writes the minibatch of step `step` to `batch`, whose buffers are reused.
    ///
    /// # Panics
    /// Where [`OptimizeeSource::check`] refuses this split.
    fn minibatch(&self, seed: Seed<OfEpisode>, split: Split, step: usize, batch: &mut Batch);

    /// How many examples a minibatch has.
    fn examples(&self) -> usize;

    /// Whether all steps see the same minibatch.
    fn is_constant(&self) -> bool {
        false
    }

    /// The parameters that every optimizee begins with, where they are not drawn: in the layout's order.
    fn start(&self) -> Option<&[f32]> {
        None
    }

    /// Whether optimizees can be drawn from `split`.
    ///
    /// # Errors
    /// Where the split has too few classes.
    fn check(&self, _split: Split) -> Result<(), EpisodeError> {
        Ok(())
    }
}

/// Where the optimizees of a run come from, which are drawn from these splits: `pack` is the data set's, none for a
/// distribution of functions.
///
/// # Errors
/// Where the pack is not that of the configuration, or cannot give such optimizees.
pub(crate) fn optimizee_source(
    config: &RunConfig,
    learner: &LearnedOptimizerConfig,
    pack: Option<Arc<Pack>>,
    splits: &[Split],
) -> Result<Arc<dyn OptimizeeSource>, EpisodeError> {
    let batch = learner.batch;
    let source: Arc<dyn OptimizeeSource> = match (&config.data, pack) {
        (DataConfig::Quadratics(quadratics), _) => Arc::new(Quadratics::new(quadratics)),
        (DataConfig::Sinusoid(waves), _) => Arc::new(Waves::new(waves, batch)),
        (_, None) => return Err(EpisodeError::NoPack),
        (_, Some(pack)) => {
            super::check_shape(config, &pack)?;
            Arc::new(Images::new(pack, config.episode.ways, batch))
        }
    };
    splits.iter().try_for_each(|&split| source.check(split))?;
    Ok(source)
}
