//! Assignments on the wire.

use crate::assignment::{Assignment, Job};
use crate::ids::{EpisodeRange, MetaStep, Split};

use super::{WireError, digest, digest_bytes, generated};

/// The most episodes that a meta-step or an evaluation has: far beyond any, and far from where numbers overflow.
const EPISODES: u64 = 1 << 48;

impl From<Split> for generated::Split {
    fn from(split: Split) -> Self {
        match split {
            Split::Train => Self::Train,
            Split::Validation => Self::Validation,
            Split::Test => Self::Test,
        }
    }
}

impl From<Job> for generated::assignment::Purpose {
    fn from(job: Job) -> Self {
        match job {
            Job::Gradient { step } => Self::Training(generated::Training { meta_step: step.0 }),
            Job::Evaluation { split } => Self::Evaluation(generated::Evaluation {
                split: generated::Split::from(split).into(),
            }),
        }
    }
}

impl TryFrom<generated::assignment::Purpose> for Job {
    type Error = WireError;

    fn try_from(purpose: generated::assignment::Purpose) -> Result<Self, WireError> {
        let split = match purpose {
            generated::assignment::Purpose::Training(training) => {
                return Ok(Self::Gradient { step: MetaStep(training.meta_step) });
            }
            generated::assignment::Purpose::Evaluation(evaluation) => evaluation.split,
        };
        let split = match generated::Split::try_from(split) {
            Ok(generated::Split::Train) => Split::Train,
            Ok(generated::Split::Validation) => Split::Validation,
            Ok(generated::Split::Test) => Split::Test,
            Ok(generated::Split::Unspecified) | Err(_) => {
                return Err(WireError::new(
                    "assignment.evaluation.split",
                    format!("{split} is not a split"),
                ));
            }
        };
        Ok(Self::Evaluation { split })
    }
}

impl From<Assignment> for generated::Assignment {
    fn from(assignment: Assignment) -> Self {
        let Assignment { id, job, parameters, range, episodes } = assignment;
        Self {
            id,
            purpose: Some(job.into()),
            episodes,
            start: range.start.0,
            end: range.end.0,
            parameters: digest_bytes(parameters),
        }
    }
}

impl TryFrom<generated::Assignment> for Assignment {
    type Error = WireError;

    fn try_from(assignment: generated::Assignment) -> Result<Self, WireError> {
        let generated::Assignment { id, purpose, episodes, start, end, parameters } = assignment;
        if episodes > EPISODES {
            return Err(WireError::new(
                "assignment.episodes",
                format!("{episodes} is more than {EPISODES}"),
            ));
        }
        if start >= end || end > episodes {
            let problem = format!("{start}..{end} is not a range of 0..{episodes}");
            return Err(WireError::new("assignment.start", problem));
        }
        Ok(Self {
            id,
            job: purpose.ok_or_else(|| WireError::missing("assignment.purpose"))?.try_into()?,
            parameters: digest(&parameters, "assignment.parameters")?,
            range: EpisodeRange::new(start, end),
            episodes,
        })
    }
}
