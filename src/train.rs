//! `lyceum train`: the coordinator and its workers in one process, over loopback gRPC.

use std::path::PathBuf;

use lyceum_coordinator::server::Listener;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::local_workers::LocalWorkers;
use crate::place::{Configuration, Places};
use crate::serve::Job;
use crate::signals;

/// Trains on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    workers: LocalWorkers,
    /// Goes on with a run: its folder, or its name below --runs
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "overrides", "data"])]
    resume: Option<PathBuf>,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { configuration, places, workers, resume, json } = self;
        let shutdown = signals::shutdown()?;
        let job = block_in_place(|| Job::new(&configuration, &places, resume.as_deref()))?;
        let listener = Listener::bind("127.0.0.1:0").await?;
        let address = listener.address().to_owned();
        let stop = CancellationToken::new();
        let served = job.serve(listener, stop.clone(), json);
        workers.work_for(&address, &places.cache.folder(), served, &stop, &shutdown).await
    }
}
