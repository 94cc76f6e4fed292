//! Making a pack.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::{PackError, PackProblem};
use super::format::{self, ENTRY, HEADER};
use super::{Class, Pack};
use crate::ids::{Digest, Split};

/// Collects classes and writes them as a pack. Within a split, classes keep the order that they came in.
#[derive(Debug)]
pub struct PackBuilder {
    shape: [u32; 3],
    classes: Vec<(Split, String, Vec<u8>)>,
}

impl PackBuilder {
    /// A pack of images of this many rows, columns and channels.
    #[must_use]
    pub fn new(rows: u32, columns: u32, channels: u32) -> Self {
        Self { shape: [rows, columns, channels], classes: Vec::new() }
    }

    /// Adds a class with its images, `[images, rows, columns, channels]`.
    pub fn class(&mut self, split: Split, name: impl Into<String>, images: Vec<u8>) {
        self.classes.push((split, name.into(), images));
    }

    /// Writes the pack into the folder `cache`, under its digest's name, and opens it there. The file appears whole or not
    /// at all.
    ///
    /// # Errors
    /// Where a class is not a pack's (no images, part of an image, too long a name), or the file system refuses.
    pub fn write(self, cache: &Path) -> Result<Pack, PackError> {
        let io = |source| PackError::Io { path: cache.to_owned(), source };
        std::fs::create_dir_all(cache).map_err(io)?;
        let layout = self.layout()?;
        let temporary = tempfile::NamedTempFile::new_in(cache).map_err(io)?;
        let mut out = Hashing { out: BufWriter::new(temporary), hasher: blake3::Hasher::new() };
        layout.write(&mut out).map_err(io)?;
        let digest = Digest(*out.hasher.finalize().as_bytes());
        let temporary = out.out.into_inner().map_err(|error| io(error.into_error()))?;
        temporary.as_file().sync_all().map_err(io)?;
        let path = super::path_in(cache, digest);
        temporary.persist(&path).map_err(|error| io(error.error))?;
        // The file is read again: not beside the images.
        drop(layout);
        Pack::open(&path)
    }

    /// The pack in memory.
    ///
    /// # Errors
    /// Where a class is not a pack's.
    pub fn in_memory(self) -> Result<Pack, PackProblem> {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = self.layout()?.write(&mut bytes);
        Pack::from_bytes(bytes)
    }

    fn layout(mut self) -> Result<Layout, PackProblem> {
        self.classes.sort_by_key(|(split, ..)| *split);
        let [rows, columns, channels] = self.shape;
        let image = self.shape.iter().map(|&size| size as usize).product::<usize>();
        if image == 0 {
            return Err(PackProblem::Shape { rows, columns, channels });
        }
        let directory = self.classes.iter().map(|(_, name, _)| ENTRY + name.len()).sum::<usize>();
        let mut offset = HEADER + directory;
        let mut classes = Vec::with_capacity(self.classes.len());
        let mut images = Vec::with_capacity(self.classes.len());
        for (index, (split, name, bytes)) in self.classes.into_iter().enumerate() {
            let problem =
                |problem: &str| PackProblem::Class { index, problem: format!("{name} {problem}") };
            if bytes.len() % image != 0 {
                return Err(problem("ends within an image"));
            }
            if name.len() > usize::from(u16::MAX) {
                return Err(problem("has a name of more than 65,535 bytes"));
            }
            let count = u32::try_from(bytes.len() / image)
                .map_err(|_| problem("has more images than fit"))?;
            if count == 0 {
                return Err(problem("has no images"));
            }
            classes.push(Class { name, split, images: count, offset });
            offset += bytes.len();
            images.push(bytes);
        }
        let directory = u32::try_from(directory).map_err(|_| PackProblem::Directory {
            stated: u64::from(u32::MAX),
            found: directory as u64,
        })?;
        Ok(Layout { shape: self.shape, directory, classes, images })
    }
}

/// A pack ready to be written.
struct Layout {
    shape: [u32; 3],
    directory: u32,
    classes: Vec<Class>,
    images: Vec<Vec<u8>>,
}

impl Layout {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        format::write(out, self.shape, self.directory, &self.classes)?;
        self.images.iter().try_for_each(|images| out.write_all(images))?;
        out.flush()
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
