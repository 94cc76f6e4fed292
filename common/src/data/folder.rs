//! Any folder of class folders of PNG or JPEG images, and folders of images that lists divide into classes.

use std::path::{Path, PathBuf};

use super::folder_lists::FolderLists;
use super::picture::Picture;
use super::tree::{self, Tree};
use super::{DataError, split};
use crate::config::FolderConfig;
use crate::ids::Split;
use crate::pack::PackBuilder;

/// The files that the set is made of.
pub(super) fn inputs(config: &FolderConfig) -> Result<Vec<PathBuf>, DataError> {
    let Some(lists) = FolderLists::of(config)? else {
        return Tree::Folder(config.path.clone()).inputs();
    };
    let images = lists.read()?.into_values().flat_map(|(_, images)| images);
    Ok(lists.files().chain(images).collect())
}

/// Reads the set. Where there are lists, they are the split. Where the folder has a folder `train`, the folders `train`,
/// `validation` or `val`, and `test` are the split, and one that is absent is a split without classes; else the classes are
/// split at random.
pub(super) fn import(config: &FolderConfig) -> Result<PackBuilder, DataError> {
    let picture = Picture::from(config);
    let mut builder = picture.pack();
    if let Some(lists) = FolderLists::of(config)? {
        for (name, (split, images)) in lists.read()? {
            builder.class(split, name, tree::decoded(&images, picture)?);
        }
        return Ok(builder);
    }
    if split_folder(&config.path, Split::Train).is_some() {
        for split in Split::ALL {
            let Some(folder) = split_folder(&config.path, split) else { continue };
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

/// The folder of a split's classes, where there is one.
fn split_folder(root: &Path, split: Split) -> Option<PathBuf> {
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Validation => &["validation", "val"],
        Split::Test => &["test"],
    };
    names.iter().map(|name| root.join(name)).find(|folder| folder.is_dir())
}
