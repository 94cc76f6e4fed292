//! A worker's cache of data packs: a folder of files named by their digests, each whole or not there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_common::ids::Digest;
use lyceum_common::pack::{Pack, path_in};
use lyceum_common::whole_file;
use lyceum_common::wire::PackInfo;
use tokio::sync::mpsc;

/// Chunks that may wait for the disk.
const WAITING: usize = 8;

/// Why a pack cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum PackCacheError {
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// What came is not what was asked for.
    #[error("the coordinator's data pack is not {expected}: {problem}")]
    Other {
        /// The digest asked for.
        expected: Digest,
        /// How it differs.
        problem: String,
    },
}

/// The pack of this digest, where the cache has it whole. One that is damaged counts as not there.
pub(super) async fn get(cache: &Path, info: PackInfo) -> Option<Arc<Pack>> {
    let path = path_in(cache, info.digest);
    let open = move || Pack::open(&path).ok().filter(|pack| pack.digest() == info.digest);
    tokio::task::spawn_blocking(open).await.ok().flatten().map(Arc::new)
}

/// A pack that is on its way into the cache.
pub(super) struct Incoming {
    pub(super) chunks: mpsc::Sender<bytes::Bytes>,
    pub(super) pack: tokio::task::JoinHandle<Result<Arc<Pack>, PackCacheError>>,
}

/// Begins to take a pack in: chunks are written on a thread that may block; the pack is there when the sender is dropped.
pub(super) fn put(cache: PathBuf, info: PackInfo) -> Incoming {
    let (chunks, receiver) = mpsc::channel(WAITING);
    let pack = tokio::task::spawn_blocking(move || write(&cache, info, receiver));
    Incoming { chunks, pack }
}

fn write(
    cache: &Path,
    info: PackInfo,
    mut chunks: mpsc::Receiver<bytes::Bytes>,
) -> Result<Arc<Pack>, PackCacheError> {
    let path = path_in(cache, info.digest);
    let io = |source| PackCacheError::Io { path: path.clone(), source };
    let other = |problem: String| PackCacheError::Other { expected: info.digest, problem };
    std::fs::create_dir_all(cache).map_err(io)?;
    let mut file = whole_file::begin(cache).map_err(io)?;
    let mut size = 0;
    while let Some(chunk) = chunks.blocking_recv() {
        size += chunk.len() as u64;
        if size > info.size {
            return Err(other(format!("it is longer than the {} bytes announced", info.size)));
        }
        file.write_all(&chunk).map_err(io)?;
    }
    if size < info.size {
        return Err(other(format!("it ends after {size} of {} bytes", info.size)));
    }
    file.as_file().sync_all().map_err(io)?;
    let pack = Pack::open(file.path()).map_err(|error| other(error.to_string()))?;
    if pack.digest() != info.digest {
        return Err(other(format!("its digest is {}", pack.digest())));
    }
    drop(pack);
    file.persist(&path).map_err(|error| io(error.error))?;
    let pack = Pack::open(&path).map_err(|error| other(error.to_string()))?;
    Ok(Arc::new(pack))
}
