//! The whole state of a run. No clock, no socket, no file: events and the time come in, actions go out.

mod admission;
mod message;
mod outcome;
mod report;
mod snapshot;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::Split;
use lyceum_common::parameters::MetaParameters;

pub use admission::Refusal;
pub use message::{Action, Assignment, Capability, Event, Job, Submission};
pub use outcome::{Completed, Outcome, RunError};
pub use report::{Progress, Report, ReportKind};
pub use snapshot::{Best, Snapshot};

/// A run: [`handle`](Self::handle) what happened, then do what [`poll`](Self::poll) says until it says nothing.
#[derive(Debug)]
pub struct Run {
    outbox: VecDeque<Action>,
}

/// Why a snapshot is not one of this run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The meta-optimizer keeps other tensors.
    #[error("the snapshot has no state `{0}` of the meta-optimizer, or one of another length")]
    Optimizer(String),
}

impl Run {
    /// A run from its beginning, with these initial meta-parameters.
    #[must_use]
    pub fn new(config: RunConfig, parameters: MetaParameters) -> Self {
        let _ = config;
        Self { outbox: VecDeque::from([Action::Publish(parameters)]) }
    }

    /// A run that goes on from a snapshot, to the same bits as one that never stopped.
    ///
    /// # Errors
    /// Where the snapshot is of a run with another meta-optimizer.
    pub fn restore(config: RunConfig, snapshot: Snapshot) -> Result<Self, RestoreError> {
        Ok(Self::new(config, snapshot.parameters))
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        let _ = (now, event);
    }

    /// The next thing to do, in order; none until something more happens.
    pub fn poll(&mut self) -> Option<Action> {
        self.outbox.pop_front()
    }

    /// When to handle a [`Event::Tick`], if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gradient { step } => write!(f, "meta-step {step}"),
            Self::Evaluation { split: Split::Validation } => f.write_str("the validation"),
            Self::Evaluation { split: Split::Test } => f.write_str("the test"),
            Self::Evaluation { split: Split::Train } => {
                f.write_str("an evaluation on training classes")
            }
        }
    }
}
