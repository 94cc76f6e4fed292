//! Any folder of class folders of PNG or JPEG images, and folders of images that lists divide into classes.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder_lists::FolderLists;
use super::picture::Picture;
use super::tree::{class_files, decoded};
use super::{DataError, split};
use crate::config::FolderConfig;
use crate::ids::Split;
use crate::pack::Pack;

/// The files that the set is made of.
pub(super) fn inputs(config: &FolderConfig) -> Result<Vec<PathBuf>, DataError> {
    let (key, path) = ("data.folder.path (--data DIR)", &*config.path);
    let expected = "a folder of class folders, of train, val and test, or with lists,";
    fs::read_dir(path).map_err(DataError::absent(key, expected, path))?;
    let lists = FolderLists::of(config)?;
    let lists = lists.iter().flat_map(FolderLists::files);
    let images = classes(config)?.into_iter().flat_map(|(_, _, images)| images);
    Ok(lists.chain(images).collect())
}

/// Reads the set into the folder `cache`, class after class. Where there are lists, they are the split. Where the folder has a
/// folder `train`, the folders `train`, `validation` or `val`, and `test` are the split, and one that is absent is a split
/// without classes; else the classes are split at random.
pub(super) fn import(config: &FolderConfig, cache: &Path) -> Result<Pack, DataError> {
    let picture = Picture::from(config);
    let mut builder = picture.pack();
    for (split, name, images) in classes(config)? {
        builder.class_from(split, name, images.len(), images);
    }
    builder.write_from(cache, |images: Vec<PathBuf>| decoded(&images, picture))
}

/// The classes, each with its split and its image files.
fn classes(config: &FolderConfig) -> Result<Vec<(Split, String, Vec<PathBuf>)>, DataError> {
    if let Some(lists) = FolderLists::of(config)? {
        let listed = lists.read()?.into_iter();
        return Ok(listed.map(|(name, (split, images))| (split, name, images)).collect());
    }
    if split_folder(&config.path, Split::Train).is_some() {
        let mut classes = Vec::new();
        for split in Split::ALL {
            let Some(folder) = split_folder(&config.path, split) else { continue };
            let of_split = class_files(&folder, 1).map_err(|error| match error {
                DataError::NoClasses { path } => {
                    DataError::EmptySplit { data: path.display().to_string(), split }
                }
                other => other,
            })?;
            classes.extend(of_split.into_iter().map(|(name, images)| (split, name, images)));
        }
        return Ok(classes);
    }
    let classes = class_files(&config.path, 1).map_err(|error| match error {
        DataError::NoClasses { path: folder } => DataError::NoKnownForm { folder },
        other => other,
    })?;
    let (train, validation) = split::sizes(classes.len(), config.held_out);
    let splits = split::at_random(classes.len(), train, validation, config.split_seed);
    let split = splits.into_iter().zip(classes);
    Ok(split.map(|(split, (name, images))| (split, name, images)).collect())
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
