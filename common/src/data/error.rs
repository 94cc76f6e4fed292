//! What can be wrong with a data set. Each error names the file, and the entry or line in it.

use std::io;
use std::path::PathBuf;

use crate::ids::Split;
use crate::pack::PackError;

/// Why a data set cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A pack cannot be written or opened.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A split has no classes.
    #[error("no class is in split {split}; each of train, validation and test needs some")]
    EmptySplit {
        /// The split.
        split: Split,
    },
}
