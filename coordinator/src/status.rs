//! Where a run is, for those who ask from outside: with [`ask`] from another process, which can end it with [`stop`].

use std::collections::BTreeMap;

use lyceum_common::assignment::{Assignment, Job};
use lyceum_common::ids::{Digest, MetaStep, Split, WorkerId};
use lyceum_common::wire::Hello;

pub use crate::service::control_client::{ControlError, ask, stop};

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Meta-steps.
    #[default]
    Training,
    /// An evaluation on validation classes.
    Validation,
    /// The evaluation on test classes.
    Test,
    /// Nothing any more.
    Finished,
}

impl Phase {
    /// That of an evaluation.
    pub(crate) fn evaluating(split: Split) -> Self {
        match split {
            Split::Test => Self::Test,
            Split::Validation | Split::Train => Self::Validation,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Finished => "finished",
        }
    }
}

/// Where a run is, and who works on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The run's name.
    pub run: String,
    /// What it is doing.
    pub phase: Phase,
    /// How many meta-steps are complete.
    pub step: MetaStep,
    /// How many there are to be.
    pub steps: u64,
    /// The digest of the current meta-parameters.
    pub parameters: Digest,
    /// Loss and accuracy of the last meta-step or report; accuracy is absent for regression.
    pub last: Option<(f64, Option<f64>)>,
    /// Training episodes a second, of late; none before there were any.
    pub episodes_per_second: Option<f64>,
    /// Seconds until the run is over, as long as somebody works on it; none before that can be told.
    pub seconds_left: Option<f64>,
    /// Who is there.
    pub workers: BTreeMap<WorkerId, WorkerStatus>,
}

/// A worker, and what it has contributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Who it is and what it can do.
    pub hello: Hello,
    /// How many of its episodes were accepted.
    pub episodes: u64,
}

impl Status {
    /// An assignment tells what the run is at.
    pub(crate) fn assigned(&mut self, assignment: &Assignment) {
        self.phase = match assignment.job {
            Job::Gradient { .. } => Phase::Training,
            Job::Evaluation { split } => Phase::evaluating(split),
        };
    }
}
