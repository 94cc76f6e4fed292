//! `lyceum evaluate`: a trained model on held-out classes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use lyceum_common::config::LearnerConfig;
use lyceum_common::ids::Split;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;
use lyceum_common::seed::Seed;
use lyceum_coordinator::checkpoint::read_model;
use lyceum_coordinator::enterprise::layout_of;
use lyceum_worker::pool::Pool;
use lyceum_worker::work::{BuildOptions, build};

use crate::comparison::Job;
use crate::place::{Places, open_run};
use crate::serve::is_transductive;
use crate::summary::Summary;
use crate::worker::default_threads;

/// Adapts the trained model to episodes of classes that it never saw, and tests it on their query sets.
#[derive(Debug, clap::Args)]
pub(crate) struct Evaluate {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    /// Episodes; 1000 where absent, for a learned optimizer as many as the run's test has
    #[arg(long)]
    episodes: Option<u64>,
    /// Classes an episode; the run's where absent, and for networks with an output for each class the only choice
    #[arg(long)]
    ways: Option<usize>,
    /// Support examples a class; the run's where absent
    #[arg(long)]
    shots: Option<usize>,
    /// Query examples a class; the run's where absent
    #[arg(long)]
    queries: Option<usize>,
    /// Inner steps; the run's where absent
    #[arg(long)]
    steps: Option<usize>,
    /// Batch norm takes running statistics, or the support set's, so that each query example is on its own; metric
    /// learners do so unless told otherwise
    #[arg(long)]
    inductive: bool,
    /// Batch norm takes the statistics of the examples themselves, so that query examples see one another; learners of
    /// an initialisation do so unless told otherwise
    #[arg(long, conflicts_with = "inductive")]
    transductive: bool,
    /// The classes that episodes are drawn from
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// Overrides a key of the run's configuration, as in `--set network.mlp.hidden=[40]` for another optimizee
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Optimizees that the hand-made optimizers' rates are searched on, where an optimizer is learned; as many as it is
    /// tested on where absent
    #[arg(long)]
    search_episodes: Option<u64>,
    /// The folder for a learned optimizer's CSV files and picture; `comparison` in the run's folder where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder that the data set lies in, where it is another one than in training
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Compute threads; the machine's cores where absent
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    places: Places,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SplitName {
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

impl Evaluate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.episodes != Some(0), "--episodes: must be above zero");
        let (folder, mut config) = open_run(&self.places.runs, &self.run)?;
        if !self.overrides.is_empty() {
            let name = folder.path().join("config.toml").display().to_string();
            config = lyceum_common::config::parse(&name, &config.to_toml(), &self.overrides)?;
        }
        let trained_ways = config.episode.ways;
        if let Some(folder) = self.data {
            config.data.set_folder(folder).context("--data")?;
        }
        if let Some(ways) = self.ways {
            anyhow::ensure!(
                ways == trained_ways || config.learner.is_metric(),
                "--ways {ways}: this model's head has {trained_ways} outputs"
            );
            config.episode.evaluation_ways = Some(ways);
        }
        config.episode.evaluation_shots = self.shots.or(config.episode.evaluation_shots);
        config.episode.evaluation_queries = self.queries.or(config.episode.evaluation_queries);
        if let Some(steps) = self.steps {
            let inner_steps = config.learner.evaluation_steps_mut();
            *inner_steps.context("--steps: this learner takes no inner steps")? = steps;
        }
        config.validate()?;
        let layout = layout_of(&config)?;
        let parameters = if folder.model().is_file() {
            read_model(&folder.model(), &layout)?
        } else {
            latest(&folder, &layout)?
        };
        let threads = self.threads.unwrap_or_else(|| default_threads(NonZeroUsize::MIN));
        if let LearnerConfig::LearnedOptimizer(learner) = &config.learner {
            let episodes = self.episodes.unwrap_or(config.training.test_episodes);
            return Job {
                config: &config,
                learner,
                parameters: &parameters,
                cache: &self.places.cache,
                episodes,
                search_episodes: self.search_episodes.unwrap_or(episodes),
                threads,
                out: &self.out.unwrap_or_else(|| folder.path().join("comparison")),
                json: self.json,
            }
            .run();
        }
        let episodes = self.episodes.unwrap_or(1000);
        let pack = self.places.cache.pack(&config)?;
        let transductive = (self.transductive || self.inductive).then_some(self.transductive);
        let options = BuildOptions { transductive, ..BuildOptions::default() };
        let work = build(&config, pack, options)?;
        let pool = Pool::new(work, threads).context("no compute threads")?;
        let started = Instant::now();
        let seed = Seed::of_run(config.seed);
        let reports =
            pool.evaluate(parameters.values(), seed, self.split.into(), episodes)?;
        let sums = ReportSums::of(&reports);
        let seconds = started.elapsed().as_secs_f64();
        let accuracy = config.data.is_classification().then(|| sums.mean_accuracy());
        let summary = Summary {
            digest: parameters.digest().to_string(),
            accuracy: None,
            interval: None,
            episodes: 0,
            loss: None,
            transductive: is_transductive(&config, transductive),
            selected_step: None,
            validated: None,
            steps: None,
            seconds,
            episodes_per_second: episodes as f64 / seconds,
            run: folder.path().display().to_string(),
        };
        summary.with_test(episodes, sums.mean_loss(), accuracy).print(self.json)
    }
}

/// The best parameters so far of a run that is not over.
fn latest(
    folder: &lyceum_coordinator::run_folder::RunFolder,
    layout: &Arc<lyceum_common::layout::Layout>,
) -> anyhow::Result<MetaParameters> {
    let checkpoint = folder.latest(layout)?;
    let snapshot = checkpoint
        .with_context(|| format!("{}: no checkpoint yet", folder.path().display()))?
        .snapshot;
    Ok(snapshot.best.map_or(snapshot.parameters, |best| best.parameters))
}
