//! Writes checkpoints and metrics, in order, on a thread that may block, so that the run does not wait for a disk.

use lyceum_common::parameters::MetaParameters;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::checkpoint::CheckpointError;
use crate::held_folder::HeldFolder;
use crate::metrics::{Metrics, MetricsError, Timing};
use crate::run::{Report, Snapshot};

/// Records that may wait for the disk before the run waits with them.
const WAITING: usize = 16;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Record {
    /// A checkpoint.
    Snapshot(Snapshot),
    /// A line of metrics.
    Report(Report, Timing),
    /// The parameters that the run is for.
    Model(MetaParameters),
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A checkpoint, or the final parameters.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A line of metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A defect.
    #[error("the thread that writes checkpoints ended early")]
    Ended,
}

pub(crate) struct Recorder {
    records: mpsc::Sender<Record>,
    thread: JoinHandle<Result<(), RecordError>>,
}

impl Recorder {
    pub(crate) fn start(folder: HeldFolder, mut metrics: Metrics) -> Self {
        let (records, mut receiver) = mpsc::channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(record) = receiver.blocking_recv() {
                match record {
                    Record::Snapshot(snapshot) => {
                        // What goes on from the checkpoint does not write the lines before it again.
                        metrics.sync()?;
                        folder.save(&snapshot)?;
                    }
                    Record::Report(report, timing) => metrics.write(&report, timing)?,
                    Record::Model(parameters) => folder.save_model(&parameters)?,
                }
            }
            metrics.sync()?;
            Ok(())
        });
        Self { records, thread }
    }

    /// Queues a record. Where the thread has failed nothing is queued: [`Self::failed`] says so.
    pub(crate) async fn write(&self, record: Record) {
        let _ = self.records.send(record).await;
    }

    /// Waits until something could not be written.
    pub(crate) async fn failed(&mut self) -> RecordError {
        match (&mut self.thread).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => RecordError::Ended,
        }
    }

    /// Waits until all is written.
    pub(crate) async fn finish(self) -> Result<(), RecordError> {
        drop(self.records);
        self.thread.await.unwrap_or(Err(RecordError::Ended))
    }
}
