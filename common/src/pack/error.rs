//! What can be wrong with a pack.

use std::io;
use std::path::PathBuf;

use crate::ids::Digest;

/// Why a pack cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file cannot be mapped into memory.
    #[error("{}: cannot be mapped into memory: {problem}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file is no pack, or a damaged one.
    #[error("{}: {problem}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        problem: PackProblem,
    },
    /// What was to be written is no pack.
    #[error(transparent)]
    Unwritable(#[from] PackProblem),
}

/// Why bytes are not a pack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackProblem {
    /// They do not begin as one.
    #[error("no data pack: it does not begin with LYCEUMPK")]
    Magic,
    /// They are of another version.
    #[error("a data pack of version {found}, where this program reads version 1")]
    Version {
        /// The version.
        found: u32,
    },
    /// They end too early.
    #[error("truncated: {what} needs {needed} bytes, and the pack has {length}")]
    Truncated {
        /// What is cut off.
        what: String,
        /// How long the pack would have to be.
        needed: u64,
        /// How long it is.
        length: u64,
    },
    /// They go on behind the last image.
    #[error("{extra} bytes lie behind the last image")]
    Trailing {
        /// How many.
        extra: u64,
    },
    /// The images have no pixels.
    #[error("images of {rows} × {columns} × {channels}")]
    Shape {
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
        /// Channels.
        channels: u32,
    },
    /// A class's entry in the directory is wrong.
    #[error("class {index}: {problem}")]
    Class {
        /// Its place in the directory, from 0.
        index: usize,
        /// What is wrong.
        problem: String,
    },
    /// The directory's length is not that of its entries.
    #[error("the directory has {stated} bytes, its entries {found}")]
    Directory {
        /// The length that the header states.
        stated: u64,
        /// The entries' length.
        found: u64,
    },
    /// The file's name is another pack's.
    #[error("damaged: the digest is {found}, and not that of its name")]
    Digest {
        /// The digest that the name states.
        named: Digest,
        /// The digest of what is in the file.
        found: Digest,
    },
}
