//! Any folder of class folders of PNG or JPEG images.

use std::path::PathBuf;

use super::picture::Picture;
use super::tree::Tree;
use super::{DataError, split};
use crate::config::FolderConfig;
use crate::ids::Split;
use crate::pack::PackBuilder;

/// The files that the set is made of.
pub(super) fn inputs(config: &FolderConfig) -> Result<Vec<PathBuf>, DataError> {
    Tree::Folder(config.path.clone()).inputs()
}

/// Reads the set. Where the folder has a folder `train`, the folders `train`, `validation` and `test` are the split, and one
/// that is absent is a split without classes; else the classes are split at random.
pub(super) fn import(config: &FolderConfig) -> Result<PackBuilder, DataError> {
    let picture = Picture::from(config);
    let mut builder = picture.pack();
    if config.path.join("train").is_dir() {
        for split in Split::ALL {
            let folder = config.path.join(split.to_string());
            if !folder.is_dir() {
                continue;
            }
            let classes = Tree::Folder(folder.clone()).classes(1, picture);
            let classes = classes.map_err(|error| match error {
                DataError::NoClasses { path } => {
                    DataError::EmptySplit { data: path.display().to_string(), split }
                }
                other => other,
            })?;
            for (name, images) in classes {
                builder.class(split, name, images);
            }
        }
        return Ok(builder);
    }
    let classes = Tree::Folder(config.path.clone()).classes(1, picture)?;
    let (train, validation) = split::sizes(classes.len(), config.held_out);
    let splits = split::at_random(classes.len(), train, validation, config.split_seed);
    for (split, (name, images)) in splits.into_iter().zip(classes) {
        builder.class(split, name, images);
    }
    Ok(builder)
}
