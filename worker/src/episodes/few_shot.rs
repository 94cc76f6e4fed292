//! Few-shot classification: N ways, K shots, from a pack of images.

use std::sync::Arc;

use lyceum_common::config::Shape;
use lyceum_common::ids::Split;
use lyceum_common::pack::{Class, Pack};
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::rotation::Rotation;
use super::{Batch, Episode, EpisodeError, EpisodeSize, EpisodeSource};

/// The most ways, and the most images of a class, that an episode can have: what is drawn lies on the stack.
pub(super) const LIMIT: usize = 1024;

/// One way of an episode: a class of a split, turned by quarters, and which of its images are shown; the support ones
/// come first.
#[derive(Clone, Copy)]
pub(super) struct Way<'d> {
    pub(super) label: usize,
    pub(super) class: u32,
    pub(super) quarters: u32,
    pub(super) images: &'d [u32],
}

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

    /// The data set.
    pub(super) fn pack(&self) -> &Pack {
        &self.pack
    }

    /// Whether its images can be turned.
    pub(super) fn is_square(&self) -> bool {
        self.shape[0] == self.shape[1]
    }

    /// How many classes count for one of the pack's.
    fn turns(&self) -> u32 {
        if self.rotations { Rotation::COUNT } else { 1 }
    }

    /// Draws an episode way by way, in the order of the labels.
    pub(super) fn draw(
        &self,
        seed: Seed<OfEpisode>,
        split: Split,
        size: EpisodeSize,
        mut take: impl FnMut(Way<'_>),
    ) {
        let classes = self.pack.classes(split);
        let (mut ways, mut images) = ([0; LIMIT], [0; LIMIT]);
        let (ways, images) = (&mut ways[..size.ways], &mut images[..size.examples_a_class()]);
        seed.stream(Purpose::Classes).choose(classes.len() as u32 * self.turns(), ways);
        let mut generator = seed.stream(Purpose::Images);
        for (label, &drawn) in ways.iter().enumerate() {
            let (class, quarters) = (drawn / self.turns(), drawn % self.turns());
            generator.choose(classes[class as usize].images(), images);
            take(Way { label, class, quarters, images });
        }
    }

    /// Writes the examples of a way of `split` behind those of the ways before it.
    pub(super) fn push(
        &self,
        split: Split,
        size: EpisodeSize,
        way: Way<'_>,
        episode: &mut Episode,
    ) {
        let class = &self.pack.classes(split)[way.class as usize];
        for (place, &image) in way.images.iter().enumerate() {
            let batch = if place < size.shots { &mut episode.support } else { &mut episode.query };
            self.write(self.pack.image(class, image), Rotation::of(way.quarters), batch);
            let target = |way, label| if way == label { 1.0 } else { 0.0 };
            batch.targets.extend((0..size.ways).map(|other| target(other, way.label)));
        }
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
        episode.clear();
        self.draw(seed, split, size, |way| self.push(split, size, way, episode));
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
