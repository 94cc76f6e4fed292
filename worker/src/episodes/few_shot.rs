//! Few-shot classification: N ways, K shots, from a pack of images.

use std::sync::Arc;

use lyceum_common::config::Shape;
use lyceum_common::ids::Split;
use lyceum_common::pack::{Class, Pack};
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::rotation::Rotation;
use super::{Batch, Episode, EpisodeError, EpisodeSize, EpisodeSource};

/// The most ways, and the most images of a class, that an episode can have: what is drawn lies on the stack.
const LIMIT: usize = 1024;

/// Draws N-way classification episodes, without replacement: no class twice, no image twice, so that support and query
/// share none.
///
/// # Derivation
///
/// With `choose` and the streams of [`lyceum_common::seed`], classes of a split in the pack's order, and `C` of them:
///
/// 1. Stream `Classes`: the ways are `choose(C, ways)`; the order drawn is the order of the labels, from 0. With
///    rotations it is `choose(4 C, ways)` instead, and `d` stands for class `d / 4` turned counter-clockwise by
///    `d mod 4` quarters, as NumPy's `rot90(image, d mod 4)` does. Two rotations of one class may meet in an episode.
/// 2. Stream `Images`: way after way, in the order of the labels, `choose(images of its class, shots + queries)`; the
///    first `shots` of these are support, the rest query.
///
/// Examples stand in the order of the labels, and within a label in the order drawn. A pixel's value is its byte / 255
/// in f32; targets are one-hot.
#[derive(Debug)]
pub struct FewShotSource {
    pack: Arc<Pack>,
    rotations: bool,
    /// Rows, columns, channels.
    shape: [usize; 3],
}

impl FewShotSource {
    /// Episodes of classes of the pack; with `rotations` each class counts as four.
    ///
    /// # Errors
    /// Where images that are to be turned are not square.
    pub fn new(pack: Arc<Pack>, rotations: bool) -> Result<Self, EpisodeError> {
        let shape = match pack.shape() {
            Shape::Image { height, width, channels } => [height, width, channels],
            Shape::Vector { length } => [1, length, 1],
        };
        let [rows, columns, _] = shape;
        if rotations && rows != columns {
            return Err(EpisodeError::NotSquare { rows, columns });
        }
        Ok(Self { pack, rotations, shape })
    }

    /// How many classes count for one of the pack's.
    fn turns(&self) -> u32 {
        if self.rotations { Rotation::COUNT } else { 1 }
    }

    fn write(&self, image: &[u8], rotation: Rotation, batch: &mut Batch) {
        if rotation == Rotation::NONE {
            batch.inputs.extend(image.iter().map(|&byte| intensity(byte)));
        } else {
            let [rows, columns, channels] = self.shape;
            for row in 0..rows {
                for column in 0..columns {
                    let (from_row, from_column) = rotation.source(row, column, rows);
                    let at = (from_row * columns + from_column) * channels;
                    let pixel = &image[at..at + channels];
                    batch.inputs.extend(pixel.iter().map(|&byte| intensity(byte)));
                }
            }
        }
    }
}

pub(super) fn intensity(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

impl EpisodeSource for FewShotSource {
    fn sample(
        &self,
        seed: Seed<OfEpisode>,
        split: Split,
        size: EpisodeSize,
        episode: &mut Episode,
    ) {
        let classes = self.pack.classes(split);
        let (mut ways, mut images) = ([0; LIMIT], [0; LIMIT]);
        let ways = &mut ways[..size.ways];
        let images = &mut images[..size.examples_a_class()];
        episode.support.clear();
        episode.query.clear();
        seed.stream(Purpose::Classes).choose(classes.len() as u32 * self.turns(), ways);
        let mut generator = seed.stream(Purpose::Images);
        for (label, &drawn) in ways.iter().enumerate() {
            let class = &classes[(drawn / self.turns()) as usize];
            let rotation = Rotation::of(drawn % self.turns());
            generator.choose(class.images(), images);
            for (place, &image) in images.iter().enumerate() {
                let batch =
                    if place < size.shots { &mut episode.support } else { &mut episode.query };
                self.write(self.pack.image(class, image), rotation, batch);
                batch
                    .targets
                    .extend((0..size.ways).map(|way| if way == label { 1.0 } else { 0.0 }));
            }
        }
    }

    fn check(&self, split: Split, size: EpisodeSize) -> Result<(), EpisodeError> {
        let EpisodeSize { ways, shots, queries } = size;
        if ways > LIMIT {
            return Err(EpisodeError::TooLarge { of: "ways", count: ways, limit: LIMIT });
        }
        let examples = shots.saturating_add(queries);
        if examples > LIMIT {
            return Err(EpisodeError::TooLarge {
                of: "images a class",
                count: examples,
                limit: LIMIT,
            });
        }
        let classes = self.pack.classes(split);
        let count = classes.len() * self.turns() as usize;
        if ways > count {
            return Err(EpisodeError::TooFewClasses { split, ways, classes: count });
        }
        let images = |class: &Class| class.images() as usize;
        match classes.iter().find(|class| images(class) < examples) {
            Some(class) => Err(EpisodeError::TooFewImages {
                class: class.name().to_owned(),
                split,
                images: images(class),
                shots,
                queries,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
