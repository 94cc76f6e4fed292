//! Class folders with images in them, on disk or in a zip.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use zip::ZipArchive;

use super::DataError;
use super::picture::Picture;

/// No image file is longer than this: what a zip says about lengths is not believed beyond it.
const LONGEST_FILE: u64 = 64 << 20;

/// A folder of folders, or a zip of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// On disk.
    Folder(PathBuf),
    /// In a zip, under a top folder of this name, if it is not empty.
    Zip(PathBuf, String),
}

/// Classes by their folder's name below the tree, and the pixels of their images in the order of the files' names.
pub type Classes = BTreeMap<String, Vec<u8>>;

impl Tree {
    /// The files that its [classes](Self::classes) are read from.
    pub(super) fn inputs(&self, depth: usize) -> Result<Vec<PathBuf>, DataError> {
        match self {
            Self::Zip(path, _) => Ok(vec![path.clone()]),
            Self::Folder(root) => Ok(class_files(root, depth)?.into_values().flatten().collect()),
        }
    }

    /// Decodes all images that lie `depth` folders deep: the folders' names together are the class's.
    pub(super) fn classes(&self, depth: usize, picture: Picture) -> Result<Classes, DataError> {
        match self {
            Self::Folder(root) => folder_classes(root, depth, picture),
            Self::Zip(path, top) => zip_classes(path, top, depth, picture),
        }
    }

    /// The text of the file `name`.
    pub(super) fn text(&self, name: &str) -> Result<String, DataError> {
        let (path, top) = match self {
            Self::Folder(root) => {
                let path = root.join(name);
                return fs::read_to_string(&path).map_err(io(&path));
            }
            Self::Zip(path, top) => (path, top),
        };
        let name = if top.is_empty() { name.to_owned() } else { format!("{top}/{name}") };
        let entry = |problem: String| DataError::Entry {
            file: format!("{}: {name}", path.display()),
            problem,
        };
        let mut zip = open_zip(path)?;
        let file = zip.by_name(&name).map_err(|error| entry(error.to_string()))?;
        let mut text = String::new();
        let read = file.take(LONGEST_FILE).read_to_string(&mut text);
        read.map_err(|error| entry(error.to_string()))?;
        Ok(text)
    }
}

/// An error of the file system at `path`.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> DataError + '_ {
    |source| DataError::Io { path: path.to_owned(), source }
}

/// What lies in a folder itself and `is_wanted` by its name and path, in the order of names. What is hidden never is; a name
/// that is wanted, and is no text, is refused rather than passed over.
fn listed(
    folder: &Path,
    is_wanted: impl Fn(&str, &Path) -> bool,
) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let (name, path) = (entry.file_name(), entry.path());
        let shown = name.to_string_lossy();
        if shown.starts_with('.') || !is_wanted(&shown, &path) {
            continue;
        }
        match name.into_string() {
            Ok(name) => found.push((name, path)),
            Err(_) => return Err(DataError::NotUtf8 { path }),
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file of this name is an image.
pub(super) fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// The class of an image file `depth` folders deep.
fn class_of(name: &str, depth: usize) -> Option<&str> {
    let (class, file) = name.rsplit_once('/')?;
    (is_image(file) && class.split('/').count() == depth).then_some(class)
}

fn folder_classes(root: &Path, depth: usize, picture: Picture) -> Result<Classes, DataError> {
    let files = class_files(root, depth)?.into_iter();
    files.map(|(class, images)| Ok((class, decoded(&images, picture)?))).collect()
}

/// The image files that lie `depth` folders deep, by their classes. What lies deeper is not looked at, wherever links lead.
pub(super) fn class_files(
    root: &Path,
    depth: usize,
) -> Result<BTreeMap<String, Vec<PathBuf>>, DataError> {
    let folders = class_folders(root, depth)?.into_iter();
    let classes = folders.map(|(class, folder)| Ok((class, image_files(&folder)?)));
    checked(classes.collect::<Result<_, DataError>>()?, root)
}

/// The folders that lie `depth` folders deep, by the folders' names together.
fn class_folders(root: &Path, depth: usize) -> Result<Vec<(String, PathBuf)>, DataError> {
    let folders = listed(root, |_, path| path.is_dir())?;
    if depth <= 1 {
        return Ok(folders);
    }
    let mut classes = Vec::new();
    for (outer, folder) in folders {
        let inner = class_folders(&folder, depth - 1)?.into_iter();
        classes.extend(inner.map(|(inner, folder)| (format!("{outer}/{inner}"), folder)));
    }
    Ok(classes)
}

/// The pixels of image files, one behind the other; decoded on all cores.
pub(super) fn decoded(images: &[PathBuf], picture: Picture) -> Result<Vec<u8>, DataError> {
    let image = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(io(path))?;
        let file = path.display().to_string();
        picture.decode(&bytes).map_err(|source| DataError::Image { file, source })
    };
    Ok(images.par_iter().map(image).collect::<Result<Vec<_>, _>>()?.concat())
}

