//! A worker's life with a coordinator: dial, join, fetch, work; and dial again when the connection is lost.

mod endpoint;
mod membership;
mod pack_cache;
mod same_layout;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lyceum_common::config::RunConfig;
use lyceum_common::pack::Pack;
use lyceum_common::wire::WireError;
use tokio::select;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::pool::ComputeError;
use crate::work::Work;
use membership::{Engine, Membership};
pub use pack_cache::PackCacheError;

/// The pause before the first new attempt; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a worker that has joined dials again for messages that make no sense.
const MOST_BROKEN: u32 = 3;

/// How a worker joins.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The coordinator's address: `http://host:port`, `host:port`, or `unix:path` of a socket on this machine.
    pub coordinator: String,
    /// The worker's name, for people.
    pub name: String,
    /// How many threads compute.
    pub threads: NonZeroUsize,
    /// What they compute with, for people.
    pub instruction_set: String,
    /// The folder for data packs that were fetched.
    pub cache: PathBuf,
    /// How long to try for a coordinator that never answered. One that did is tried for ever.
    pub wait: Duration,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run is over.
    Finished,
    /// This worker was told to stop.
    Stopped,
}

/// What people may want to hear of a session. Attempts that come to nothing are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The coordinator has welcomed this worker.
    Joined {
        /// The run's name.
        run: String,
    },
    /// The connection is lost, and the coordinator is tried until it is back.
    Lost {
        /// What happened to it.
        problem: String,
    },
    /// The coordinator that was lost has welcomed this worker.
    Rejoined {
        /// The run's name.
        run: String,
    },
}

/// Who hears of a session's events.
pub type Observer = dyn Fn(Event) + Send + Sync;

/// Makes a run's learning problem from its configuration and data pack.
pub type Builder = dyn Fn(&RunConfig, Option<Arc<Pack>>) -> Result<Arc<dyn Work>, Box<dyn Error + Send + Sync>>
    + Send
    + Sync;

/// Why a session ended without the run's end.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The coordinator's address is none.
    #[error("{url} is no address of a coordinator: {problem}")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// No coordinator answered in time.
    #[error("no coordinator at {url}: {problem}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the last attempt met with.
        problem: String,
    },
    /// What answers speaks another protocol.
    #[error("{url} answers, but is no Lyceum coordinator")]
    Stranger {
        /// The address as given.
        url: String,
    },
    /// The coordinator does not want this worker.
    #[error("the coordinator at {url} refuses this worker: {reason}")]
    Refused {
        /// Its address.
        url: String,
        /// What it says.
        reason: String,
    },
    /// The coordinator's messages make no sense.
    #[error("the coordinator sent {0}")]
    Wire(#[from] WireError),
    /// The data pack cannot be kept.
    #[error(transparent)]
    PackCache(#[from] PackCacheError),
    /// The run's learning problem cannot be made.
    #[error("the run cannot be worked on: {0}")]
    Build(Box<dyn Error + Send + Sync>),
    /// The learning problem has other meta-parameters than the run.
    #[error(
        "the run has {expected} meta-parameters, and this worker's learner {found}: are both of one version?"
    )]
    OtherLayout {
        /// The run's.
        expected: usize,
        /// This worker's.
        found: usize,
    },
    /// The run's meta-parameters lie otherwise in their vector than this worker's.
    #[error("{0}: are both of one version?")]
    OtherEntry(String),
    /// The system gives no threads.
    #[error("compute threads: {0}")]
    Threads(#[source] std::io::Error),
    /// A learner or a kernel panicked.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// Why a membership ended before the run.
enum Interruption {
    /// Trying again makes no sense.
    Fatal(SessionError),
    /// The connection is lost, or there was none.
    Lost(String),
}

impl<E: Into<SessionError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

/// Works for a coordinator until its run is over, or until `shutdown`.
///
/// # Errors
/// Where no coordinator answers at first, or trying again makes no sense.
pub async fn run(
    options: &SessionOptions,
    build: &Builder,
    shutdown: CancellationToken,
) -> Result<Ended, SessionError> {
    run_observed(options, build, &|_| (), shutdown).await
}

/// As [`run`], and tells `observe` what happens.
///
/// # Errors
/// Where no coordinator answers at first, or trying again makes no sense.
pub async fn run_observed(
    options: &SessionOptions,
    build: &Builder,
    observe: &Observer,
    shutdown: CancellationToken,
) -> Result<Ended, SessionError> {
    let endpoint = endpoint::parse(&options.coordinator)?;
    let begin = Instant::now();
    let mut engine: Option<Engine> = None;
    let (mut joined_ever, mut told) = (false, false);
    let mut broken = 0;
    let mut pause = FIRST_PAUSE;
    let ended = loop {
        let mut membership = Membership {
            options,
            build,
            engine: &mut engine,
            observe,
            joined_before: joined_ever,
            joined: false,
        };
        let ended = select! {
            ended = membership.run(&endpoint) => ended,
            () = shutdown.cancelled() => break Ok(Ended::Stopped),
        };
        let joined = membership.joined;
        if let Some(engine) = &engine {
            engine.pool.abandon();
        }
        let problem = match ended {
            Ok(()) => break Ok(Ended::Finished),
            // What does not fit its digest may have been broken on its way.
            Err(Interruption::Fatal(SessionError::Wire(error)))
                if joined && broken < MOST_BROKEN =>
            {
                broken += 1;
                format!("the coordinator sent {error}")
            }
            Err(Interruption::Fatal(error)) => break Err(error),
            Err(Interruption::Lost(problem)) => problem,
        };
        joined_ever |= joined;
        if !joined_ever && begin.elapsed() + pause > options.wait {
            break Err(SessionError::Unreachable { url: options.coordinator.clone(), problem });
        }
        if joined {
            pause = FIRST_PAUSE;
            observe(Event::Lost { problem: problem.clone() });
        }
        if !joined_ever && !told {
            told = true;
            tracing::warn!(coordinator = options.coordinator, problem, "nobody there yet");
        }
        tracing::info!(coordinator = options.coordinator, problem, ?pause, "trying again");
        select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => break Ok(Ended::Stopped),
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    };
    // Threads end with the episode that they are at; nobody here is to wait for them.
    let _ = tokio::task::spawn_blocking(move || drop(engine)).await;
    ended
}
