//! IDX files, as MNIST has them: big-endian lengths, then the values; gzipped or not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use image::GrayImage;

use super::picture::Picture;
use super::{DataError, split};
use crate::config::IdxConfig;
use crate::ids::Split;
use crate::pack::PackBuilder;

const BYTES: u8 = 0x08;
const INTEGERS: u8 = 0x0c;

/// The files that the set is made of.
pub(super) fn inputs(config: &IdxConfig) -> Result<Vec<PathBuf>, DataError> {
    let (images, labels) = (&config.images_path, &config.labels_path);
    for (key, expected, path) in [
        ("data.idx.images_path (--data DIR)", "an IDX file of images", images),
        ("data.idx.labels_path (--data DIR)", "an IDX file of labels", labels),
    ] {
        path.metadata().map_err(DataError::absent(key, expected, path))?;
    }
    Ok(vec![images.clone(), labels.clone()])
}

/// Reads the set: a class is a label, and classes are in the order of their labels.
pub(super) fn import(config: &IdxConfig) -> Result<PackBuilder, DataError> {
    let images = Idx::read(&config.images_path, &[BYTES], 3)?;
    let labels = Idx::read(&config.labels_path, &[BYTES, INTEGERS], 1)?;
    if labels.sizes[0] != images.sizes[0] {
        return Err(DataError::LabelCount {
            images_path: config.images_path.clone(),
            images: images.sizes[0] as usize,
            labels_path: config.labels_path.clone(),
            labels: labels.sizes[0] as usize,
        });
    }
    let problem = |problem: String| DataError::Idx { path: config.images_path.clone(), problem };
    let (rows, columns) = (images.sizes[1], images.sizes[2]);
    let length = rows as usize * columns as usize;
    if length == 0 || images.sizes[0] == 0 {
        return Err(problem(format!("{} images of {rows} × {columns}", images.sizes[0])));
    }
    let picture = Picture::from(config);
    let mut classes = BTreeMap::<u32, Vec<u8>>::new();
    for (image, label) in images.values.chunks(length).zip(labels.integers()) {
        let image = GrayImage::from_raw(columns, rows, image.to_vec())
            .ok_or_else(|| problem("an image is cut off".to_owned()))?;
        classes.entry(label).or_default().extend(picture.grey(image));
    }
    let (train, validation) = split::sizes(classes.len(), config.held_out);
    let splits = split::at_random(classes.len(), train, validation, config.split_seed);
    for split in Split::ALL {
        let share = match split {
            Split::Train => 1.0 - config.held_out[0] - config.held_out[1],
            Split::Validation => config.held_out[0],
            Split::Test => config.held_out[1],
        };
        if share > 1e-9 && !splits.contains(&split) {
            let data = config.labels_path.display().to_string();
            return Err(DataError::EmptySplit { data, split });
        }
    }
    let mut builder = picture.pack();
    for (split, (label, images)) in splits.into_iter().zip(classes) {
        builder.class(split, label.to_string(), images);
    }
    Ok(builder)
}

/// A file's contents.
struct Idx {
    kind: u8,
    sizes: Vec<u32>,
    values: Vec<u8>,
}

impl Idx {
    /// Reads a file of one of these kinds and so many dimensions.
    fn read(path: &Path, kinds: &[u8], dimensions: u8) -> Result<Self, DataError> {
        let io = |source| DataError::Io { path: path.to_owned(), source };
        let problem = |problem: String| DataError::Idx { path: path.to_owned(), problem };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let zipped = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        let mut file: Box<dyn Read> =
            if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut header = |what: &str| -> Result<[u8; 4], DataError> {
            let mut word = [0; 4];
            file.read_exact(&mut word).map_err(|error| problem(cut_off(what, &error)))?;
            Ok(word)
        };
        let magic = header("the magic number")?;
        match magic {
            [0, 0, kind, rank] if kinds.contains(&kind) && rank == dimensions => {}
            [0, 0, kind, rank] => {
                return Err(problem(format!(
                    "IDX of type 0x{kind:02x} and {rank} dimensions, where type {} and {dimensions} are needed",
                    kinds
                        .iter()
                        .map(|kind| format!("0x{kind:02x}"))
                        .collect::<Vec<_>>()
                        .join(" or ")
                )));
            }
            _ => return Err(problem("no IDX file: it does not begin with two zeros".to_owned())),
        }
        let sizes = (0..dimensions).map(|_| header("the sizes").map(u32::from_be_bytes));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let width = if magic[2] == INTEGERS { 4 } else { 1 };
        let stated = sizes
            .iter()
            .try_fold(width, |product: u64, &size| product.checked_mul(u64::from(size)))
            .filter(|&length| length <= u64::from(u32::MAX))
            .ok_or_else(|| problem(format!("sizes {sizes:?} are more than 4 GiB")))?;
        // Memory grows with what is really there, and not with what the header says.
        let mut values = Vec::new();
        file.take(stated + 1)
            .read_to_end(&mut values)
            .map_err(|error| problem(cut_off("the values", &error)))?;
        if values.len() as u64 != stated {
            let found = if values.len() as u64 > stated { "more" } else { "fewer" };
            return Err(problem(format!(
                "sizes {sizes:?} need {stated} bytes, and there are {found}"
            )));
        }
        Ok(Self { kind: magic[2], sizes, values })
    }

    /// The values as numbers.
    fn integers(&self) -> impl Iterator<Item = u32> {
        let width = if self.kind == INTEGERS { 4 } else { 1 };
        let number =
            |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
        self.values.chunks(width).map(number)
    }
}

fn cut_off(what: &str, error: &io::Error) -> String {
    format!("truncated in {what}: {error}")
}
