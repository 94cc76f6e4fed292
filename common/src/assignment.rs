//! What a worker is given to compute.

use std::fmt;

use crate::ids::{Digest, EpisodeRange, MetaStep, Split};

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
        /// The classes that they are drawn from.
        split: Split,
    },
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
