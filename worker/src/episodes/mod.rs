//! Episodes: where they come from, and the buffers they are drawn into.

mod distortion;
mod error;
mod few_shot;
mod groups;
mod lake_runs;
mod list;
mod listed;
mod optimizee;
mod rotation;
mod sine;
mod sinusoid;

use std::sync::Arc;

use lyceum_common::config::{DataConfig, EpisodeConfig, LearnerConfig, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::pack::Pack;
use lyceum_common::seed::{OfEpisode, Seed};

use crate::kernels::LANES;

pub use error::EpisodeError;
pub use few_shot::{FewShotSource, intensity};
pub use lake_runs::lake_runs;
pub use list::{EpisodeList, ListError, ListProblem, ListedWay};
pub use listed::ListedSource;
pub use optimizee::OptimizeeSource;
pub(crate) use optimizee::optimizee_source;
pub use sinusoid::SinusoidSource;

/// How many classes an episode has, and how many examples of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EpisodeSize {
    /// Classes; one in regression.
    pub ways: usize,
    /// Support examples a class.
    pub shots: usize,
    /// Query examples a class.
    pub queries: usize,
}

impl EpisodeSize {
    /// The size of a training episode. Reptile trains on its own number of shots where it is given one.
    #[must_use]
    pub fn of_training(config: &RunConfig) -> Self {
        let episode = &config.episode;
        let shots = config.learner.training_shots().unwrap_or(episode.shots);
        Self { ways: episode.ways, shots, queries: episode.queries }
    }

    /// The size of an episode of validation or test.
    #[must_use]
    pub fn of_evaluation(config: &RunConfig) -> Self {
        let episode = &config.episode;
        Self {
            ways: episode.ways_in_evaluation(),
            shots: episode.shots_in_evaluation(),
            queries: episode.queries_in_evaluation(),
        }
    }

    /// The size of an episode of `split` in a run: training episodes are drawn from training classes.
    fn of(config: &RunConfig, split: Split) -> Self {
        match split {
            Split::Train => Self::of_training(config),
            Split::Validation | Split::Test => Self::of_evaluation(config),
        }
    }

    /// Makes it the size of validation and test.
    pub(crate) fn set_evaluation(self, episode: &mut EpisodeConfig) {
        episode.evaluation_ways = Some(self.ways);
        episode.evaluation_shots = Some(self.shots);
        episode.evaluation_queries = Some(self.queries);
    }

    /// Support and query examples a class.
    fn examples_a_class(self) -> usize {
        self.shots + self.queries
    }
}

/// Examples and what is to be predicted of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// `[examples, shape]`; images are `[rows, columns, channels]`, channels last.
    pub inputs: Vec<f32>,
    /// `[examples, outputs]`: one-hot classes, or values.
    pub targets: Vec<f32>,
}

impl Batch {
    fn put(&mut self, lane: usize, batch: &Self) {
        let inputs = (&batch.inputs, &mut self.inputs);
        for (from, to) in [inputs, (&batch.targets, &mut self.targets)] {
            to.resize(from.len() * LANES, 0.0);
            for (to, &from) in to.chunks_exact_mut(LANES).zip(from) {
                to[lane] = from;
            }
        }
    }

    fn clear(&mut self) {
        self.inputs.clear();
        self.targets.clear();
    }
}

/// One sampled learning problem. Classification examples are in class-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// What the learner adapts to.
    pub support: Batch,
    /// What it is judged by.
    pub query: Batch,
}

impl Episode {
    /// Puts an episode into a lane of episodes side by side, whose every number is a vector of as many as there are
    /// lanes. What stands in the others stays.
    pub(crate) fn put(&mut self, lane: usize, episode: &Self) {
        self.support.put(lane, &episode.support);
        self.query.put(lane, &episode.query);
    }

    fn clear(&mut self) {
        self.support.clear();
        self.query.clear();
    }
}

/// A distribution over episodes.
pub trait EpisodeSource: Send + Sync {
    /// Draws the episode of `seed` into `episode`, whose buffers are reused: after the first draw of a size no
    /// memory is allocated.
    ///
    /// # Panics
    /// Where [`EpisodeSource::check`] refuses this split and size.
    fn sample(&self, seed: Seed<OfEpisode>, split: Split, size: EpisodeSize, episode: &mut Episode);

    /// Whether episodes of this size can be drawn from `split`.
    ///
    /// # Errors
    /// Where the split has too few classes, or one of them too few images.
    fn check(&self, split: Split, size: EpisodeSize) -> Result<(), EpisodeError>;
}

