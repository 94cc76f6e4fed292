//! What a person may want to see while a run goes on.

use lyceum_common::ids::WorkerId;
use lyceum_common::wire::Hello;

use crate::metrics::Timing;
use crate::run::{Evaluation, Progress, Report};

/// Something to see.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A worker is there, and can be given work.
    Joined(WorkerId, Hello),
    /// A worker is gone.
    Left(WorkerId),
    /// A meta-step is done, and took so long.
    Progress(Progress, Timing),
    /// An evaluation has begun, or goes on.
    Evaluation(Evaluation),
    /// A line of metrics was written.
    Report(Report, Timing),
}

/// Who sees it: called on the run's own task, so it must not block.
pub type Observer = Box<dyn FnMut(Observation) + Send>;
