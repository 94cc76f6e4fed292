//! Data sets: from files (or from nothing, for `glyphs`) to a [`Pack`].
//!
//! | module | imports |
//! | --- | --- |
//! | `glyphs` | the embedded, procedurally drawn characters |
//! | `omniglot`, `omniglot_lists` | Omniglot, and lists of its characters |
//! | `lake_runs` | Lake's 20 runs of one-shot classification |
//! | `folder`, `folder_lists`, `tree` | class folders of images, on disk or in a zip; lists that split a folder |
//! | `idx` | IDX files |
//! | `own_images` | images of one's own, like those of a data set |

mod error;
mod folder;
mod folder_lists;
mod glyphs;
mod idx;
mod index;
mod lake_runs;
mod omniglot;
mod omniglot_lists;
mod own_images;
mod picture;
mod split;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::DataError;
pub use lake_runs::{LAKE_RUNS, LAKE_WAYS, LakeError, check_lake_runs, lake_runs};
pub use own_images::OwnImages;
pub use tree::Classes;

use crate::config::DataConfig;
use crate::pack::Pack;
use index::Key;

/// The pack of the data set that `config` tells of, in the folder `cache`; made there unless it is there already, for
/// the same configuration and the same files. `None` for a distribution of functions, which has no pack.
///
/// # Errors
/// Where a file of the data set is missing, damaged or contradicts another, or the cache cannot be written.
pub fn prepare(config: &DataConfig, cache: &Path) -> Result<Option<Arc<Pack>>, DataError> {
    let Some(inputs) = inputs(config)? else { return Ok(None) };
    let key = Key::of(config, &inputs)?;
    if let Some(pack) = key.look_up(cache) {
        return Ok(Some(Arc::new(pack)));
    }
    let Some(pack) = import(config, cache)? else { return Ok(None) };
    key.remember(cache, pack.digest())?;
    Ok(Some(Arc::new(pack)))
}

/// The files that a data set is made of.
fn inputs(config: &DataConfig) -> Result<Option<Vec<PathBuf>>, DataError> {
    Ok(Some(match config {
        DataConfig::Glyphs(_) => Vec::new(),
        DataConfig::Omniglot(omniglot) => omniglot::inputs(omniglot)?,
        DataConfig::Folder(folder) => folder::inputs(folder)?,
        DataConfig::Idx(idx) => idx::inputs(idx)?,
        DataConfig::Sinusoid(_) | DataConfig::Quadratics(_) => return Ok(None),
    }))
}

/// Reads a data set into the folder `cache`.
fn import(config: &DataConfig, cache: &Path) -> Result<Option<Pack>, DataError> {
    let builder = match config {
        DataConfig::Glyphs(glyphs) => return Ok(Some(glyphs::import(glyphs, cache)?)),
        DataConfig::Omniglot(omniglot) => omniglot::import(omniglot)?,
        DataConfig::Folder(folder) => return folder::import(folder, cache).map(Some),
        DataConfig::Idx(idx) => idx::import(idx)?,
        DataConfig::Sinusoid(_) | DataConfig::Quadratics(_) => return Ok(None),
    };
    Ok(Some(builder.write(cache)?))
}

#[cfg(test)]
mod tests;
