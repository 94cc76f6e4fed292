//! The data pack: a data set of images, prepared, in one file that names itself by its digest.
//!
//! # Format, version 1
//!
//! All numbers are little-endian and unsigned. Nothing lies between the parts.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic: `LYCEUMPK` |
//! | 4 | version: 1 |
//! | 4, 4, 4 | rows, columns, channels of every image; each at least 1 |
//! | 4 | the number of classes |
//! | 4 | the length of the directory in bytes |
//! | … | the directory: one entry a class |
//! | … | the images: those of the first class, of the second, … |
//!
//! An entry of the directory:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | split: 0 train, 1 validation, 2 test; entries are in this order |
//! | 4 | the number of images, at least 1 |
//! | 8 | where the first of them begins, from the file's first byte |
//! | 2 | the length of the name in bytes |
//! | … | the name, UTF-8 |
//!
//! An image is `rows × columns × channels` bytes, row by row, channels last; 255 is full ink (or light), and a network
//! sees `byte / 255`. A class's images follow one another, classes follow one another in the directory's order, and the
//! file ends with the last image: so one data set has one encoding. The pack's digest is the BLAKE3 digest of the whole
//! file, and its file is called `<digest>.pack`.

mod build;
mod error;
mod format;

use std::fmt;
use std::path::{Path, PathBuf};

use mmap_io::MemoryMappedFile;
use ndarray::ArrayView4;

pub use build::PackBuilder;
pub use error::{PackError, PackProblem};

use crate::config::Shape;
use crate::ids::{Digest, Split};

/// A class of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    name: String,
    split: Split,
    images: u32,
    offset: usize,
}

impl Class {
    /// Its name in the data set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The split that it belongs to.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// How many images it has: at least one.
    #[must_use]
    pub fn images(&self) -> u32 {
        self.images
    }
}

/// A pack, read only. Cheap to open: a file is mapped into memory, and read once for its digest.
pub struct Pack {
    bytes: PackBytes,
    digest: Digest,
    shape: [usize; 3],
    classes: Vec<Class>,
    /// Where the classes of validation and of test begin.
    bounds: [usize; 2],
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pack")
            .field("digest", &self.digest)
            .field("shape", &self.shape)
            .field("classes", &self.classes.len())
            .finish()
    }
}

impl Pack {
    /// Maps the pack in `path`. The file must not be changed while it is open: packs are written whole, renamed into
    /// place and never touched again.
    ///
    /// # Errors
    /// Where the file cannot be read, is no pack, contradicts itself, or bears the name of another digest.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let corrupt = |problem| PackError::Corrupt { path: path.to_owned(), problem };
        let bytes = PackBytes::map(path)?;
        let pack = Self::from_source(bytes).map_err(corrupt)?;
        let named = path.file_stem().and_then(|stem| stem.to_str()).and_then(|s| s.parse().ok());
        match named {
            Some(named) if named != pack.digest => {
                Err(corrupt(PackProblem::Digest { named, found: pack.digest }))
            }
            _ => Ok(pack),
        }
    }

    /// Takes `bytes` for a pack, in memory.
    ///
    /// # Errors
    /// Where they are no pack or contradict themselves.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PackProblem> {
        Self::from_source(PackBytes::Owned(bytes))
    }

    fn from_source(bytes: PackBytes) -> Result<Self, PackProblem> {
        let format::Contents { shape, classes, bounds } = format::read(bytes.as_slice())?;
        let digest = Digest::of(bytes.as_slice());
        Ok(Self { bytes, digest, shape, classes, bounds })
    }

    /// The file's name in a cache folder.
    #[must_use]
    pub fn file_name(digest: Digest) -> String {
        format!("{digest}.pack")
    }

    /// The pack's name: the BLAKE3 digest of [`Pack::bytes`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The shape of every image.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let [height, width, channels] = self.shape;
        Shape::Image { height, width, channels }
    }

    /// The classes of a split, in the file's order.
    #[must_use]
    pub fn classes(&self, split: Split) -> &[Class] {
        let [validation, test] = self.bounds;
        match split {
            Split::Train => &self.classes[..validation],
            Split::Validation => &self.classes[validation..test],
            Split::Test => &self.classes[test..],
        }
    }

    /// Image `index` of a class of this pack: `[rows, columns, channels]`.
    ///
    /// # Panics
    /// Where the class has no such image.
    #[must_use]
    pub fn image(&self, class: &Class, index: u32) -> &[u8] {
        assert!(index < class.images, "class {} has {} images", class.name, class.images);
        let length = self.shape.iter().product::<usize>();
        let start = class.offset + index as usize * length;
        &self.bytes()[start..start + length]
    }

    /// All images of a class of this pack: `[images, rows, columns, channels]`.
    ///
    /// # Panics
    /// Where the class is another pack's.
    #[must_use]
    pub fn images(&self, class: &Class) -> ArrayView4<'_, u8> {
        let [rows, columns, channels] = self.shape;
        let shape = (class.images as usize, rows, columns, channels);
        let length = class.images as usize * rows * columns * channels;
        let images = &self.bytes()[class.offset..class.offset + length];
        ArrayView4::from_shape(shape, images).expect("the length is the shape's")
    }
}

/// Where a pack's bytes lie.
enum PackBytes {
    Owned(Vec<u8>),
    Mapped(MemoryMappedFile),
}

impl PackBytes {
    fn map(path: &Path) -> Result<Self, PackError> {
        let io = |source| PackError::Io { path: path.to_owned(), source };
        // An empty file cannot be mapped; as bytes it is told to be too short.
        if std::fs::metadata(path).map_err(io)?.len() == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        let map = MemoryMappedFile::open_ro(path).map_err(|error| PackError::Map {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self::Mapped(map))
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => {
                map.as_slice_bytes(0, map.len()).expect("a read-only mapping is readable whole")
            }
        }
    }
}

/// The path of the pack `digest` in the folder `cache`.
#[must_use]
pub fn path_in(cache: &Path, digest: Digest) -> PathBuf {
    cache.join(Pack::file_name(digest))
}

#[cfg(test)]
mod tests;
