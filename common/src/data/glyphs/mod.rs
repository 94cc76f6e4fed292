//! The embedded data set: characters that nobody ever wrote, drawn by hands that nobody has.
//!
//! A class is a skeleton of a few strokes; an image is that skeleton as one hand draws it. Everything is drawn from
//! the set's own seed with correctly rounded arithmetic and `libm` alone, so the set is the same, to the bit, on every
//! machine.

mod hand;
mod pen;
mod skeleton;

use std::path::Path;

use crate::config::GlyphsConfig;
use crate::ids::Split;
use crate::pack::{Pack, PackBuilder, PackError};
use crate::seed::Seed;
use skeleton::Skeleton;

/// Draws the set into the folder `cache`, character after character. Character `i` of the seed is always the same, whatever the
/// number of classes, of images or of rows and columns.
pub(super) fn import(config: &GlyphsConfig, cache: &Path) -> Result<Pack, PackError> {
    let size = config.images.image_size as u32;
    let mut builder = PackBuilder::new(size, size, 1);
    let mut index = 0;
    for (split, &classes) in Split::ALL.into_iter().zip(&config.classes) {
        for _ in 0..classes {
            let name = format!("character{index:04}");
            builder.class_from(split, name, config.images_per_class, index);
            index += 1;
        }
    }
    builder.write_from(cache, |index| Ok(character(config, index)))
}

/// The images of a character, one behind the other.
fn character(config: &GlyphsConfig, index: u64) -> Vec<u8> {
    let size = config.images.image_size;
    let mut generator = Seed::of_run(config.seed).character(index);
    let skeleton = Skeleton::draw(&mut generator);
    let mut images = Vec::with_capacity(config.images_per_class * size * size);
    for _ in 0..config.images_per_class {
        let (strokes, width) = hand::write(&skeleton, &mut generator);
        images.extend(pen::trace(&strokes, width, size));
    }
    images
}

/// A point of the plane; a character fills about [-1, 1]², y downward.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f32,
    y: f32,
}

#[cfg(test)]
mod tests;
