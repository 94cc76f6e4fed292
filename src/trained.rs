//! Trained models: what a run's folder holds, and how they are evaluated episode by episode.

mod bar;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, Split};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::Seed;
use lyceum_coordinator::checkpoint::read_model;
use lyceum_coordinator::enterprise::layout_of;
use lyceum_coordinator::kept_evaluation::{KeptEvaluation, Protocol};
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_worker::episodes::{EpisodeList, ListedSource};
use lyceum_worker::pool::Pool;
use lyceum_worker::work::{BuildOptions, Work, build_listed};

use crate::place::{Places, open_run};
use crate::worker::default_threads;
pub(crate) use bar::progress_bar;

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
    #[arg(long)]
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
}

/// How it went, episode by episode.
pub(crate) struct Evaluated {
    pub(crate) reports: Vec<EpisodeReport>,
    pub(crate) seconds: f64,
}

impl Evaluated {
    /// The share of query examples labelled right in each episode.
    pub(crate) fn accuracies(&self) -> Vec<f64> {
        self.reports.iter().map(|report| report.accuracy).collect()
    }
}

/// Sets the inner steps that a model is evaluated with.
pub(crate) fn set_steps(config: &mut RunConfig, steps: usize) -> anyhow::Result<()> {
    let inner_steps = config.learner.evaluation_steps_mut();
    *inner_steps.context("--steps: this learner takes no inner steps")? = steps;
    Ok(())
}

impl Trained {
    /// The run in a folder, or of a name below that of runs; its data is in `data`, where that is another place.
    pub(crate) fn open(places: &Places, run: &Path, data: Option<&Path>) -> anyhow::Result<Self> {
        let (folder, mut config) = open_run(&places.runs, run)?;
        if let Some(data) = data {
            config.data.set_folder(data.to_owned()).context("--data")?;
        }
        Ok(Self { folder, config, overrides: Vec::new() })
    }

    /// The parameters that a complete run is for; none of one that is not over.
    pub(crate) fn model(&self) -> anyhow::Result<Option<MetaParameters>> {
        let path = self.folder.model();
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(read_model(&path, &layout_of(&self.config)?)?))
    }

    /// The digest of the data pack that the run was trained on; none where it has none, or no checkpoint that can be read
    /// tells.
    pub(crate) fn pack(&self) -> Option<Digest> {
        self.folder.latest(&layout_of(&self.config).ok()?).ok()??.pack
    }

    /// The parameters that a complete run is for, or the best so far of one that is not over.
    pub(crate) fn parameters(&self) -> anyhow::Result<MetaParameters> {
        if let Some(model) = self.model()? {
            return Ok(model);
        }
        let folder = &self.folder;
        let checkpoint = folder.latest(&layout_of(&self.config)?)?;
        let snapshot = checkpoint
            .with_context(|| format!("{}: no checkpoint yet", folder.path().display()))?
            .snapshot;
        Ok(snapshot.best.map_or(snapshot.parameters, |best| best.parameters))
    }

    /// Evaluates `parameters` on listed episodes of `data`, and keeps the result in the run's folder.
    pub(crate) fn evaluate(
        &self,
        parameters: &MetaParameters,
        listed: ListedSource,
        (protocol, data): (Protocol, &str),
        mode: &Mode,
    ) -> anyhow::Result<Evaluated> {
        let list = Arc::clone(listed.list());
        let work = build_listed(&self.config, listed, mode.norm.build_options())?;
        let (split, episodes) = (list.split(), list.episodes().len() as u64);
        let evaluated = self.run(work, parameters, (split, episodes), mode.threads())?;
        let kept = self.kept(parameters, &list, (protocol, data), mode, &evaluated.reports);
        self.folder.keep(&kept)?;
        Ok(evaluated)
    }

    /// Evaluates `parameters` on so many episodes of a split, as `work` has them.
    pub(crate) fn run(
        &self,
        work: Arc<dyn Work>,
        parameters: &MetaParameters,
        (split, episodes): (Split, u64),
        threads: NonZeroUsize,
    ) -> anyhow::Result<Evaluated> {
        let pool = Pool::new(work, threads).context("no compute threads")?;
        let seed = Seed::of_run(self.config.seed);
        let bar = progress_bar(episodes, "episodes");
        let told = |done: u64| bar.set_position(done);
        let started = Instant::now();
        let reports = pool.evaluate_telling(parameters.values(), seed, split, episodes, told)?;
        Ok(Evaluated { reports, seconds: started.elapsed().as_secs_f64() })
    }

    fn kept(
        &self,
        parameters: &MetaParameters,
        list: &EpisodeList,
        (protocol, data): (Protocol, &str),
        mode: &Mode,
        reports: &[EpisodeReport],
    ) -> KeptEvaluation {
        KeptEvaluation {
            parameters: parameters.digest().to_string(),
            episode_list: list.digest().to_string(),
            protocol,
            data: data.to_owned(),
            split: list.split().to_string(),
            ways: list.size().ways,
            shots: list.size().shots,
            queries: list.size().queries,
            transductive: mode.norm.is_transductive(&self.config),
            inner_steps: self.config.clone().learner.evaluation_steps_mut().copied(),
            overrides: self.overrides.clone(),
            accuracy: reports.iter().map(|report| report.accuracy).collect(),
            loss: reports.iter().map(|report| report.loss).collect(),
        }
    }
}
