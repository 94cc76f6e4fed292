//! `lyceum train`: the coordinator and its workers in one process, over loopback gRPC.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use lyceum_coordinator::server::Listener;
use tokio::task::{JoinSet, block_in_place};
use tokio_util::sync::CancellationToken;

use crate::place::{Configuration, Places};
use crate::serve::Job;
use crate::signals;
use crate::worker::{Local, default_threads};

/// Trains on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    places: Places,
    /// Local workers
    #[arg(long, default_value = "1")]
    workers: NonZeroUsize,
    /// Compute threads a worker; the machine's cores, shared among the workers, where absent
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Goes on with a run: its folder, or its name below --runs
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "overrides", "data"])]
    resume: Option<PathBuf>,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { configuration, places, workers, threads, resume, json } = self;
        let shutdown = signals::shutdown()?;
        let job = block_in_place(|| Job::new(&configuration, &places, resume.as_deref()))?;
        let listener = Listener::bind("127.0.0.1:0").await?;
        let threads = threads.unwrap_or_else(|| default_threads(workers));
        let failed = CancellationToken::new();
        let mut sessions = JoinSet::new();
        for index in 0..workers.get() {
            let local = Local {
                coordinator: listener.address().to_owned(),
                name: format!("local-{index}"),
                threads,
                cache: places.cache.folder(),
            };
            let (failed, ending) = (failed.clone(), shutdown.clone());
            sessions.spawn(async move {
                let ended = local.work(ending).await;
                if ended.is_err() {
                    failed.cancel();
                }
                ended
            });
        }
        let stop = CancellationToken::new();
        let served = job.serve(listener, stop.clone(), json);
        tokio::pin!(served);
        // A local worker that cannot work ends the run: nobody else may be waiting to do it.
        let served = tokio::select! {
            served = &mut served => served,
            () = shutdown.cancelled() => { stop.cancel(); served.await }
            () = failed.cancelled() => { stop.cancel(); served.await }
        };
        if failed.is_cancelled() {
            while let Some(session) = sessions.join_next().await {
                session??;
            }
        }
        served
    }
}
