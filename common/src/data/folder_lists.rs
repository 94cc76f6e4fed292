//! Lists that split a folder of images: `train`, `val` and `test`, all three of one kind.
//!
//! | kind | a line | for |
//! | --- | --- | --- |
//! | `.csv` | `FILE,CLASS`, behind a first line `filename,label`; files lie in the folder, or in `images` in it | mini-ImageNet (Ravi and Larochelle 2017) |
//! | `.txt` | a class, whose folder of images lies in the folder | CIFAR-FS (Bertinetto et al. 2019) |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use super::picture::Picture;
use super::tree::{self, io};
use crate::config::FolderConfig;
use crate::ids::Split;

/// The first line of a list of images.
const HEAD: &str = "filename,label";
/// What a line of either kind is.
const IMAGE: &str = "FILE,CLASS";
const CLASS: &str = "the name of a class folder";

/// Where the lists of a folder lie.
#[derive(Debug)]
pub(super) struct FolderLists {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Images,
    Classes,
}

/// A line that is not blank, and its number.
type Line = (usize, String);

impl FolderLists {
    /// The lists that `config` tells of, or that lie in the folder; none where it has none.
    ///
    /// # Errors
    /// Where it tells of lists, and there are none.
    pub(super) fn of(config: &FolderConfig) -> Result<Option<Self>, DataError> {
        let told = !config.lists.as_os_str().is_empty();
        let folder = if told { &config.lists } else { &config.path };
        for (kind, first) in [(Kind::Images, "train.csv"), (Kind::Classes, "train.txt")] {
            if folder.join(first).is_file() {
                return Ok(Some(Self { folder: folder.clone(), kind }));
            }
        }
        if told {
            return Err(DataError::NoLists { folder: folder.clone() });
        }
        Ok(None)
    }

    /// The lists themselves.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        Split::ALL.map(|split| self.file(split)).into_iter()
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

    /// The classes of each split with their images, as the lists divide those below `root`.
    pub(super) fn classes(
        &self,
        root: &Path,
        picture: Picture,
    ) -> Result<Vec<(Split, String, Vec<u8>)>, DataError> {
        let mut files = BTreeMap::new();
        let mut splits: BTreeMap<String, Split> = BTreeMap::new();
        for split in Split::ALL {
            let list = self.file(split);
            let lines = self.lines(&list)?;
            if lines.is_empty() {
                return Err(DataError::EmptySplit { data: list.display().to_string(), split });
            }
            for (line, text) in lines {
                let (class, images) = match self.kind {
                    Kind::Images => image(root, &list, line, text)?,
                    Kind::Classes => class(root, &list, line, text)?,
                };
                let before = *splits.entry(class.clone()).or_insert(split);
                if before != split {
                    return Err(DataError::TwoSplits { list, line, class, split: before });
                }
                files.entry(class).or_insert_with(Vec::new).extend(images);
            }
        }
        let decoded = tree::decoded(files, picture)?;
        let split = |(class, pixels): (String, _)| Some((*splits.get(&class)?, class, pixels));
        Ok(decoded.into_iter().filter_map(split).collect())
    }

    fn lines(&self, list: &Path) -> Result<Vec<Line>, DataError> {
        let text = fs::read_to_string(list).map_err(io(list))?;
        let lines = text.lines().map(|line| line.trim().to_owned());
        let numbered = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
        let head = |&(number, ref line): &Line| number == 1 && line == HEAD;
        Ok(numbered.filter(|line| self.kind == Kind::Classes || !head(line)).collect())
    }
}

/// The class of a line, and its image.
fn image(
    root: &Path,
    list: &Path,
    line: usize,
    text: String,
) -> Result<(String, Vec<PathBuf>), DataError> {
    let parts = text.split_once(',').filter(|(file, class)| {
        tree::is_image(file) && !class.is_empty() && !class.contains([',', '"'])
    });
    let Some((file, class)) = parts else {
        return Err(DataError::ListLine { list: list.to_owned(), line, text, form: IMAGE });
    };
    let places = [root.join("images").join(file), root.join(file)];
    let Some(image) = places.into_iter().find(|place| place.is_file()) else {
        let (what, name) = ("image", file.to_owned());
        return Err(DataError::Unknown { list: list.to_owned(), line, what, name });
    };
    Ok((class.to_owned(), vec![image]))
}

/// The class that a line is, and its images.
fn class(
    root: &Path,
    list: &Path,
    line: usize,
    text: String,
) -> Result<(String, Vec<PathBuf>), DataError> {
    if Path::new(&text).components().count() != 1 || text.starts_with('.') {
        return Err(DataError::ListLine { list: list.to_owned(), line, text, form: CLASS });
    }
    let folder = root.join(&text);
    if !folder.is_dir() {
        return Err(DataError::Unknown { list: list.to_owned(), line, what: "class", name: text });
    }
    let images = tree::image_files(&folder)?;
    if images.is_empty() {
        return Err(DataError::NoImages { class: folder.display().to_string() });
    }
    Ok((text, images))
}
