//! Metrics of a run: `metrics.jsonl`, and event files for TensorBoard.

mod history;
mod json_lines;
mod tensorboard;

use std::io;
use std::path::PathBuf;

use crate::run::{Report, Snapshot};
use crate::run_folder::RunFolder;
pub use history::{History, TestResult};
use json_lines::JsonLines;
use tensorboard::EventFile;

/// What a report's line, or the end of a meta-step, has from a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// In which workers were there since the run was begun or gone on with here, in seconds.
    pub seconds: f64,
    /// Of what was computed here since the last report of this kind; or of the meta-step.
    pub episodes_per_second: f64,
    /// Seconds since 1970.
    pub wall_time: f64,
}

/// Why metrics could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct MetricsError {
    /// The file.
    pub path: PathBuf,
    /// What the file system says.
    pub source: io::Error,
}

/// The metrics of a run under way.
#[derive(Debug)]
pub struct Metrics {
    lines: JsonLines,
    events: EventFile,
}

impl Metrics {
    /// The metrics in a run's folder, at the beginning or after a snapshot: lines that come after it are dropped, for they
    /// come again. `wall_time` is in seconds since 1970.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn open(
        folder: &RunFolder,
        after: Option<&Snapshot>,
        wall_time: f64,
    ) -> Result<Self, MetricsError> {
        let path = folder.metrics();
        let lines =
            JsonLines::open(&path, after).map_err(|source| MetricsError { path, source })?;
        let path = folder.tensorboard();
        let events = EventFile::create(&path, after.map(|snapshot| snapshot.step), wall_time)
            .map_err(|source| MetricsError { path, source })?;
        Ok(Self { lines, events })
    }

    /// Writes a report.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn write(&mut self, report: &Report, timing: Timing) -> Result<(), MetricsError> {
        let failed = |path: &PathBuf, source| MetricsError { path: path.clone(), source };
        let Self { lines, events } = self;
        lines.write(report, timing).map_err(|source| failed(&lines.path, source))?;
        events.write(report, timing).map_err(|source| failed(&events.path, source))
    }

    /// Makes the lines that were written last.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn sync(&self) -> Result<(), MetricsError> {
        let path = &self.lines.path;
        self.lines.sync().map_err(|source| MetricsError { path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests;
