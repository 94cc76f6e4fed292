//! What a run reports as it goes.

use lyceum_common::ids::{MetaStep, Split};
use lyceum_common::report::Estimate;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// The training episodes since the last report.
    Training,
    /// An evaluation on validation classes.
    Validation,
    /// The evaluation on test classes at the end.
    Test,
}

impl ReportKind {
    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// A line of metrics, but for what takes a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// What it is about.
    pub kind: ReportKind,
    /// How many meta-steps were complete.
    pub step: MetaStep,
    /// How many episodes the means are over.
    pub episodes: u64,
    /// The query loss.
    pub loss: Estimate,
    /// The share of query examples labelled right; absent for regression.
    pub accuracy: Option<Estimate>,
    /// How many workers there are.
    pub workers: usize,
}

/// A meta-step is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// How many meta-steps are complete.
    pub step: MetaStep,
    /// The step's episodes.
    pub episodes: u64,
    /// The mean query loss over the step's episodes.
    pub loss: f64,
    /// The mean accuracy over the step's episodes; absent for regression.
    pub accuracy: Option<f64>,
    /// How many workers there are.
    pub workers: usize,
}

/// How far the evaluation under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The classes that its episodes are drawn from.
    pub split: Split,
    /// How many of its episodes are answered.
    pub answered: u64,
    /// How many it has.
    pub episodes: u64,
}
