//! `lyceum worker`: computes episodes for a coordinator.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use lyceum_worker::kernels::InstructionSet;
use lyceum_worker::session::{self, Ended, Event, SessionError, SessionOptions};
use lyceum_worker::work::{BuildOptions, build};
use tokio_util::sync::CancellationToken;

use crate::count::thread_count;
use crate::output::tell;
use crate::place::Cache;
use crate::signals::Shutdown;

/// What a person is told who has a worker leave.
const LEAVING: &str = "leaving: what is computed here just now goes to others";

/// What the command ends with.
const STATUSES: &str =
    "Ends with status 0 where the run is over or a signal has it leave, and 1 where it failed.";

/// Joins a coordinator, works for it, and rejoins where the connection is lost.
///
/// It ends with the run. Once it has joined, it tries for ever to join again: a coordinator may come back with --resume.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUSES)]
pub(crate) struct Worker {
    /// The coordinator's address, as host:port, http://host:port or unix:/path/of/its/socket
    #[arg(long, value_name = "URL")]
    coordinator: String,
    /// Compute threads; the machine's cores where absent
    #[arg(long, value_parser = thread_count)]
    threads: Option<NonZeroUsize>,
    /// A name for people; if absent the host's, where the system tells it
    #[arg(long)]
    name: Option<String>,
    /// Seconds to try for a coordinator that never answered; one that was joined and lost is tried for ever
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    wait: f64,
    #[command(flatten)]
    cache: Cache,
}

impl Worker {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = Shutdown::at_signal(LEAVING)?;
        let threads = self.threads.unwrap_or_else(|| default_threads(NonZeroUsize::MIN));
        let wait = Duration::try_from_secs_f64(self.wait)
            .with_context(|| format!("--wait {}", self.wait))?;
        let local = Local {
            coordinator: self.coordinator,
            name: self.name.unwrap_or_else(host_name),
            threads,
            cache: self.cache.folder(),
        };
        tell(&format!("joining {}", local.coordinator));
        let token = shutdown.token().clone();
        match session::run_observed(&local.options(wait), &builder, &say, token).await? {
            Ended::Finished => tell("the run is over"),
            Ended::Stopped => tell("stopped"),
        }
        Ok(())
    }
}

/// Says on standard error what happens to a worker.
fn say(event: Event) {
    tell(&match event {
        Event::Joined { run } => format!("joined the run {run}"),
        Event::Lost { problem } => {
            format!("lost the coordinator ({problem}); trying again until it is back")
        }
        Event::Rejoined { run } => format!("joined the run {run} again"),
    });
}

/// A worker of this process.
pub(crate) struct Local {
    pub(crate) coordinator: String,
    pub(crate) name: String,
    pub(crate) threads: NonZeroUsize,
    pub(crate) cache: PathBuf,
}

impl Local {
    /// Works until the run is over.
    pub(crate) async fn work(&self, shutdown: CancellationToken) -> Result<Ended, SessionError> {
        session::run(&self.options(Duration::from_secs(10)), &builder, shutdown).await
    }

    fn options(&self, wait: Duration) -> SessionOptions {
        SessionOptions {
            coordinator: self.coordinator.clone(),
            name: self.name.clone(),
            threads: self.threads,
            instruction_set: InstructionSet::best().name().to_owned(),
            cache: self.cache.clone(),
            wait,
        }
    }
}

/// The machine's cores, shared among `workers`; one at least.
pub(crate) fn default_threads(workers: NonZeroUsize) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(cores.get() / workers).unwrap_or(NonZeroUsize::MIN)
}

/// The host's name, by which people tell workers apart: a container has one of its own.
fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    first_name([of_kernel, std::env::var("HOSTNAME").ok()])
}

/// The first that is a name; `worker` where none is.
fn first_name(candidates: [Option<String>; 2]) -> String {
    let mut names = candidates.into_iter().flatten().map(|name| name.trim().to_owned());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "worker".to_owned())
}

fn builder(
    config: &lyceum_common::config::RunConfig,
    pack: Option<std::sync::Arc<lyceum_common::pack::Pack>>,
) -> Result<std::sync::Arc<dyn lyceum_worker::work::Work>, Box<dyn std::error::Error + Send + Sync>>
{
    Ok(build(config, pack, BuildOptions::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_named_by_its_host_and_by_its_role_where_that_has_no_name() {
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(first_name([some("node-3\n"), some("another")]), "node-3");
        assert_eq!(first_name([None, some("another")]), "another");
        assert_eq!(first_name([some("\n"), None]), "worker");
    }
}
