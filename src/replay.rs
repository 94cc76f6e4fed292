//! `lyceum replay`: meta-steps of a run once more, to see that they come to the same bits.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::pack::Pack;
use lyceum_coordinator::checkpoint;
use lyceum_coordinator::enterprise::{Enterprise, check_same, layout_of};
use lyceum_coordinator::observation::{Observation, Observer};
use lyceum_coordinator::run::Outcome;
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_coordinator::server::{self, Listener};
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::local_workers::LocalWorkers;
use crate::output::{print, tell};
use crate::place::{Places, open_run};
use crate::progress;
use crate::signals::Shutdown;

/// Computes meta-steps between two checkpoints of a run again, and compares what they come to with what the run has.
///
/// It is done as by `train --resume`, on this machine and in a temporary folder: of the run's own nothing changes. Every
/// checkpoint in between is compared too. Ends with status 1 at the first one that differs, and with 130 after Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    /// The meta-step to begin after: one whose checkpoint is kept, or 0 for the run's beginning; that of the checkpoint
    /// before --to where absent
    #[arg(long, value_name = "STEP")]
    from: Option<u64>,
    /// The meta-step to end with, whose checkpoint is kept; the last one where absent
    #[arg(long, value_name = "STEP")]
    to: Option<u64>,
    #[command(flatten)]
    workers: LocalWorkers,
    #[command(flatten)]
    places: Places,
}

/// What is computed again, and from where to where.
struct Leg<'a> {
    folder: &'a RunFolder,
    config: &'a RunConfig,
    pack: Option<Arc<Pack>>,
    from: MetaStep,
    to: MetaStep,
}

impl Replay {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let shutdown = Shutdown::at_signal("stopping")?;
        let (folder, config) = open_run(&self.places.runs, &self.run)?;
        let place = || folder.path().display().to_string();
        let steps = self.steps(&folder.kept_checkpoints()?).with_context(place)?;
        let pack = block_in_place(|| self.places.cache.pack(&config))?;
        for (&from, &to) in steps.iter().zip(steps.iter().skip(1)) {
            let pack = pack.clone();
            let leg = Leg { folder: &folder, config: &config, pack, from, to };
            let expected = block_in_place(|| leg.expected())?;
            let Some(found) = self.replay(leg, shutdown.token()).await? else {
                tell(&format!("stopped before meta-step {to}"));
                return Ok(shutdown.status());
            };
            ensure!(
                found == expected,
                "{}: meta-step {to} differs: the run has {expected}, and from meta-step {from} on it is {found} now",
                place()
            );
            print(&format!("meta-step {to}, from {from} on: the same bits, {expected}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Where to begin, and every checkpoint that is kept from there to where it ends.
    fn steps(&self, kept: &[MetaStep]) -> anyhow::Result<Vec<MetaStep>> {
        let to = self.to.map(MetaStep).or(kept.last().copied()).context("no checkpoint yet")?;
        let before = kept.iter().copied().rfind(|&step| step < to);
        let from = self.from.map(MetaStep).or(before).with_context(|| {
            format!("no checkpoint before meta-step {to} is kept: --from 0 begins with the run")
        })?;
        ensure!(from < to, "--from {from}: not before meta-step {to}");
        let between = kept.iter().copied().filter(|&step| from < step && step < to);
        Ok([from].into_iter().chain(between).chain([to]).collect())
    }

    /// The digest of the parameters that a leg comes to now; none where `shutdown` ended it before.
    async fn replay(
        &self,
        leg: Leg<'_>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<Digest>> {
        let place = tempfile::tempdir().context("no temporary folder")?;
        let (from, to) = (leg.from, leg.to);
        let mut config = leg.config.clone();
        // The checkpoint that is asked for, and none before; no bit of a run depends on it.
        config.training.checkpoint_every = to.0;
        let again = RunFolder::create(place.path(), &config.name, &config.to_toml())?;
        let enterprise = block_in_place(|| leg.begin(&config, again.clone()))?;
        let listener = Listener::bind("127.0.0.1:0").await?;
        let address = listener.address().to_owned();
        let stop = CancellationToken::new();
        let observer = watch(&config, from, to, stop.clone());
        let served = server::serve(listener, enterprise, observer, stop.clone());
        let served = async { served.await.map_err(anyhow::Error::from) };
        let cache = self.places.cache.folder();
        let outcome = self.workers.work_for(&address, &cache, served, &stop, shutdown).await?;
        if let Outcome::Failed(error) = outcome {
            bail!(error);
        }
        if shutdown.is_cancelled() {
            return Ok(None);
        }
        block_in_place(|| digest_at(&again, &config, to)).map(Some)
    }
}

impl Leg<'_> {
    /// What the run came to at its end, if that was with the configuration and the data that are here now.
    fn expected(&self) -> anyhow::Result<Digest> {
        let checkpoint = self.folder.checkpoint(self.to, &layout_of(self.config)?)?;
        let pack = self.pack.as_ref().map(|pack| pack.digest());
        check_same(self.folder, &checkpoint, self.config, pack)?;
        Ok(checkpoint.snapshot.parameters.digest())
    }

    /// The run in the folder `again`, at the leg's beginning.
    fn begin(self, config: &RunConfig, again: RunFolder) -> anyhow::Result<Enterprise> {
        if self.from > MetaStep(0) {
            let layout = layout_of(config)?;
            let begin = self.folder.checkpoint(self.from, &layout)?;
            let folder = again.checkpoints();
            checkpoint::write(&folder, &begin.snapshot, &begin.config, begin.pack)?;
        }
        Ok(Enterprise::resume(config.clone(), self.pack, again)?)
    }
}

/// The digest of the parameters after `step` meta-steps, of which a folder keeps a checkpoint.
fn digest_at(folder: &RunFolder, config: &RunConfig, step: MetaStep) -> anyhow::Result<Digest> {
    let checkpoint = folder.checkpoint(step, &layout_of(config)?)?;
    Ok(checkpoint.snapshot.parameters.digest())
}

/// Shows how far it is, and stops the run where it has got `to`, before any test.
fn watch(config: &RunConfig, from: MetaStep, to: MetaStep, stop: CancellationToken) -> Observer {
    let mut shown = config.clone();
    shown.training.meta_steps = to.0;
    shown.training.test_episodes = 0;
    let mut show = progress::observer(&shown, from);
    Box::new(move |observation| {
        if matches!(&observation, Observation::Progress(progress, _) if progress.step >= to) {
            stop.cancel();
        }
        show(observation);
    })
}
