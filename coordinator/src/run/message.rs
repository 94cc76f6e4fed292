//! What goes into a run and what comes out of it.

use lyceum_common::ids::{Digest, EpisodeRange, WorkerId};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::reduction::Partial;

use super::admission::Refusal;
use super::outcome::Outcome;
use super::report::{Progress, Report};
use super::snapshot::Snapshot;
pub use lyceum_common::assignment::{Assignment, Job};

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
    /// Whether no number of their gradients is infinite or not a number: looked at as they came in.
    pub finite: bool,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Give a worker this assignment. Its parameters were published before.
    Assign(WorkerId, Assignment),
    /// A version of the meta-parameters that assignments from here on name; the ones before it are not needed any more.
    Publish(MetaParameters),
    /// A worker has computed these episodes: its answer is in order, whether it counts or another's came before.
    Accept(WorkerId, EpisodeRange),
    /// A gradient's vector is free for another one.
    Reuse(Vec<f32>),
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
