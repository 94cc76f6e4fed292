//! Event files for TensorBoard: TFRecords of `tensorflow.Event` messages, of which the few fields used are declared here.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lyceum_common::ids::MetaStep;
use prost::Message;

use super::Timing;
use crate::run::Report;

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.START`: a reader drops what other files have from this step on.
const START: i32 = 1;

#[derive(Debug)]
pub(super) struct EventFile {
    pub(super) path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates the next event file of a folder; `after` is the step that the run goes on from.
    pub(super) fn create(
        folder: &Path,
        after: Option<MetaStep>,
        wall_time: f64,
    ) -> io::Result<Self> {
        let (path, file) = create_next(folder, wall_time)?;
        let mut events = Self { path, file };
        let version = What::FileVersion("brain.Event:2".into());
        events.append(&Event { wall_time, step: 0, what: Some(version) })?;
        if let Some(after) = after {
            let start = What::SessionLog(SessionLog { status: START });
            events.append(&Event { wall_time, step: signed(after.next()), what: Some(start) })?;
        }
        Ok(events)
    }

    pub(super) fn write(&mut self, report: &Report, timing: Timing) -> io::Result<()> {
        let kind = report.kind.name();
        let accuracy = report.accuracy.map(|accuracy| ("accuracy", accuracy.mean));
        let value = [("loss", report.loss.mean)]
            .into_iter()
            .chain(accuracy)
            .chain([("episodes_per_second", timing.episodes_per_second)])
            .chain([("workers", report.workers as f64)])
            .map(|(name, value)| Value {
                tag: format!("{kind}/{name}"),
                simple_value: value as f32,
            });
        let summary = What::Summary(Summary { value: value.collect() });
        let step = signed(report.step);
        self.append(&Event { wall_time: timing.wall_time, step, what: Some(summary) })
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        self.file.write_all(&record(&event.encode_to_vec()))
    }
}

/// A file whose name sorts behind those of earlier starts, and is nobody's yet.
fn create_next(folder: &Path, wall_time: f64) -> io::Result<(PathBuf, File)> {
    for number in 0u32.. {
        let path = folder.join(format!("events.out.tfevents.{:010}.{number}", wall_time as u64));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn signed(step: MetaStep) -> i64 {
    i64::try_from(step.0).unwrap_or(i64::MAX)
}

/// A TFRecord: length (u64), its masked CRC, the data, its masked CRC, all little-endian.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
