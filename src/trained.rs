//! Trained models: what a run's folder holds, and how they are evaluated episode by episode.

mod bar;
mod kept;
mod model;
mod other_data;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, Split};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::Seed;
use lyceum_coordinator::kept_evaluation::{KeptEvaluation, Protocol};
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_worker::episodes::{EpisodeSize, ListedSource};
use lyceum_worker::pool::Pool;
use lyceum_worker::work::{BuildOptions, Work, build, build_listed};

use crate::place::{Places, open_run};
use crate::worker::default_threads;
pub(crate) use bar::progress_bar;
pub(crate) use kept::Kept;
pub(crate) use model::{Model, Origin};

/// Whose statistics batch norm takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Norm {
    /// Batch norm takes running statistics, or the support set's, so that each query example is on its own; metric
    /// learners do so unless told otherwise
    #[arg(long)]
    inductive: bool,
    /// Batch norm takes the statistics of the examples themselves, so that query examples see one another; learners of
    /// an initialisation do so unless told otherwise
    #[arg(long, conflicts_with = "inductive")]
    transductive: bool,
}

impl Norm {
    /// What was asked for, if anything.
    fn transductive(&self) -> Option<bool> {
        (self.transductive || self.inductive).then_some(self.transductive)
    }

    /// Whether it was asked for.
    pub(crate) fn is_chosen(&self) -> bool {
        self.transductive().is_some()
    }

    /// Whether query examples of `config` see one another.
    pub(crate) fn is_transductive(&self, config: &RunConfig) -> bool {
        config.is_transductive(self.transductive())
    }

    /// Refuses a choice where there is nothing to choose.
    pub(crate) fn check(&self, config: &RunConfig) -> anyhow::Result<()> {
        let flag = if self.inductive { "--inductive" } else { "--transductive" };
        anyhow::ensure!(
            !self.is_chosen() || config.is_transductive(Some(true)),
            "{flag}: examples see one another through batch norm, and there is none"
        );
        Ok(())
    }

    pub(crate) fn build_options(&self) -> BuildOptions {
        BuildOptions { transductive: self.transductive(), ..BuildOptions::default() }
    }
}

/// How models are evaluated.
#[derive(Debug, clap::Args)]
pub(crate) struct Mode {
    #[command(flatten)]
    pub(crate) norm: Norm,
    /// Compute threads; the machine's cores where absent
    #[arg(long, value_parser = crate::count::thread_count)]
    threads: Option<NonZeroUsize>,
}

impl Mode {
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(|| default_threads(NonZeroUsize::MIN))
    }
}

/// A run's folder, and its configuration as it is to be evaluated.
pub(crate) struct Trained {
    pub(crate) folder: RunFolder,
    pub(crate) config: RunConfig,
    /// What `--set` changed in it, but for where data lies.
    pub(crate) overrides: Vec<String>,
    /// The configuration as the folder has it.
    own: RunConfig,
}

/// How it went, episode by episode.
pub(crate) struct Evaluated {
    pub(crate) reports: Vec<EpisodeReport>,
    pub(crate) split: Split,
    pub(crate) size: EpisodeSize,
    pub(crate) seconds: f64,
    /// The file that it is kept in.
    pub(crate) kept: Kept,
}

impl Evaluated {
    /// The share of query examples labelled right in each episode.
    pub(crate) fn accuracies(&self) -> Vec<f64> {
        self.reports.iter().map(|report| report.accuracy).collect()
    }
}

/// The episodes of an evaluation, as what is kept of it tells of them.
struct Episodes<'a> {
    digest: Digest,
    protocol: Protocol,
    data: &'a str,
    split: Split,
    size: EpisodeSize,
    count: u64,
}

/// Sets the inner steps that a model is evaluated with.
pub(crate) fn set_steps(config: &mut RunConfig, steps: usize) -> anyhow::Result<()> {
    let inner_steps = config.learner.evaluation_steps_mut();
    *inner_steps.context("--steps: this learner takes no inner steps")? = steps;
    Ok(())
}

