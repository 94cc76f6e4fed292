//! What goes into a run and what comes out of it.

use std::fmt;

use lyceum_common::ids::{Digest, EpisodeRange, MetaStep, Split, WorkerId};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::reduction::Partial;

use super::admission::Refusal;
use super::outcome::Outcome;
use super::report::{Progress, Report};
use super::snapshot::Snapshot;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker is there, and can be given work.
    Joined(WorkerId, Capability),
    /// A worker is gone; what it was given goes to others.
    Left(WorkerId),
    /// A worker answers an assignment.
    Submitted(WorkerId, Submission),
    /// Time passed: the instant of [`Run::poll_timeout`](super::Run::poll_timeout) is reached.
    Tick,
    /// A person wants the run to stop: the step under way is dropped, the last complete one saved.
    Stop,
}

/// What a worker can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// How many episodes it computes at once.
    pub threads: u32,
}

/// What the episodes of an assignment are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// The meta-gradient of training episodes of this meta-step.
    Gradient {
        /// The meta-step, from 0.
        step: MetaStep,
    },
    /// Loss and accuracy of the episodes of an evaluation.
    Evaluation {
        /// The classes that they are drawn from: [`Split::Validation`] or [`Split::Test`].
        split: Split,
    },
}

/// A range of episodes given to a worker: with the run's configuration and the parameters, all that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its number within the coordinator's life: never given twice.
    pub id: u64,
    /// What the episodes are for.
    pub job: Job,
    /// The version of the meta-parameters to compute from.
    pub parameters: Digest,
    /// Which episodes.
    pub range: EpisodeRange,
    /// How many leaves the tree of this reduction has: the episodes of the whole meta-step or evaluation.
    pub episodes: u64,
}

/// A worker's answer to an assignment.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The assignment's number.
    pub assignment: u64,
    /// The assignment's job.
    pub job: Job,
    /// The version of the meta-parameters that it was computed from.
    pub parameters: Digest,
    /// The assignment's range.
    pub range: EpisodeRange,
    /// The sums of the subtrees of `range`, left to right: [`subtrees`](lyceum_common::reduction::subtrees).
    pub partials: Vec<Partial>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Give a worker this assignment. Its parameters were published before.
    Assign(WorkerId, Assignment),
    /// A version of the meta-parameters that assignments from here on name; the ones before it are not needed any more.
    Publish(MetaParameters),
    /// Tell a worker why its answer does not count. [`Refusal::Expelled`]: and part with it.
    Refuse(WorkerId, Refusal),
    /// Write a checkpoint.
    Save(Snapshot),
    /// Write a line of metrics.
    Report(Report),
    /// A meta-step is done: for a progress bar.
    Progress(Progress),
    /// The run is over; nothing follows.
    Finish(Outcome),
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
