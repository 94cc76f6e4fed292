//! Data sets: from files (or from nothing, for `glyphs`) to a [`Pack`].
//!
//! | module | imports |
//! | --- | --- |
//! | `glyphs` | the embedded, procedurally drawn characters |

mod error;
mod glyphs;
mod index;

use std::path::Path;
use std::sync::Arc;

pub use error::DataError;

use crate::config::DataConfig;
use crate::ids::Split;
use crate::pack::{Pack, PackBuilder};
use index::Key;

/// The pack of the data set that `config` tells of, in the folder `cache`; made there unless it is there already, for
/// the same configuration and the same files. `None` for a distribution of functions, which has no pack.
///
/// # Errors
/// Where a file of the data set is missing, damaged or contradicts another, or the cache cannot be written.
pub fn prepare(config: &DataConfig, cache: &Path) -> Result<Option<Arc<Pack>>, DataError> {
    let (inputs, import): (Vec<_>, Box<dyn Fn() -> Result<PackBuilder, DataError>>) = match config {
        DataConfig::Sinusoid(_) => return Ok(None),
        DataConfig::Glyphs(glyphs) => (vec![], Box::new(|| Ok(glyphs::draw(glyphs)))),
        DataConfig::Omniglot(_) | DataConfig::Folder(_) | DataConfig::Idx(_) => {
            return Err(DataError::EmptySplit { split: Split::Train });
        }
    };
    let key = Key::of(config, &inputs)?;
    if let Some(pack) = key.look_up(cache) {
        return Ok(Some(Arc::new(pack)));
    }
    let pack = import()?.write(cache)?;
    key.remember(cache, pack.digest())?;
    Ok(Some(Arc::new(pack)))
}
