//! Reading and writing the format: bytes ↔ shape and classes. Every length is checked before it is used.

use std::io::{self, Write};

use super::Class;
use super::error::PackProblem;
use crate::ids::Split;

const MAGIC: &[u8; 8] = b"LYCEUMPK";
const VERSION: u32 = 1;
/// Bytes before the directory.
pub(super) const HEADER: usize = 32;
/// Bytes of a directory's entry beside the name.
pub(super) const ENTRY: usize = 15;

/// What the header and the directory say.
pub(super) struct Contents {
    pub(super) shape: [usize; 3],
    pub(super) classes: Vec<Class>,
    pub(super) bounds: [usize; 2],
}

/// Reads and checks the header and the directory of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, PackProblem> {
    let mut header = Cursor { bytes, at: 0 };
    if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(PackProblem::Magic);
    }
    header.at = MAGIC.len();
    let version = header.u32("the header")?;
    if version != VERSION {
        return Err(PackProblem::Version { found: version });
    }
    let [rows, columns, channels] =
        [header.u32("the header")?, header.u32("the header")?, header.u32("the header")?];
    let count = header.u32("the header")? as usize;
    let directory = header.u32("the header")? as usize;
    let image = [rows, columns, channels]
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size as usize))
        .filter(|&length| length > 0)
        .ok_or(PackProblem::Shape { rows, columns, channels })?;

    let mut entries = Cursor { bytes, at: HEADER };
    entries.need("the directory", directory)?;
    let end = HEADER + directory;

    let mut offset = end as u64;
    // A count that lies must not make us allocate: an entry takes 15 bytes.
    let mut classes: Vec<Class> = Vec::with_capacity(count.min(directory / ENTRY));
    for index in 0..count {
        let problem = |problem: String| PackProblem::Class { index, problem };
        let class = entries.class(index)?;
        if classes.last().is_some_and(|last| last.split > class.split) {
            return Err(problem(format!("{} stands behind a later split", class.name)));
        }
        if class.images == 0 {
            return Err(problem(format!("{} has no images", class.name)));
        }
        if class.offset as u64 != offset {
            return Err(problem(format!(
                "the images of {} are said to begin at {}, and begin at {offset}",
                class.name, class.offset
            )));
        }
        let needed = (image as u64)
            .checked_mul(u64::from(class.images))
            .and_then(|length| length.checked_add(offset))
            .ok_or_else(|| problem(format!("{} has more images than fit", class.name)))?;
        if needed > bytes.len() as u64 {
            let what = format!("class {}", class.name);
            return Err(PackProblem::Truncated { what, needed, length: bytes.len() as u64 });
        }
        offset = needed;
        classes.push(class);
    }
    if entries.at != end {
        return Err(PackProblem::Directory {
            stated: directory as u64,
            found: (entries.at - HEADER) as u64,
        });
    }
    if offset != bytes.len() as u64 {
        return Err(PackProblem::Trailing { extra: bytes.len() as u64 - offset });
    }
    let before = |split| classes.partition_point(|class| class.split < split);
    let bounds = [before(Split::Validation), before(Split::Test)];
    let shape = [rows as usize, columns as usize, channels as usize];
    Ok(Contents { shape, classes, bounds })
}

/// Writes header and directory; `directory` is the latter's length.
pub(super) fn write(
    out: &mut impl Write,
    shape: [u32; 3],
    directory: u32,
    classes: &[Class],
) -> io::Result<()> {
    out.write_all(MAGIC)?;
    let count = u32::try_from(classes.len()).map_err(io::Error::other)?;
    for number in [VERSION, shape[0], shape[1], shape[2], count, directory] {
        out.write_all(&number.to_le_bytes())?;
    }
    for class in classes {
        let split = match class.split {
            Split::Train => 0,
            Split::Validation => 1,
            Split::Test => 2,
        };
        out.write_all(&[split])?;
        out.write_all(&class.images.to_le_bytes())?;
        out.write_all(&(class.offset as u64).to_le_bytes())?;
        let length = u16::try_from(class.name.len()).map_err(io::Error::other)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(class.name.as_bytes())?;
    }
    Ok(())
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    /// The next `length` bytes, not taken.
    fn need(&self, what: &str, length: usize) -> Result<&'b [u8], PackProblem> {
        let end = self.at.checked_add(length);
        end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| PackProblem::Truncated {
            what: what.to_owned(),
            needed: self.at as u64 + length as u64,
            length: self.bytes.len() as u64,
        })
    }

    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], PackProblem> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.need(what, N)?);
        self.at += N;
        Ok(taken)
    }

    fn u32(&mut self, what: &str) -> Result<u32, PackProblem> {
        self.take(what).map(u32::from_le_bytes)
    }

    fn class(&mut self, index: usize) -> Result<Class, PackProblem> {
        let what = "the directory";
        let problem = |problem: String| PackProblem::Class { index, problem };
        let [split] = self.take(what)?;
        let split = match split {
            0 => Split::Train,
            1 => Split::Validation,
            2 => Split::Test,
            other => return Err(problem(format!("there is no split {other}"))),
        };
        let images = self.u32(what)?;
        let offset = u64::from_le_bytes(self.take(what)?);
        let offset = usize::try_from(offset)
            .map_err(|_| problem(format!("offset {offset} is beyond this machine's memory")))?;
        let length = usize::from(u16::from_le_bytes(self.take(what)?));
        let name = std::str::from_utf8(self.need(what, length)?)
            .map_err(|_| problem("its name is not UTF-8".to_owned()))?
            .to_owned();
        self.at += length;
        Ok(Class { name, split, images, offset })
    }
}
