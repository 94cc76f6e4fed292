//! Workers in the process of their coordinator.

use std::num::NonZeroUsize;
use std::path::Path;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::count::{at_least_one, thread_count};
use crate::worker::{Local, default_threads};

/// How many workers this process has, and how many threads each.
#[derive(Debug, clap::Args)]
pub(crate) struct LocalWorkers {
    /// Local workers
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    workers: NonZeroUsize,
    /// Compute threads a worker; the machine's cores, shared among the workers, where absent
    #[arg(long, value_parser = thread_count)]
    threads: Option<NonZeroUsize>,
}

impl LocalWorkers {
    /// Works for the run that `served` serves at `address` until it has served it. Cancels `stop`, which is to end it early,
    /// at `shutdown`, and where a worker cannot work: nobody else may be waiting to do it.
    ///
    /// # Errors
    /// Where a worker cannot work, or else what is wrong with the serving.
    pub(crate) async fn work_for<T>(
        &self,
        address: &str,
        cache: &Path,
        served: impl Future<Output = anyhow::Result<T>>,
        stop: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<T> {
        let threads = self.threads.unwrap_or_else(|| default_threads(self.workers));
        let failed = CancellationToken::new();
        let mut sessions = JoinSet::new();
        for index in 0..self.workers.get() {
            let local = Local {
                coordinator: address.to_owned(),
                name: format!("local-{index}"),
                threads,
                cache: cache.to_owned(),
            };
            let (failed, ending) = (failed.clone(), stop.clone());
            sessions.spawn(async move {
                let ended = local.work(ending).await;
                if ended.is_err() {
                    failed.cancel();
                }
                ended
            });
        }
        tokio::pin!(served);
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
