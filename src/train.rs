//! `lyceum train`: the coordinator and its workers in one process, over loopback gRPC.

use std::path::PathBuf;
use std::process::ExitCode;

use lyceum_coordinator::server::Listener;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::finished::print_if_over;
use crate::local_workers::LocalWorkers;
use crate::place::{Configuration, Places};
use crate::serve::{Job, STATUSES, STOPPING, Serving};
use crate::signals::Shutdown;

/// Trains on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUSES)]
pub(crate) struct Train {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    workers: LocalWorkers,
    /// Goes on with a run: its folder, or its name below --runs
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { configuration, places, workers, resume, json } = self;
        configuration.check_beside(resume.as_deref(), &places.runs)?;
        let shutdown = Shutdown::at_signal(STOPPING)?;
        if let Some(run) = &resume
            && block_in_place(|| print_if_over(&places, run, json))?
        {
            return Ok(ExitCode::SUCCESS);
        }
        let job = block_in_place(|| Job::new(&configuration, &places, resume.as_deref()))?;
        let listener = Listener::bind("127.0.0.1:0").await?;
        let address = listener.address().to_owned();
        let stop = CancellationToken::new();
        let resume = "lyceum train --resume".to_owned();
        let served = job.serve(listener, Serving { stop: stop.clone(), resume, json });
        let cache = places.cache.folder();
        let served = workers.work_for(&address, &cache, served, &stop, shutdown.token()).await?;
        Ok(served.status(&shutdown))
    }
}
