//! Where a run is, for those who ask from outside.

use std::collections::BTreeMap;

use lyceum_common::assignment::{Assignment, Job};
use lyceum_common::ids::{Digest, MetaStep, Split, WorkerId};
use lyceum_common::wire::Hello;

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
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

/// Where a run is, and who works on it.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) run: String,
    pub(crate) phase: Phase,
    pub(crate) step: MetaStep,
    pub(crate) steps: u64,
    pub(crate) parameters: Digest,
    /// Loss and accuracy of the last meta-step or report; accuracy is absent for regression.
    pub(crate) last: Option<(f64, Option<f64>)>,
    pub(crate) workers: BTreeMap<WorkerId, WorkerStatus>,
}

/// A worker, and what it has contributed.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStatus {
    pub(crate) hello: Hello,
    pub(crate) episodes: u64,
}

impl Status {
    /// An assignment tells what the run is at.
    pub(crate) fn assigned(&mut self, assignment: &Assignment) {
        self.phase = match assignment.job {
            Job::Gradient { .. } => Phase::Training,
            Job::Evaluation { split: Split::Test } => Phase::Test,
            Job::Evaluation { split: Split::Validation | Split::Train } => Phase::Validation,
        };
    }
}
