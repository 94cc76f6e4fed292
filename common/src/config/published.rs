//! What papers report, for a run to be set beside.

use serde::{Deserialize, Serialize};

/// A paper's result. Nothing in here changes a bit of a run; `lyceum report` prints it beside what was obtained, where the
/// data and the episodes are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The kind of data that it is on, as in a configuration, or `lake_runs`.
    pub data: String,
    /// Classes an episode; in regression one.
    #[serde(default = "one")]
    pub ways: usize,
    /// Support examples a class.
    #[serde(default = "one")]
    pub shots: usize,
    /// Whether query examples saw one another; absent where the row stands for either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transductive: Option<bool>,
    /// The inner steps in evaluation that the row stands for; empty where it stands for the run's own alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<usize>,
    /// The result as it is printed there.
    pub result: String,
    /// Whose it is, and where it stands.
    pub citation: String,
    /// How it was come by, as far as that matters to whoever compares.
    pub protocol: String,
}

fn one() -> usize {
    1
}
