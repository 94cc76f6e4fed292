//! The state of a run between two meta-steps: all that it takes to go on to the same bits.

use lyceum_common::ids::MetaStep;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;

use crate::meta_optimizer::State;

/// The state of a run between two meta-steps.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How many meta-steps are complete.
    pub step: MetaStep,
    /// The meta-parameters after these steps.
    pub parameters: MetaParameters,
    /// The meta-optimizer's moments.
    pub optimizer: State,
    /// The best parameters by validation so far.
    pub best: Option<Best>,
    /// Whether the validation that is due at `step`, if any, is done.
    pub validated: bool,
    /// Sums over the training episodes since the last report.
    pub unreported: ReportSums,
}

/// The best parameters by validation, and what the validation found.
#[derive(Clone, Debug)]
pub struct Best {
    /// How many meta-steps they had seen.
    pub step: MetaStep,
    /// The parameters.
    pub parameters: MetaParameters,
    /// Sums over the validation's episodes.
    pub sums: ReportSums,
}
