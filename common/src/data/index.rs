//! Which data sets a cache holds already: a small file a data set, named by what it was made from, holding the digest of
//! its pack.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::DataError;
use crate::config::DataConfig;
use crate::ids::Digest;
use crate::pack::{self, Pack};
use crate::whole_file;

/// Changes whenever an importer makes other packs of the same files.
const IMPORTERS: u32 = 2;

/// What a pack is made from: the configuration of the data, and the path, size and time of change of every file. Paths are
/// absolute: from whatever folder data is prepared, it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(Digest);

impl Key {
    /// # Errors
    /// Where a file is missing.
    pub(super) fn of(config: &DataConfig, inputs: &[PathBuf]) -> Result<Self, DataError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&IMPORTERS.to_le_bytes());
        let mut config = config.clone();
        let io = |source| DataError::Io { path: PathBuf::from("."), source };
        config.make_absolute().map_err(io)?;
        // `Debug` writes every field, with floats in full.
        hasher.update(format!("{config:?}").as_bytes());
        for path in inputs {
            let io = |source| DataError::Io { path: path.clone(), source };
            let path = std::path::absolute(path).map_err(io)?;
            let file = path.metadata().map_err(io)?;
            let changed = file.modified().map_err(io)?.duration_since(UNIX_EPOCH);
            let changed = changed.map_or(0, |age| age.as_nanos());
            hasher.update(format!("\0{}\0{}\0{changed}", path.display(), file.len()).as_bytes());
        }
        Ok(Self(hasher.finalize().into()))
    }

    fn path(self, cache: &Path) -> PathBuf {
        cache.join(format!("{}.prepared", self.0))
    }

    /// The pack that was made from the same things, where the cache still has it whole.
    pub(super) fn look_up(self, cache: &Path) -> Option<Pack> {
        let digest = std::fs::read_to_string(self.path(cache)).ok()?.trim().parse().ok()?;
        Pack::open(&pack::path_in(cache, digest)).ok()
    }

    /// # Errors
    /// Where the cache cannot be written.
    pub(super) fn remember(self, cache: &Path, digest: Digest) -> Result<(), DataError> {
        let path = self.path(cache);
        let written = whole_file::write(&path, format!("{digest}\n").as_bytes());
        written.map_err(|source| DataError::Io { path, source })
    }
}
