mod bad;
mod made;
mod real;

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::config::{FolderConfig, ImageOptions};

/// A PNG of one shade.
fn png(size: u32, shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = GrayImage::from_pixel(size, size, Luma([shade]));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A folder of class folders, without lists.
fn folder(path: &Path) -> FolderConfig {
    FolderConfig {
        path: path.to_owned(),
        lists: "".into(),
        colour: false,
        invert: false,
        held_out: [0.25, 0.25],
        split_seed: 0,
        images: ImageOptions { image_size: 4, rotations: false },
    }
}

/// A zip of these files; a name that ends in a slash is a folder's.
fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// An IDX file of this kind.
fn idx(kind: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}
