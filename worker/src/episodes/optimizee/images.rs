//! Classification of images, a fresh minibatch in every step.

use std::sync::Arc;

use lyceum_common::ids::Split;
use lyceum_common::pack::{Class, Pack};
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::OptimizeeSource;
use crate::episodes::few_shot::intensity;
use crate::episodes::{Batch, EpisodeError};

/// The most ways that an optimizee can have: what is drawn lies on the stack.
const LIMIT: usize = 1024;

/// Minibatches of `batch` images of `ways` classes.
///
/// # Derivation
///
/// The ways are `choose(C, ways)` of stream `Classes`, of the C classes of the split, or of those of training where the
/// split has none: then what is held out is the optimizee, its first parameters and its minibatches. An example is a way,
/// `below(ways)`, and an image of its class, `below(images)`, from the stream of the step's minibatch.
#[derive(Debug)]
pub(super) struct Images {
    pack: Arc<Pack>,
    ways: usize,
    batch: usize,
}

impl Images {
    pub(super) fn new(pack: Arc<Pack>, ways: usize, batch: usize) -> Self {
        Self { pack, ways, batch }
    }

    fn classes(&self, split: Split) -> &[Class] {
        let classes = self.pack.classes(split);
        if classes.is_empty() { self.pack.classes(Split::Train) } else { classes }
    }
}

impl OptimizeeSource for Images {
    fn examples(&self) -> usize {
        self.batch
    }

    fn minibatch(&self, seed: Seed<OfEpisode>, split: Split, step: usize, batch: &mut Batch) {
        let classes = self.classes(split);
        let mut ways = [0; LIMIT];
        let ways = &mut ways[..self.ways];
        seed.stream(Purpose::Classes).choose(classes.len() as u32, ways);
        let mut generator = seed.minibatch(step as u64);
        batch.clear();
        for _ in 0..self.batch {
            let label = generator.below(self.ways as u32) as usize;
            let class = &classes[ways[label] as usize];
            let image = self.pack.image(class, generator.below(class.images()));
            batch.inputs.extend(image.iter().map(|&byte| intensity(byte)));
            batch.targets.extend((0..self.ways).map(|way| if way == label { 1.0 } else { 0.0 }));
        }
    }

    fn check(&self, split: Split) -> Result<(), EpisodeError> {
        let (ways, classes) = (self.ways, self.classes(split).len());
        if ways > LIMIT {
            return Err(EpisodeError::TooLarge { of: "ways", count: ways, limit: LIMIT });
        }
        if ways > classes {
            return Err(EpisodeError::TooFewClasses { split, ways, classes });
        }
        Ok(())
    }
}
