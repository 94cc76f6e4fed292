//! Serving a run to its end: what `train` and `coordinator` have in common.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use lyceum_common::config::{DataConfig, RunConfig};
use lyceum_coordinator::enterprise::{Enterprise, settle_initialisation};
use lyceum_coordinator::metrics::TestResult;
use lyceum_coordinator::observation::Observer;
use lyceum_coordinator::run::Outcome;
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_coordinator::server::{self, Listener};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::finished::Finished;
use crate::output::{print, tell};
use crate::place::{Configuration, Places, open_run};
use crate::progress;
use crate::signals::Shutdown;
use crate::tally::Tally;
use crate::words::counted;

/// What a person is told who ends a run early.
pub(crate) const STOPPING: &str = "stopping after the last complete meta-step";
/// What the commands that serve runs end with.
pub(crate) const STATUSES: &str = "Ends with status 0 where the run is complete or `lyceum status --stop` stopped it, \
    130 where Ctrl-C did, 143 where SIGTERM did, and 1 where it failed.";

/// How a run is served, and spoken of.
pub(crate) struct Serving {
    /// Stops it.
    pub(crate) stop: CancellationToken,
    /// The command that goes on with it, but for its folder.
    pub(crate) resume: String,
    /// Whether it ends with one JSON object on standard output.
    pub(crate) json: bool,
}

/// How the serving ended, where nothing failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// The run is over.
    Complete,
    /// It can be gone on with.
    Stopped,
}

impl Served {
    /// What the process ends with.
    pub(crate) fn status(self, shutdown: &Shutdown) -> ExitCode {
        match self {
            Self::Complete => ExitCode::SUCCESS,
            Self::Stopped => shutdown.status(),
        }
    }
}

/// What a run that was stopped ends with.
#[derive(Debug, Serialize)]
struct Stopped {
    /// Its folder.
    run: String,
    /// True: so it can be told from a complete one.
    stopped: bool,
    /// How many meta-steps are complete, and how many there are to be.
    meta_step: u64,
    meta_steps: u64,
}

/// A run to serve, new or resumed.
pub(crate) struct Job {
    pub(crate) config: RunConfig,
    enterprise: Enterprise,
}

impl Job {
    /// A new run of a configuration, or one that goes on.
    pub(crate) fn new(
        configuration: &Configuration,
        places: &Places,
        resume: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let Some(run) = resume else {
            let mut config = configuration.load()?;
            check_place(&config)?;
            settle_initialisation(&mut config)?;
            let pack = places.cache.pack(&config)?;
            check_episodes(&config, pack.clone())?;
            let steps = counted(config.training.meta_steps, "meta-step", "meta-steps");
            let unfinished = RunFolder::last_unfinished(&places.runs, &config.name);
            let folder = RunFolder::create(&places.runs, &config.name, &config.to_toml())?;
            let enterprise = Enterprise::begin(config.clone(), pack, folder)?;
            tell(&format!("run  {} ({steps})", enterprise.folder().path().display()));
            if let Some(other) = unfinished {
                tell(&format!("{} is unfinished: --resume goes on with it", other.display()));
            }
            return Ok(Self { config, enterprise });
        };
        let (folder, config) = open_run(&places.runs, run)?;
        let pack = places.cache.pack(&config)?;
        let enterprise = Enterprise::resume(config.clone(), pack, folder)?;
        let (path, step) = (enterprise.folder().path().display(), enterprise.step());
        tell(&format!("resuming {path} at meta-step {step} of {}", config.training.meta_steps));
        Ok(Self { config, enterprise })
    }

    /// Serves it until it is over or stopped, and prints what it came to.
    pub(crate) async fn serve(
        self,
        listener: Listener,
        serving: Serving,
    ) -> anyhow::Result<Served> {
        let Self { config, enterprise } = self;
        let Serving { stop, resume, json } = serving;
        let path = enterprise.folder().path().to_owned();
        let begin = enterprise.step();
        let (observer, tally) = tallied(progress::observer(&config, begin));
        match server::serve(listener, enterprise, observer, stop).await? {
            Outcome::Completed(completed) => {
                let tally = *tally.borrow();
                let test = completed.test.map(|test| TestResult {
                    episodes: test.episodes,
                    loss: test.loss,
                    accuracy: test.accuracy,
                });
                let finished = Finished {
                    digest: completed.parameters.digest(),
                    step: completed.step,
                    selected: completed.selected,
                    test,
                    seconds: tally.seconds,
                    episodes_per_second: tally.episodes_per_second(),
                };
                finished.summary(&config, &path).print(json)?;
                Ok(Served::Complete)
            }
            Outcome::Stopped { step } => {
                let (run, meta_steps) = (path.display().to_string(), config.training.meta_steps);
                tell(&format!(
                    "stopped after meta-step {step} of {meta_steps}; go on with: {resume} {run}"
                ));
                if json {
                    let meta_step = step.0;
                    let stopped = Stopped { run, stopped: true, meta_step, meta_steps };
                    print(&serde_json::to_string(&stopped)?)?;
                }
                Ok(Served::Stopped)
            }
            Outcome::Failed(error) => bail!(error),
        }
    }
}

/// An observer that sums up what it shows.
fn tallied(mut show: Observer) -> (Observer, watch::Receiver<Tally>) {
    let (sender, tally) = watch::channel(Tally::default());
    let observer: Observer = Box::new(move |observation| {
        sender.send_modify(|tally| tally.take(&observation));
        show(observation);
    });
    (observer, tally)
}

/// A preset cannot know where a data set lies.
pub(crate) fn check_place(config: &RunConfig) -> anyhow::Result<()> {
    match &config.data {
        DataConfig::Omniglot(omniglot) if omniglot.path.as_os_str().is_empty() => {
            bail!("data.omniglot.path: not given; say where Omniglot lies, as in --data DIR")
        }
        DataConfig::Folder(folder) if folder.path.as_os_str().is_empty() => {
            bail!("data.folder.path: not given; say where the images lie, as in --data DIR")
        }
        DataConfig::Idx(idx) if idx.images_path.as_os_str().is_empty() => {
            bail!("data.idx.images_path: not given; say where the IDX files lie, as in --data DIR")
        }
        _ => Ok(()),
    }
}

/// Refuses episodes that the data does not have before a run's folder is there, rather than in every worker.
fn check_episodes(
    config: &RunConfig,
    pack: Option<std::sync::Arc<lyceum_common::pack::Pack>>,
) -> anyhow::Result<()> {
    lyceum_worker::episodes::check(config, pack).context("episodes")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{DataConfig, load, presets};

    #[test]
    fn every_preset_of_files_asks_where_they_lie() {
        for name in presets::names() {
            let config = load(name, &[]).unwrap();
            let made = matches!(
                config.data,
                DataConfig::Glyphs(_) | DataConfig::Sinusoid(_) | DataConfig::Quadratics(_)
            );
            match super::check_place(&config) {
                Ok(()) => assert!(made, "{name}"),
                Err(error) => {
                    let key = format!("data.{}.", config.data.kind());
                    assert!(!made && error.to_string().starts_with(&key), "{name}: {error}");
                }
            }
        }
    }
}