/// The image files that lie in a folder itself, in the order of their names.
pub(super) fn image_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let images = listed(folder, |name, path| is_image(name) && !path.is_dir())?;
    Ok(images.into_iter().map(|(_, path)| path).collect())
}

fn zip_classes(
    path: &Path,
    top: &str,
    depth: usize,
    picture: Picture,
) -> Result<Classes, DataError> {
    let damaged = |source| DataError::Zip { path: path.to_owned(), source };
    let mut zip = open_zip(path)?;
    let mut names = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        let name = zip.name_for_index(index).transpose().map_err(damaged)?.unwrap_or_default();
        let below = match top {
            "" => Some(&*name),
            top => name.strip_prefix(top).and_then(|name| name.strip_prefix('/')),
        };
        names.extend(below.map(|below| (below.to_owned(), index)));
    }
    names.sort();
    let mut classes = Classes::new();
    let mut bytes = Vec::new();
    for (name, index) in names {
        if let Some(folder) = name.strip_suffix('/') {
            if folder.split('/').count() == depth {
                classes.entry(folder.to_owned()).or_default();
            }
            continue;
        }
        let Some(class) = class_of(&name, depth) else { continue };
        let file = || format!("{}: {top}/{name}", path.display());
        let unreadable = |problem: String| DataError::Entry { file: file(), problem };
        bytes.clear();
        let entry = zip.by_index(index).map_err(|error| unreadable(error.to_string()))?;
        let read = entry.take(LONGEST_FILE + 1).read_to_end(&mut bytes);
        let length = read.map_err(|error| unreadable(error.to_string()))?;
        if length as u64 > LONGEST_FILE {
            return Err(unreadable("longer than 64 MiB".to_owned()));
        }
        let image = |source| DataError::Image { file: file(), source };
        let pixels = picture.decode(&bytes).map_err(image)?;
        classes.entry(class.to_owned()).or_default().extend(pixels);
    }
    checked(classes, path)
}

fn open_zip(path: &Path) -> Result<ZipArchive<BufReader<File>>, DataError> {
    let file = File::open(path).map_err(io(path))?;
    ZipArchive::new(BufReader::new(file))
        .map_err(|source| DataError::Zip { path: path.to_owned(), source })
}

/// Classes, of which there are some, each with images.
fn checked<Image>(
    classes: BTreeMap<String, Vec<Image>>,
    root: &Path,
) -> Result<BTreeMap<String, Vec<Image>>, DataError> {
    if let Some((class, _)) = classes.iter().find(|(_, images)| images.is_empty()) {
        return Err(DataError::NoImages { class: format!("{}/{class}", root.display()) });
    }
    if classes.is_empty() {
        return Err(DataError::NoClasses { path: root.to_owned() });
    }
    Ok(classes)
}