/// The inner steps that a model is evaluated with, where it takes some.
pub(crate) fn steps_of(config: &RunConfig) -> Option<usize> {
    config.clone().learner.evaluation_steps_mut().copied()
}

impl Trained {
    /// The run in a folder, or of a name below that of runs; its data is in `data`, where that is another place.
    pub(crate) fn open(places: &Places, run: &Path, data: Option<&Path>) -> anyhow::Result<Self> {
        let (folder, own) = open_run(&places.runs, run)?;
        let mut config = own.clone();
        if let Some(data) = data {
            config.data.set_folder(data.to_owned()).context("--data")?;
        }
        Ok(Self { folder, config, overrides: Vec::new(), own })
    }

    /// The inner steps that the run's own test takes, where it takes some.
    pub(crate) fn own_steps(&self) -> Option<usize> {
        steps_of(&self.own)
    }

    /// Evaluates a model on listed episodes of `data`, and keeps the result in the run's folder.
    pub(crate) fn evaluate(
        &self,
        model: &Model,
        listed: ListedSource,
        (protocol, data): (Protocol, &str),
        mode: &Mode,
    ) -> anyhow::Result<Evaluated> {
        let list = Arc::clone(listed.list());
        let work = build_listed(&self.config, listed, mode.norm.build_options())?;
        let (digest, split, size) = (list.digest(), list.split(), list.size());
        let count = list.episodes().len() as u64;
        self.run(work, model, &Episodes { digest, protocol, data, split, size, count }, mode)
    }

    /// Evaluates a model on so many episodes of a split of functions, which no list could name, and keeps the result in the
    /// run's folder.
    pub(crate) fn evaluate_drawn(
        &self,
        model: &Model,
        (split, count): (Split, u64),
        (protocol, data): (Protocol, &str),
        mode: &Mode,
    ) -> anyhow::Result<Evaluated> {
        let config = &self.config;
        let work = build(config, None, mode.norm.build_options())?;
        let size = EpisodeSize::of_evaluation(config);
        let drawn = (&config.data, config.seed, split.to_string(), size.shots, size.queries, count);
        let digest = Digest::of(serde_json::to_string(&drawn)?.as_bytes());
        self.run(work, model, &Episodes { digest, protocol, data, split, size, count }, mode)
    }

    /// Evaluates a model on the episodes that `work` has, and keeps the result.
    fn run(
        &self,
        work: Arc<dyn Work>,
        model: &Model,
        episodes: &Episodes<'_>,
        mode: &Mode,
    ) -> anyhow::Result<Evaluated> {
        let pool = Pool::new(work, mode.threads()).context("no compute threads")?;
        let (theta, seed) = (model.parameters.values(), Seed::of_run(self.config.seed));
        let &Episodes { split, size, count, .. } = episodes;
        let bar = progress_bar(count, "episodes");
        let told = |done: u64| bar.set_position(done);
        let started = Instant::now();
        let reports = pool.evaluate_telling(theta, seed, split, count, told)?;
        let seconds = started.elapsed().as_secs_f64();
        let kept = Kept::of(self.folder.keep(&self.to_keep(model, episodes, mode, &reports)));
        Ok(Evaluated { reports, split, size, seconds, kept })
    }

    fn to_keep(
        &self,
        model: &Model,
        episodes: &Episodes<'_>,
        mode: &Mode,
        reports: &[EpisodeReport],
    ) -> KeptEvaluation {
        let &Episodes { digest, protocol, data, split, size, .. } = episodes;
        let judged = if self.config.data.is_classification() { reports } else { &[] };
        KeptEvaluation {
            parameters: model.digest(),
            meta_step: model.origin.checkpoint(),
            validated: Some(model.origin.is_validated()),
            episode_list: digest.to_string(),
            protocol,
            data: data.to_owned(),
            split: split.to_string(),
            ways: size.ways,
            shots: size.shots,
            queries: size.queries,
            transductive: mode.norm.is_transductive(&self.config),
            inner_steps: steps_of(&self.config),
            overrides: self.overrides.clone(),
            accuracy: judged.iter().map(|report| report.accuracy).collect(),
            loss: reports.iter().map(|report| report.loss).collect(),
        }
    }
}
