//! Few-shot classification: N ways, K shots, from a pack of images.

use std::sync::Arc;

use lyceum_common::config::{DistortionConfig, Shape};
use lyceum_common::ids::Split;
use lyceum_common::pack::{Class, Pack};
use lyceum_common::seed::{Generator, OfEpisode, Purpose, Seed};

use super::distortion::Distortion;
use super::groups::Groups;
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
///
///    Where some training episodes stay within a group, `unit() < share` is drawn first. If it holds, the group is
///    `below(groups)` of those with as many classes as there are ways, the largest first, and of a size in the order of
///    their first classes; with rotations its quarters are `below(4)` then, for all its classes; and the ways are
///    `choose(classes of the group, ways)`.
/// 2. Stream `Images`: way after way, in the order of the labels, `choose(images of its class, shots + queries)`; the
///    first `shots` of these are support, the rest query.
/// 3. Stream `Augmentation`, where training images are distorted: one after the other for the images of a way, way
///    after way, of numbers in the order that `episodes/distortion.rs` says. Stream `ClassAugmentation`, where their
///    classes are: likewise, way after way. An image is distorted as its class is, and then as it is itself.
///
/// Examples stand in the order of the labels, and within a label in the order drawn. A pixel's value is its byte / 255
/// in f32; targets are one-hot.
#[derive(Debug)]
pub struct FewShotSource {
    pack: Arc<Pack>,
    rotations: bool,
    distortion: Option<DistortionConfig>,
    class_distortion: Option<DistortionConfig>,
    /// What training episodes stay within, and what share of them.
    within_groups: Option<(Groups, f32)>,
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
        let (distortion, class_distortion, within_groups) = (None, None, None);
        Ok(Self { pack, rotations, distortion, class_distortion, within_groups, shape })
    }

    /// Distorts the images of training episodes like this.
    #[must_use]
    pub(crate) fn distorting(self, distortion: Option<DistortionConfig>) -> Self {
        Self { distortion, ..self }
    }

    /// Distorts the classes of training episodes like this, all images of one alike.
    #[must_use]
    pub(crate) fn distorting_classes(self, class_distortion: Option<DistortionConfig>) -> Self {
        Self { class_distortion, ..self }
    }

    /// Keeps this share of the training episodes within a group each.
    #[must_use]
    pub fn within_groups(self, share: f32) -> Self {
        let groups = || (Groups::of(self.pack.classes(Split::Train)), share);
        Self { within_groups: (share > 0.0).then(groups), ..self }
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
        self.choose_ways(&mut seed.stream(Purpose::Classes), split, ways);
        let mut generator = seed.stream(Purpose::Images);
        for (label, &drawn) in ways.iter().enumerate() {
            let (class, quarters) = (drawn / self.turns(), drawn % self.turns());
            generator.choose(classes[class as usize].images(), images);
            take(Way { label, class, quarters, images });
        }
    }

    /// Chooses the classes of an episode: `class × turns + quarters` each.
    fn choose_ways(&self, generator: &mut Generator, split: Split, ways: &mut [u32]) {
        let turns = self.turns();
        if let Some((groups, share)) = &self.within_groups
            && split == Split::Train
            && generator.unit() < *share
        {
            let groups = groups.of_at_least(ways.len());
            let group = &groups[generator.below(groups.len() as u32) as usize];
            let quarters = if turns > 1 { generator.below(turns) } else { 0 };
            generator.choose(group.len() as u32, ways);
            for way in ways {
                *way = group[*way as usize] * turns + quarters;
            }
        } else {
            let classes = self.pack.classes(split).len() as u32;
            generator.choose(classes * turns, ways);
        }
    }

    /// Writes the examples of a way of `split` behind those of the ways before it, as they are.
    pub(super) fn push(
        &self,
        split: Split,
        size: EpisodeSize,
        way: Way<'_>,
        episode: &mut Episode,
    ) {
        self.push_distorted(split, size, way, episode, || None);
    }

    /// The same, each example as it is distorted next.
    fn push_distorted(
        &self,
        split: Split,
        size: EpisodeSize,
        way: Way<'_>,
        episode: &mut Episode,
        mut next: impl FnMut() -> Option<Distortion>,
    ) {
        let class = &self.pack.classes(split)[way.class as usize];
        for (place, &image) in way.images.iter().enumerate() {
            let batch = if place < size.shots { &mut episode.support } else { &mut episode.query };
            let (image, rotation) = (self.pack.image(class, image), Rotation::of(way.quarters));
            match next() {
                Some(distortion) => {
                    distortion.write(image, self.shape, rotation, &mut batch.inputs);
                }
                None => self.write(image, rotation, batch),
            }
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
                    let (from_row, from_column) = rotation.source(row, column, rows - 1);
                    let at = (from_row * columns + from_column) * channels;
                    let pixel = &image[at..at + channels];
                    batch.inputs.extend(pixel.iter().map(|&byte| intensity(byte)));
                }
            }
        }
    }
}

/// What a pixel's byte is to a network: its share of 255.
#[must_use]
pub fn intensity(byte: u8) -> f32 {
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
        let training = |config: &Option<DistortionConfig>| config.filter(|_| split == Split::Train);
        let draws = |config: &Option<DistortionConfig>, purpose| {
            let mut draws = training(config).map(|config| (config, seed.stream(purpose)));
            move || draws.as_mut().map(|(config, generator)| Distortion::draw(config, generator))
        };
        let mut of_class = draws(&self.class_distortion, Purpose::ClassAugmentation);
        let mut of_image = draws(&self.distortion, Purpose::Augmentation);
        self.draw(seed, split, size, |way| {
            let of_class = of_class();
            self.push_distorted(split, size, way, episode, || match (of_class, of_image()) {
                (Some(of_class), Some(of_image)) => Some(of_image.after(&of_class, self.shape)),
                (of_class, of_image) => of_class.or(of_image),
            });
        });
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
        if let Some((groups, _)) = &self.within_groups
            && split == Split::Train
        {
            if classes.iter().all(|class| !class.name().contains('/')) {
                return Err(EpisodeError::OneGroup { split });
            }
            if groups.of_at_least(ways).is_empty() {
                return Err(EpisodeError::TooSmallGroups { split, ways });
            }
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
