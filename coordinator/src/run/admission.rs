//! May this submission count? A list of named refusals.

use lyceum_common::ids::{Digest, EpisodeRange};
use lyceum_common::reduction::{Partial, subtrees};

use super::message::{Assignment, Job, Submission};

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
    /// A gradient is infinite or not a number, or what is reported beside it.
    #[error("the answer to assignment {0} is not finite")]
    NotFinite(u64),
    /// Too many of the worker's answers were refused: it gets no more work.
    #[error("{0} answers were refused, and the worker is expelled")]
    Expelled(u32),
}

/// Checks an answer to `assignment`; `parameters` is the length of the meta-parameters.
pub(super) fn admit(
    assignment: &Assignment,
    submission: &Submission,
    parameters: usize,
) -> Result<(), Refusal> {
    let id = assignment.id;
    if submission.job != assignment.job {
        let (expected, found) = (assignment.job, submission.job);
        return Err(Refusal::WrongJob { assignment: id, expected, found });
    }
    if submission.parameters != assignment.parameters {
        let (expected, found) = (assignment.parameters, submission.parameters);
        return Err(Refusal::WrongParameters { assignment: id, expected, found });
    }
    if submission.range != assignment.range {
        let (expected, found) = (assignment.range, submission.range);
        return Err(Refusal::WrongRange { assignment: id, expected, found });
    }
    let nodes = subtrees(assignment.episodes, assignment.range);
    if !submission.partials.iter().map(|partial| partial.node).eq(nodes) {
        return Err(Refusal::WrongNodes(id));
    }
    let length = match assignment.job {
        Job::Gradient { .. } => parameters,
        Job::Evaluation { .. } => 0,
    };
    submission
        .partials
        .iter()
        .try_for_each(|partial| admit_partial(assignment, partial, length))?;
    if !submission.finite {
        return Err(Refusal::NotFinite(id));
    }
    Ok(())
}

fn admit_partial(assignment: &Assignment, partial: &Partial, length: usize) -> Result<(), Refusal> {
    let id = assignment.id;
    if partial.gradient.len() != length {
        let (expected, found) = (length, partial.gradient.len());
        return Err(Refusal::WrongGradientLength { assignment: id, expected, found });
    }
    let (expected, found) =
        (partial.node.episodes(assignment.episodes).len(), partial.reports.episodes);
    if found != expected {
        return Err(Refusal::WrongEpisodeCount { assignment: id, expected, found });
    }
    match assignment.job {
        // Of an evaluation it is a result, if one that selects nothing.
        Job::Evaluation { .. } => Ok(()),
        Job::Gradient { .. } if partial.reports.are_finite() => Ok(()),
        Job::Gradient { .. } => Err(Refusal::NotFinite(id)),
    }
}
