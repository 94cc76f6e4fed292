//! May this submission count? A list of named refusals.

use lyceum_common::ids::{Digest, EpisodeRange};

use super::message::Job;

/// Why a submission does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The worker was not given this assignment, or has answered it before.
    #[error("assignment {0} is not this worker's, or was answered before")]
    UnknownAssignment(u64),
    /// The answer is for another job than the assignment.
    #[error("assignment {assignment} is {expected}, and the answer is for {found}")]
    WrongJob {
        /// The assignment's number.
        assignment: u64,
        /// The assignment's job.
        expected: Job,
        /// The answer's.
        found: Job,
    },
    /// It was computed from other meta-parameters.
    #[error("assignment {assignment} is of the parameters {expected}, and the answer of {found}")]
    WrongParameters {
        /// The assignment's number.
        assignment: u64,
        /// The assignment's version.
        expected: Digest,
        /// The answer's.
        found: Digest,
    },
    /// It is for other episodes.
    #[error("assignment {assignment} is of the episodes {expected}, and the answer of {found}")]
    WrongRange {
        /// The assignment's number.
        assignment: u64,
        /// The assignment's range.
        expected: EpisodeRange,
        /// The answer's.
        found: EpisodeRange,
    },
    /// The sums are not those of the range's subtrees, left to right.
    #[error("the partials of assignment {0} are not those of its range's subtrees, left to right")]
    WrongNodes(u64),
    /// A gradient has another length than the meta-parameters (or, in an evaluation, than 0).
    #[error("a gradient of assignment {assignment} has {found} elements and not {expected}")]
    WrongGradientLength {
        /// The assignment's number.
        assignment: u64,
        /// The layout's length; 0 in an evaluation.
        expected: usize,
        /// The gradient's.
        found: usize,
    },
    /// A report counts more or fewer episodes than its node has.
    #[error("a partial of assignment {assignment} reports {found} episodes and not {expected}")]
    WrongEpisodeCount {
        /// The assignment's number.
        assignment: u64,
        /// The node's episodes.
        expected: u64,
        /// The report's.
        found: u64,
    },
    /// A gradient or a report is infinite or not a number.
    #[error("the answer to assignment {0} is not finite")]
    NotFinite(u64),
    /// Too many of the worker's answers were refused: it gets no more work.
    #[error("{0} answers were refused, and the worker is expelled")]
    Expelled(u32),
}
