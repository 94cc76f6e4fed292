//! What `metrics.jsonl` tells of a run that is over.

use lyceum_common::report::Estimate;
use serde::Deserialize;

use super::MetricsError;
use crate::run::ReportKind;
use crate::run_folder::RunFolder;

/// What a run's metrics tell when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct History {
    /// How long it trained and validated, in seconds, over all the times that it was begun.
    pub seconds: f64,
    /// Its last test.
    pub test: Option<TestResult>,
}

/// The test at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TestResult {
    /// How many episodes.
    pub episodes: u64,
    /// The query loss.
    pub loss: Estimate,
    /// The share of query examples labelled right; absent for regression.
    pub accuracy: Option<Estimate>,
}

impl History {
    /// What the lines of `metrics.jsonl` tell; those that a crash has cut are passed over.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(folder: &RunFolder) -> Result<Self, MetricsError> {
        let path = folder.metrics();
        let bytes = std::fs::read(&path).map_err(|source| MetricsError { path, source })?;
        let mut history = Self::default();
        // The clock begins anew where a run goes on. In lines of older versions nothing but its fall says so.
        let (mut before, mut last, mut session) = (0.0, 0.0, 0);
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Ok(line) = serde_json::from_str::<ReadLine>(line) else { continue };
            if line.kind == ReportKind::Test.name() {
                // JSON has null for what is no number: a loss that diverged, and an interval that is not known.
                let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
                let estimate = |mean, interval| Estimate { mean, interval: number(interval) };
                history.test = Some(TestResult {
                    episodes: line.episodes,
                    loss: estimate(number(line.loss), line.loss_interval),
                    accuracy: line.accuracy.map(|mean| estimate(mean, line.accuracy_interval)),
                });
                continue;
            }
            if line.session != session || line.seconds < last {
                before += last;
            }
            (last, session) = (line.seconds, line.session);
        }
        history.seconds = before + last;
        Ok(history)
    }
}

/// What is read of a line again.
#[derive(Deserialize)]
struct ReadLine {
    kind: String,
    loss: Option<f64>,
    loss_interval: Option<f64>,
    accuracy: Option<f64>,
    accuracy_interval: Option<f64>,
    episodes: u64,
    seconds: f64,
    #[serde(default)]
    session: u64,
}
