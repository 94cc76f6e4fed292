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
    session: u64,
}

/// What of a line says where in the run it comes.
#[derive(Deserialize)]
struct Place {
    step: u64,
    kind: String,
    /// 0 in lines of older versions.
    #[serde(default)]
    session: u64,
}

#[derive(Debug)]
pub(super) struct JsonLines {
    pub(super) path: PathBuf,
    file: File,
    /// How often the run was begun or gone on with, this time included: each has a clock of its own.
    session: u64,
}

impl JsonLines {
    /// Opens the file, without what was written after the snapshot, or with nothing where there is none.
    pub(super) fn open(path: &Path, after: Option<&Snapshot>) -> io::Result<Self> {
        let (mut kept, mut sessions) = (String::new(), 0);
        if let Some(snapshot) = after
            && path.exists()
        {
            let bytes = std::fs::read(path)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                if let Some(place) = place_before(line, snapshot) {
                    kept.extend([line, "\n"]);
                    sessions = place.session.max(sessions);
                }
            }
        }
        durable::write(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file, session: sessions.saturating_add(1) })
    }

    /// Makes what was written last.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
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
            session: self.session,
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        // In one piece, so that a reader does not meet half a line.
        self.file.write_all(text.as_bytes())
    }
}

/// The place of a line that a run which goes on from the snapshot does not write again; none of one that it does, or
/// that a crash has cut.
fn place_before(line: &str, snapshot: &Snapshot) -> Option<Place> {
    let place: Place = serde_json::from_str(line).ok()?;
    let (kind, step) = (place.kind.as_str(), place.step.cmp(&snapshot.step.0));
    if kind == ReportKind::Test.name() {
        return None;
    }
    let is_done = snapshot.validated || kind != ReportKind::Validation.name();
    (step.is_lt() || (step.is_eq() && is_done)).then_some(place)
}
