//! Lists that split a folder of images: `train`, `val` and `test`, all three of one kind.
//!
//! | kind | a line | for |
//! | --- | --- | --- |
//! | `.csv` | `FILE,CLASS`, behind a first line `filename,label`; files lie in the folder, or in `images` in it | mini-ImageNet (Ravi and Larochelle 2017) |
//! | `.txt` | a class, whose folder of images lies in the folder | CIFAR-FS (Bertinetto et al. 2019) |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::DataError;
use super::tree::{image_files, io, is_image};
use crate::config::FolderConfig;
use crate::ids::Split;

/// The first line of a list of images.
const HEAD: &str = "filename,label";
/// What programs put before a text to say that it is Unicode.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Where the lists of a folder lie.
#[derive(Debug)]
pub(super) struct FolderLists<'a> {
    /// The folder of images.
    root: &'a Path,
    folder: &'a Path,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Images,
    Classes,
}

/// Classes by their names: the split of each, and its image files in the order of the lists.
pub(super) type Listed = BTreeMap<String, (Split, Vec<PathBuf>)>;

/// A line that is not blank, and where it stands.
struct Line<'a> {
    list: &'a Path,
    number: usize,
    text: &'a str,
}

impl<'a> FolderLists<'a> {
    /// The lists that `config` tells of, or that lie in the folder; none where it has none.
    ///
    /// # Errors
    /// Where it tells of lists, and there are none.
    pub(super) fn of(config: &'a FolderConfig) -> Result<Option<Self>, DataError> {
        let told = !config.lists.as_os_str().is_empty();
        let (root, folder) = (&*config.path, if told { &*config.lists } else { &*config.path });
        for (kind, first) in [(Kind::Images, "train.csv"), (Kind::Classes, "train.txt")] {
            if folder.join(first).is_file() {
                return Ok(Some(Self { root, folder, kind }));
            }
        }
        if told {
            return Err(DataError::NoLists { folder: folder.to_owned() });
        }
        Ok(None)
    }

    /// The lists themselves.
    pub(super) fn files(&self) -> [PathBuf; 3] {
        Split::ALL.map(|split| self.file(split))
    }

    fn file(&self, split: Split) -> PathBuf {
        let ending = match self.kind {
            Kind::Images => "csv",
            Kind::Classes => "txt",
        };
        let name = match split {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        };
        self.folder.join(format!("{name}.{ending}"))
    }

    /// What the lists say. Every class is in one split, and no image is listed twice.
    pub(super) fn read(&self) -> Result<Listed, DataError> {
        let mut listed = Listed::new();
        let mut seen = BTreeSet::new();
        for split in Split::ALL {
            let list = &*self.file(split);
            let text = fs::read_to_string(list).map_err(io(list))?;
            let lines = (1..).zip(text.trim_start_matches(BYTE_ORDER_MARK).lines());
            let lines = lines.map(|(number, text)| Line { list, number, text: text.trim() });
            let is_said = |line: &Line<'_>| match self.kind {
                Kind::Images => !line.text.is_empty() && (line.number, line.text) != (1, HEAD),
                Kind::Classes => !line.text.is_empty(),
            };
            let mut empty = true;
            for line in lines.filter(is_said) {
                empty = false;
                let (class, images) = match self.kind {
                    Kind::Images => self.image(&line)?,
                    Kind::Classes => self.class(&line)?,
                };
                for image in &images {
                    if !seen.insert(image.clone()) {
                        return Err(line.twice(image));
                    }
                }
                let (before, all) =
                    listed.entry(class.to_owned()).or_insert_with(|| (split, Vec::new()));
                if *before != split {
                    return Err(line.two_splits(class, *before));
                }
                all.extend(images);
            }
            if empty {
                return Err(DataError::EmptySplit { data: list.display().to_string(), split });
            }
        }
        Ok(listed)
    }

    /// The class of a line, and its image.
    fn image<'l>(&self, line: &Line<'l>) -> Result<(&'l str, Vec<PathBuf>), DataError> {
        let parts = line.text.split_once(',').map(|(file, class)| (file.trim(), class.trim()));
        let parts = parts.filter(|(file, class)| {
            is_image(file) && is_below(file) && !class.is_empty() && !class.contains([',', '"'])
        });
        let form = "FILE,CLASS, the file a PNG or JPEG one of the folder";
        let (file, class) = parts.ok_or_else(|| line.is_not(form))?;
        let places = [self.root.join("images").join(file), self.root.join(file)];
        let image = places.into_iter().find(|place| place.is_file());
        let image = image.ok_or_else(|| line.unknown("image", file, self.root))?;
        Ok((class, vec![image]))
    }

    /// The class that a line is, and its images.
    fn class<'l>(&self, line: &Line<'l>) -> Result<(&'l str, Vec<PathBuf>), DataError> {
        let class = line.text;
        if !is_below(class) || class.contains(['/', '\\']) {
            return Err(line.is_not("the name of a class folder"));
        }
        let folder = self.root.join(class);
        if !folder.is_dir() {
            return Err(line.unknown("class folder", class, self.root));
        }
        let images = image_files(&folder)?;
        if images.is_empty() {
            return Err(DataError::NoImages { class: folder.display().to_string() });
        }
        Ok((class, images))
    }
}

impl Line<'_> {
    fn is_not(&self, form: &'static str) -> DataError {
        let (list, line) = (self.list.to_owned(), self.number);
        DataError::ListLine { list, line, text: self.text.to_owned(), form }
    }

    fn unknown(&self, what: &'static str, name: &str, root: &Path) -> DataError {
        let (list, line) = (self.list.to_owned(), self.number);
        let name = format!("{name} in {}", root.display());
        DataError::Unknown { list, line, what, name }
    }

    fn twice(&self, image: &Path) -> DataError {
        let (list, line) = (self.list.to_owned(), self.number);
        DataError::ListedTwice { list, line, image: image.to_owned() }
    }

    fn two_splits(&self, class: &str, split: Split) -> DataError {
        let (list, line) = (self.list.to_owned(), self.number);
        DataError::TwoSplits { list, line, class: class.to_owned(), split }
    }
}

/// Whether a path leads nowhere but down.
fn is_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
