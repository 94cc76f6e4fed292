//! Serving a run to its end: what `train` and `coordinator` have in common.

use std::path::Path;

use anyhow::{Context as _, bail};
use lyceum_common::config::{DataConfig, RunConfig};
use lyceum_coordinator::enterprise::Enterprise;
use lyceum_coordinator::observation::Observer;
use lyceum_coordinator::run::Outcome;
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_coordinator::server::{self, Listener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::output::tell;
use crate::place::{Configuration, Places, open_run};
use crate::progress;
use crate::summary::Summary;
use crate::tally::Tally;
use crate::words::counted;

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
            let config = configuration.load()?;
            check_place(&config)?;
            let pack = places.cache.pack(&config)?;
            check_episodes(&config, pack.clone())?;
            let steps = counted(config.training.meta_steps, "meta-step");
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
        shutdown: CancellationToken,
        json: bool,
    ) -> anyhow::Result<()> {
        let Self { config, enterprise } = self;
        let path = enterprise.folder().path().to_owned();
        let begin = enterprise.step();
        let (observer, tally) = tallied(progress::observer(&config, begin));
        match server::serve(listener, enterprise, observer, shutdown).await? {
            Outcome::Completed(completed) => {
                let tally = *tally.borrow();
                let summary = Summary {
                    digest: completed.parameters.digest().to_string(),
                    accuracy: None,
                    interval: None,
                    episodes: 0,
                    episode_list: None,
                    loss: None,
                    transductive: config.is_transductive(None),
                    selected_step: Some(completed.step.0),
                    validated: Some(completed.selected),
                    steps: Some(config.training.meta_steps),
                    seconds: tally.seconds,
                    episodes_per_second: tally.episodes_per_second(),
                    run: path.display().to_string(),
                };
                let summary = match completed.test {
                    Some(test) => summary.with_test(test.episodes, test.loss, test.accuracy),
                    None => summary,
                };
                summary.print(json)
            }
            Outcome::Stopped { step } => {
                tell(&format!(
                    "stopped after meta-step {step}; go on with: lyceum train --resume {}",
                    path.display()
                ));
                Ok(())
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