/// Where the episodes of a run come from: `pack` is the data set's, none for a distribution of functions. The sizes of
/// the run's episodes are checked for all splits that it uses.
///
/// # Errors
/// Where the pack is not that of the configuration, or cannot give such episodes.
pub fn source(
    config: &RunConfig,
    pack: Option<Arc<Pack>>,
) -> Result<Box<dyn EpisodeSource>, EpisodeError> {
    let source: Box<dyn EpisodeSource> = match (&config.data, pack) {
        (DataConfig::Sinusoid(sinusoid), _) => Box::new(SinusoidSource::new(sinusoid)),
        (DataConfig::Quadratics(_), _) => return Err(EpisodeError::NoSupport),
        (
            DataConfig::Glyphs(_)
            | DataConfig::Omniglot(_)
            | DataConfig::Folder(_)
            | DataConfig::Idx(_),
            pack,
        ) => {
            let EpisodeConfig { within_groups, distortion, class_distortion, .. } = config.episode;
            let source = few_shot(config, pack)?;
            let source = source.within_groups(within_groups);
            Box::new(source.distorting(distortion).distorting_classes(class_distortion))
        }
    };
    for split in used_splits(config) {
        source.check(split, EpisodeSize::of(config, split))?;
    }
    Ok(source)
}

/// The source of a run's classification episodes as they are evaluated, on training classes too; no size is checked.
///
/// # Errors
/// Where the learner takes no such episodes, the data has no classes, or the pack is not that of the configuration.
pub fn few_shot(
    config: &RunConfig,
    pack: Option<Arc<Pack>>,
) -> Result<FewShotSource, EpisodeError> {
    if matches!(config.learner, LearnerConfig::LearnedOptimizer(_)) {
        return Err(EpisodeError::NotListed);
    }
    if !config.data.is_classification() {
        return Err(EpisodeError::NoClasses { kind: config.data.kind() });
    }
    let pack = pack.ok_or(EpisodeError::NoPack)?;
    check_shape(config, &pack)?;
    FewShotSource::new(pack, config.data.rotations())
}

/// Whether the run's episodes can be drawn, of whatever kind its learner takes.
///
/// # Errors
/// Where the pack is not that of the configuration, or cannot give such episodes.
pub fn check(config: &RunConfig, pack: Option<Arc<Pack>>) -> Result<(), EpisodeError> {
    let checked = match &config.learner {
        LearnerConfig::LearnedOptimizer(learner) => {
            optimizee_source(config, learner, pack, &used_splits(config)).map(drop)
        }
        _ => source(config, pack).map(drop),
    };
    checked.map_err(|error| error.divided(&config.data))
}

/// Whether the pack's examples are those that the configuration tells of.
fn check_shape(config: &RunConfig, pack: &Pack) -> Result<(), EpisodeError> {
    let (pack, config) = (pack.shape(), config.data.shape());
    if pack == config { Ok(()) } else { Err(EpisodeError::Shape { pack, config }) }
}

/// The splits that a run draws from.
pub(crate) fn used_splits(config: &RunConfig) -> Vec<Split> {
    let validates = config.training.validate_every > 0 && config.training.validation_episodes > 0;
    let tests = config.training.test_episodes > 0;
    let used = Split::ALL.into_iter().zip([true, validates, tests]);
    used.filter(|(_, used)| *used).map(|(split, _)| split).collect()
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::load;
    use lyceum_common::ids::{EpisodeIndex, MetaStep};

    use super::*;

    #[test]
    fn only_training_distorts_and_evaluating_training_classes_does_not() {
        let overrides = ["data.glyphs.classes=[8, 6, 6]", "episode.distortion={}"];
        let config = load("glyphs-maml", &overrides.map(str::to_owned)).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let pack = lyceum_common::data::prepare(&config.data, cache.path()).unwrap();
        let [training, evaluation]: [Box<dyn EpisodeSource>; 2] = [
            source(&config, pack.clone()).unwrap(),
            Box::new(few_shot(&config, pack.clone()).unwrap()),
        ];
        let plain = FewShotSource::new(pack.unwrap(), config.data.rotations()).unwrap();
        let seed = Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0));
        for split in Split::ALL {
            let [trained, evaluated, expected] =
                [&*training, &*evaluation, &plain as &dyn EpisodeSource].map(|source| {
                    let mut episode = Episode::default();
                    source.sample(seed, split, EpisodeSize::of(&config, split), &mut episode);
                    episode
                });
            assert_eq!(evaluated, expected);
            assert_eq!(trained == expected, split != Split::Train);
        }
    }
}
