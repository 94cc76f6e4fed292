//! What can be wrong with a data set. Each error names the file, and the entry or line in it.

use std::io;
use std::path::{Path, PathBuf};

use image::ImageError;
use zip::result::ZipError;

use crate::ids::Split;
use crate::pack::PackError;

/// Why a data set cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Nothing is where the configuration says that the data set lies.
    #[error("{key}: {expected} is expected: {}: {source}", path.display())]
    Absent {
        /// The key that says so, and the option, where there is one.
        key: &'static str,
        /// What is to be there.
        expected: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// A pack cannot be written or opened.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A part of Omniglot is not where it should be.
    #[error(
        "data.omniglot.path (--data DIR): {} holds neither {set}.zip nor a folder {set}, nor does a folder python in it",
        folder.display()
    )]
    Missing {
        /// The folder that was looked in.
        folder: PathBuf,
        /// The part.
        set: String,
    },
    /// A zip cannot be read: it is truncated, or none.
    #[error("{}: not a whole zip: {source}", path.display())]
    Zip {
        /// The zip.
        path: PathBuf,
        /// What is wrong.
        source: ZipError,
    },
    /// A file cannot be read out of a zip.
    #[error("{file}: cannot be read: {problem}")]
    Entry {
        /// The zip and the file's name in it.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// An image does not decode.
    #[error("{file}: not an image that decodes: {source}")]
    Image {
        /// The file; in a zip, with the zip's name before it.
        file: String,
        /// What the decoder said.
        source: ImageError,
    },
    /// A class has no images.
    #[error("{class}: a class without images (PNG or JPEG, by the files' endings)")]
    NoImages {
        /// The class's folder; in a zip, with the zip's name before it.
        class: String,
    },
    /// The name of a class's folder, or of an image, is no text.
    #[error("{}: the name is not UTF-8; rename it", path.display())]
    NotUtf8 {
        /// The folder or file.
        path: PathBuf,
    },
    /// A folder has no images.
    #[error("{}: no PNG or JPEG files in it", path.display())]
    NoImageFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A data set has no classes.
    #[error("{}: no class folders with images in it", path.display())]
    NoClasses {
        /// Its folder.
        path: PathBuf,
    },
    /// A folder has neither classes nor a split of any kind.
    #[error(
        "data.folder.path (--data DIR): {} holds no images in a form that is known: class folders with PNG or JPEG files in them; folders train, val and test of such; or lists, train.csv, val.csv and test.csv, or .txt",
        folder.display()
    )]
    NoKnownForm {
        /// The folder.
        folder: PathBuf,
    },
    /// A split has no classes where it should have some.
    #[error("{data}: no class is in the {split} split")]
    EmptySplit {
        /// The data set's folder or file, or the list.
        data: String,
        /// The split.
        split: Split,
    },
    /// A split asks for more than there is.
    #[error("{}: {asked} {what} asked for, and there are {there}", path.display())]
    TooFew {
        /// The data set's folder.
        path: PathBuf,
        /// What.
        what: &'static str,
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        there: usize,
    },
    /// Lake's runs are not as they are published.
    #[error("{}: not Lake's 20 runs: {problem}", path.display())]
    Runs {
        /// The zip or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There are no lists where they were said to be.
    #[error("data.folder.lists: {}: neither train.csv nor train.txt is in it", folder.display())]
    NoLists {
        /// The folder.
        folder: PathBuf,
    },
    /// A line of a list is not one.
    #[error("{}, line {line}: {text:?} is not {form}", list.display())]
    ListLine {
        /// The list.
        list: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What lines are.
        form: &'static str,
    },
    /// A list names what the data set does not have.
    #[error("{}, line {line}: there is no {what} {name}", list.display())]
    Unknown {
        /// The list.
        list: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Lists name an image twice: it could be support and query.
    #[error("{}, line {line}: {} is listed already", list.display(), image.display())]
    ListedTwice {
        /// The list.
        list: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The image.
        image: PathBuf,
    },
    /// A list names a class that another list names.
    #[error("{}, line {line}: {class} is in the {split} split already", list.display())]
    TwoSplits {
        /// The list.
        list: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The class.
        class: String,
        /// The split that has it.
        split: Split,
    },
    /// A file is not IDX, or not the kind that it should be.
    #[error("{}: {problem}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There are not as many labels as images.
    #[error("{}: {labels} labels, and {} has {images} images", labels_path.display(), images_path.display())]
    LabelCount {
        /// The file of images.
        images_path: PathBuf,
        /// How many.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// How many.
        labels: usize,
    },
}

impl DataError {
    /// The error of what `key` says that lies at `path`, and that is not there.
    pub(super) fn absent(
        key: &'static str,
        expected: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Absent { key, expected, path: path.to_owned(), source }
    }
}
