//! `metrics.jsonl`: one JSON object a line, one line a report.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Timing;
use crate::durable;
use crate::run::{Report, ReportKind, Snapshot};

/// A line.
#[derive(Serialize)]
struct Line {
    step: u64,
    kind: &'static str,
    loss: f64,
    loss_interval: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_interval: Option<f64>,
    episodes: u64,
    episodes_per_second: f64,
    workers: usize,
    seconds: f64,
}

/// What of a line says where in the run it comes.
#[derive(Deserialize)]
struct Place {
    step: u64,
    kind: String,
}

#[derive(Debug)]
pub(super) struct JsonLines {
    pub(super) path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens the file, without what was written after the snapshot, or with nothing where there is none.
    pub(super) fn open(path: &Path, after: Option<&Snapshot>) -> io::Result<Self> {
        let kept = match after {
            Some(snapshot) if path.exists() => {
                let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
                let lines = text.lines().filter(|line| is_before(line, snapshot));
                lines.flat_map(|line| [line, "\n"]).collect()
            }
            _ => String::new(),
        };
        durable::write(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file })
    }

    pub(super) fn write(&mut self, report: &Report, timing: Timing) -> io::Result<()> {
        let line = Line {
            step: report.step.0,
            kind: report.kind.name(),
            loss: report.loss.mean,
            loss_interval: report.loss.interval,
            accuracy: report.accuracy.map(|accuracy| accuracy.mean),
            accuracy_interval: report.accuracy.map(|accuracy| accuracy.interval),
            episodes: report.episodes,
            episodes_per_second: timing.episodes_per_second,
            workers: report.workers,
            seconds: timing.seconds,
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        // In one piece, so that a reader does not meet half a line.
        self.file.write_all(text.as_bytes())
    }
}

/// Whether a run that goes on from the snapshot does not write this line again. A line that a crash has cut is dropped.
fn is_before(line: &str, snapshot: &Snapshot) -> bool {
    let Ok(Place { step, kind }) = serde_json::from_str(line) else { return false };
    let step = step.cmp(&snapshot.step.0);
    if kind == ReportKind::Test.name() {
        return false;
    }
    step.is_lt() || (step.is_eq() && (snapshot.validated || kind != ReportKind::Validation.name()))
}
