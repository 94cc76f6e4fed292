//! A run's folder while this process trains the run: no other one can.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

use lyceum_common::ids::Digest;
use lyceum_common::parameters::MetaParameters;

use crate::checkpoint::CheckpointError;
use crate::run::Snapshot;
use crate::run_folder::{RunFolder, RunFolderError};

/// A run's folder that no other process trains in while this is there. Who only reads it need not hold it.
#[derive(Debug)]
pub(crate) struct HeldFolder {
    folder: RunFolder,
    /// What the run draws from, for its checkpoints.
    pack: Option<Digest>,
    /// Its lock goes when it is closed, however the process ends.
    _lock: File,
}

/// Why a run's folder cannot be trained in.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Two would overwrite each other's metrics and checkpoints.
    #[error("{path}: another process trains this run")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file that is to be locked.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It cannot be written into.
    #[error(transparent)]
    Parts(#[from] RunFolderError),
}

impl HeldFolder {
    /// Holds the folder of a run that draws from this data pack, if from any.
    pub(crate) fn hold(folder: RunFolder, pack: Option<Digest>) -> Result<Self, HoldError> {
        let path = folder.lock();
        let failed = |source| HoldError::Io { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HoldError::Taken { path: folder.path().to_owned() });
            }
            // Not every file system has locks: there it is for people to see to.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        folder.create_parts()?;
        Ok(Self { folder, pack, _lock: file })
    }

    pub(crate) fn run_folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Writes a checkpoint.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<(), CheckpointError> {
        self.folder.save(snapshot, self.pack).map(drop)
    }

    /// Writes the parameters that a complete run is for.
    pub(crate) fn save_model(&self, parameters: &MetaParameters) -> Result<(), CheckpointError> {
        self.folder.save_model(parameters)
    }
}
