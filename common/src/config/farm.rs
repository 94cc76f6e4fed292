//! How the farm behaves. Nothing here changes a bit of a run's result.

use serde::{Deserialize, Serialize};

/// Leases, assignments, memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FarmConfig {
    /// Episodes an assignment holds at most; 0 lets the coordinator choose by the workers' threads.
    pub assignment: u64,
    /// Seconds after which a range is given to another worker as well.
    pub lease_seconds: f64,
    /// The share of assignments that are computed twice, by different workers, and compared bit for bit.
    pub audit: f64,
    /// Megabytes that a worker's thread may spend on values kept for second order; what does not fit is recomputed.
    pub kept_values_megabytes: usize,
}

impl Default for FarmConfig {
    fn default() -> Self {
        Self { assignment: 0, lease_seconds: 30.0, audit: 0.0, kept_values_megabytes: 256 }
    }
}
