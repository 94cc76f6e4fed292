//! How a run ends.

use lyceum_common::ids::{EpisodeRange, MetaStep, WorkerId};
use lyceum_common::parameters::MetaParameters;

use super::message::Job;
use super::report::Report;

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All meta-steps are done, and the test.
    Completed(Completed),
    /// It was stopped; the snapshot before this is where it goes on.
    Stopped {
        /// How many meta-steps are complete.
        step: MetaStep,
    },
    /// It cannot go on.
    Failed(RunError),
}

/// What a complete run has found.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The meta-parameters that the run is for: the best by validation, or the last where none is.
    pub parameters: MetaParameters,
    /// The number of meta-steps that these parameters had seen.
    pub step: MetaStep,
    /// Whether validation selected them: it has not where there was none, or where all of them diverged.
    pub selected: bool,
    /// What the test found; absent where the configuration asks for no test episodes.
    pub test: Option<Report>,
}

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A range of a meta-step gave values that are not finite twice.
    #[error(
        "diverged: {job} gives values that are not finite in episodes {range}: the learner's rate may be too high, or meta_optimizer.clip_norm missing"
    )]
    Diverged {
        /// The job.
        job: Job,
        /// The episodes.
        range: EpisodeRange,
    },
    /// The meta-optimizer's update is not finite, though the meta-gradient is.
    #[error("diverged: the meta-parameters are not finite after meta-step {step}")]
    UpdateDiverged {
        /// The meta-step, from 0.
        step: MetaStep,
    },
    /// Two computations of the same assignment differ.
    #[error(
        "audit: {first} and {second} differ in {job}, episodes {range}: one of them is wrong, or computes other bits by nature, as a GPU does, and farm.audit must be 0"
    )]
    AuditMismatch {
        /// The job.
        job: Job,
        /// The episodes.
        range: EpisodeRange,
        /// Who answered first.
        first: WorkerId,
        /// Who answered second; the same where there was no other.
        second: WorkerId,
    },
}
