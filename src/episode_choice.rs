//! Which episodes a model is evaluated on: drawn, or from a file.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::Split;
use lyceum_common::pack::Pack;
use lyceum_common::seed::Seed;
use lyceum_worker::episodes::{EpisodeList, EpisodeSize, ListedSource, few_shot};

/// Which episodes.
#[derive(Debug, clap::Args)]
pub(crate) struct EpisodeChoice {
    /// Episodes; 1000 where absent. `evaluate` takes as many optimizees as the run's test has
    #[arg(long)]
    pub(crate) episodes: Option<u64>,
    /// Classes an episode; the run's where absent, and for networks with an output for each class the only choice
    #[arg(long)]
    pub(crate) ways: Option<usize>,
    /// Support examples a class; the run's where absent
    #[arg(long)]
    pub(crate) shots: Option<usize>,
    /// Query examples a class; the run's where absent
    #[arg(long)]
    pub(crate) queries: Option<usize>,
    /// The classes that episodes are drawn from
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: SplitName,
    /// The episodes of a list, as `lyceum episodes` writes it
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["episodes", "ways", "shots", "queries", "split"]
    )]
    pub(crate) episodes_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Validation,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Validation => Self::Validation,
            SplitName::Test => Self::Test,
        }
    }
}

impl EpisodeChoice {
    /// Refuses nonsense before anything is opened.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.episodes.map_or(Ok(()), |episodes| check_count("--episodes", episodes))
    }

    /// Puts the sizes that were asked for in the place of the configuration's.
    pub(crate) fn resize(&self, config: &mut RunConfig) -> anyhow::Result<()> {
        if let Some(ways) = self.ways {
            check_ways(config, ways).with_context(|| format!("--ways {ways}"))?;
            config.episode.evaluation_ways = Some(ways);
        }
        config.episode.evaluation_shots = self.shots.or(config.episode.evaluation_shots);
        config.episode.evaluation_queries = self.queries.or(config.episode.evaluation_queries);
        Ok(())
    }

    /// How many to draw.
    pub(crate) fn count(&self) -> u64 {
        self.episodes.unwrap_or(1000)
    }

    /// The list: the file's, or the one that `config` draws from its data.
    pub(crate) fn list(
        &self,
        config: &RunConfig,
        pack: Option<Arc<Pack>>,
    ) -> anyhow::Result<Arc<EpisodeList>> {
        if let Some(path) = &self.episodes_file {
            return Ok(Arc::new(EpisodeList::read(path)?));
        }
        let data = few_shot(config, pack)?;
        let split = self.split.into();
        let seed = Seed::of_run(config.seed).evaluation_on(split);
        let size = EpisodeSize::of_evaluation(config);
        Ok(Arc::new(EpisodeList::draw(&data, seed, split, size, self.count())?))
    }

    /// The list's episodes, as a model of `config` sees them.
    pub(crate) fn listed(
        &self,
        config: &RunConfig,
        pack: Option<Arc<Pack>>,
        list: Arc<EpisodeList>,
    ) -> anyhow::Result<ListedSource> {
        let place = || match &self.episodes_file {
            Some(path) => path.display().to_string(),
            None => "the drawn episodes".to_owned(),
        };
        check_ways(config, list.size().ways).with_context(place)?;
        ListedSource::new(few_shot(config, pack)?, list).with_context(place)
    }
}

/// The most episodes that are drawn at once: what is drawn is kept.
const MOST_EPISODES: u64 = 10_000_000;

/// Whether so many episodes can be evaluated.
pub(crate) fn check_count(key: &str, episodes: u64) -> anyhow::Result<()> {
    anyhow::ensure!(
        (1..=MOST_EPISODES).contains(&episodes),
        "{key}: must be from 1 to {MOST_EPISODES}, and is {episodes}"
    );
    Ok(())
}

/// Whether a model can tell so many classes apart.
pub(crate) fn check_ways(config: &RunConfig, ways: usize) -> anyhow::Result<()> {
    let outputs = config.outputs();
    anyhow::ensure!(
        ways == outputs || config.learner.is_metric(),
        "{ways} ways, and this model's head has {outputs} outputs"
    );
    Ok(())
}
