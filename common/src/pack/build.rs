//! Making a pack.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::{PackError, PackProblem};
use super::format::{self, ENTRY, HEADER};
use super::{Class, Pack};
use crate::ids::{Digest, Split};
use crate::whole_file;

/// Collects classes and writes them as a pack. Within a split, classes keep the order that they came in.
///
/// A class's images are there as bytes, or as a `Source` that they are read from when they are written, one class after the
/// other: a set need not fit into memory.
#[derive(Debug)]
pub struct PackBuilder<Source = Vec<u8>> {
    shape: [u32; 3],
    classes: Vec<NewClass<Source>>,
}

#[derive(Debug)]
struct NewClass<Source> {
    split: Split,
    name: String,
    images: usize,
    source: Source,
}

impl<Source> PackBuilder<Source> {
    /// A pack of images of this many rows, columns and channels.
    #[must_use]
    pub fn new(rows: u32, columns: u32, channels: u32) -> Self {
        Self { shape: [rows, columns, channels], classes: Vec::new() }
    }

    /// Adds a class with so many images, which are to be read from `source`.
    pub(crate) fn class_from(
        &mut self,
        split: Split,
        name: impl Into<String>,
        images: usize,
        source: Source,
    ) {
        self.classes.push(NewClass { split, name: name.into(), images, source });
    }

    /// Writes the pack into the folder `cache`, under its digest's name, and opens it there; `read` gives a class's images,
    /// `[images, rows, columns, channels]`. The file appears whole or not at all.
    ///
    /// # Errors
    /// Where `read` fails, a class is not a pack's (no images, part of an image, too long a name), or the file system refuses.
    pub(crate) fn write_from<E: From<PackError>>(
        self,
        cache: &Path,
        read: impl FnMut(Source) -> Result<Vec<u8>, E>,
    ) -> Result<Pack, E> {
        let io = |source| PackError::Io { path: cache.to_owned(), source };
        std::fs::create_dir_all(cache).map_err(io)?;
        let temporary = whole_file::begin(cache).map_err(io)?;
        let mut out = Hashing { out: BufWriter::new(temporary), hasher: blake3::Hasher::new() };
        self.write_to(&mut out, io, read)?;
        let digest = Digest::from(out.hasher.finalize());
        let temporary = out.out.into_inner().map_err(|error| io(error.into_error()))?;
        temporary.as_file().sync_all().map_err(io)?;
        let path = super::path_in(cache, digest);
        temporary.persist(&path).map_err(|error| io(error.error))?;
        Ok(Pack::open(&path)?)
    }

    fn write_to<E: From<PackError>>(
        mut self,
        out: &mut impl Write,
        io: impl Fn(io::Error) -> PackError,
        mut read: impl FnMut(Source) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        let [rows, columns, channels] = self.shape;
        let image = self.shape.iter().map(|&size| size as usize).product::<usize>();
        if image == 0 {
            return Err(PackError::from(PackProblem::Shape { rows, columns, channels }).into());
        }
        self.classes.sort_by_key(|class| class.split);
        let (directory, classes) = self.directory(image).map_err(PackError::from)?;
        format::write(out, self.shape, directory, &classes).map_err(&io)?;
        for (index, class) in self.classes.into_iter().enumerate() {
            let images = read(class.source)?;
            if images.len() != class.images * image {
                let problem = format!("{} ends within an image", class.name);
                return Err(PackError::from(PackProblem::Class { index, problem }).into());
            }
            out.write_all(&images).map_err(&io)?;
        }
        Ok(out.flush().map_err(&io)?)
    }

    /// The directory's length in bytes, and its entries.
    fn directory(&self, image: usize) -> Result<(u32, Vec<Class>), PackProblem> {
        let directory = self.classes.iter().map(|class| ENTRY + class.name.len()).sum::<usize>();
        let mut offset = HEADER + directory;
        let mut classes = Vec::with_capacity(self.classes.len());
        for (index, NewClass { split, name, images, .. }) in self.classes.iter().enumerate() {
            let problem =
                |problem: &str| PackProblem::Class { index, problem: format!("{name} {problem}") };
            if name.len() > usize::from(u16::MAX) {
                return Err(problem("has a name of more than 65,535 bytes"));
            }
            let count = u32::try_from(*images).map_err(|_| problem("has more images than fit"))?;
            if count == 0 {
                return Err(problem("has no images"));
            }
            classes.push(Class { name: name.clone(), split: *split, images: count, offset });
            offset += images * image;
        }
        let length = u32::try_from(directory).map_err(|_| PackProblem::Directory {
            stated: u64::from(u32::MAX),
            found: directory as u64,
        })?;
        Ok((length, classes))
    }
}

impl PackBuilder {
    /// Adds a class with its images, `[images, rows, columns, channels]`.
    pub fn class(&mut self, split: Split, name: impl Into<String>, images: Vec<u8>) {
        let image = self.shape.iter().map(|&size| size as usize).product::<usize>();
        self.class_from(split, name, images.len().div_ceil(image.max(1)), images);
    }

    /// Writes the pack into the folder `cache`, under its digest's name, and opens it there. The file appears whole or not
    /// at all.
    ///
    /// # Errors
    /// Where a class is not a pack's (no images, part of an image, too long a name), or the file system refuses.
    pub fn write(self, cache: &Path) -> Result<Pack, PackError> {
        self.write_from(cache, Ok)
    }

    /// The pack in memory.
    ///
    /// # Errors
    /// Where a class is not a pack's.
    pub fn in_memory(self) -> Result<Pack, PackError> {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let io = |source| PackError::Io { path: PathBuf::new(), source };
        self.write_to(&mut bytes, io, Ok::<_, PackError>)?;
        Ok(Pack::from_bytes(bytes)?)
    }
}

/// Writes on, and digests what it writes.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
