//! Randomness as a value that is handed down: run → step → episode → purpose.
//!
//! A seed can only be refined downward, and only at the bottom can anything be drawn, so an episode's draws are a
//! function of (run seed, meta-step, episode index, purpose) and of nothing else. `farm.proto` states the derivation
//! for workers in other languages.

use std::fmt;
use std::marker::PhantomData;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::ids::{EpisodeIndex, MetaStep, Split};

/// Room for the longest domain, a zero and an index.
const MESSAGE: usize = 64;

/// Level marker: a whole run.
#[derive(Clone, Copy, Debug)]
pub struct OfRun;
/// Level marker: one meta-step, or one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct OfStep;
/// Level marker: one episode.
#[derive(Clone, Copy, Debug)]
pub struct OfEpisode;

/// A seed at a level of the run.
///
/// ```compile_fail
/// use lyceum_common::seed::{Purpose, Seed};
/// // A run draws nothing itself: refine down to an episode first.
/// let _ = Seed::of_run(7).stream(Purpose::Classes);
/// ```
#[derive(Clone, Copy)]
pub struct Seed<Level> {
    key: [u8; 32],
    /// Which of its level's seeds it is.
    index: u64,
    /// The meta-step it was refined by, if it was.
    step: MetaStep,
    level: PhantomData<Level>,
}

impl<Level> PartialEq for Seed<Level> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<Level> Eq for Seed<Level> {}

impl<Level> fmt::Debug for Seed<Level> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({:02x}{:02x}…)", self.key[0], self.key[1])
    }
}

/// What a stream of an episode is drawn for. Purposes never share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which classes take part, and in which order they are labelled.
    Classes,
    /// Which images of a class are support and which query.
    Images,
    /// Distortions of an image.
    Augmentation,
    /// Distortions of a class.
    ClassAugmentation,
    /// The function of a regression episode, and its points.
    Function,
    /// The order of the inner loop's batches.
    InnerBatches,
    /// The parameters that an optimizee begins with.
    Start,
    /// The directions in which meta-parameters are perturbed.
    Perturbations,
}

impl Purpose {
    fn domain(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::Images => "images",
            Self::Augmentation => "augmentation",
            Self::ClassAugmentation => "class-augmentation",
            Self::Function => "function",
            Self::InnerBatches => "inner-batches",
            Self::Start => "start",
            Self::Perturbations => "perturbations",
        }
    }
}

impl<Level> Seed<Level> {
    /// `BLAKE3(key = this seed, domain ‖ 0 ‖ index as 8 little-endian bytes)`.
    fn refine<Lower>(self, domain: &str, index: u64) -> Seed<Lower> {
        // One call on one buffer: a hasher that is fed piece by piece takes several times as long to set up.
        let mut message = [0; MESSAGE];
        let (name, rest) = message.split_at_mut(domain.len());
        name.copy_from_slice(domain.as_bytes());
        rest[1..9].copy_from_slice(&index.to_le_bytes());
        let hash = blake3::keyed_hash(&self.key, &message[..domain.len() + 9]);
        Seed { key: *hash.as_bytes(), index, step: self.step, level: PhantomData }
    }

    fn generator(self, domain: &str) -> Generator {
        let Self { key, .. } = self.refine(domain, 0);
        Generator(ChaCha8Rng::from_seed(key))
    }
}

impl Seed<OfRun> {
    /// The root of everything that a training run draws.
    #[must_use]
    pub fn of_run(seed: u64) -> Self {
        let root = Self { key: [0; 32], index: 0, step: MetaStep(0), level: PhantomData };
        root.refine("lyceum run", seed)
    }

    /// The root of everything that evaluations of this run draw: apart from training's, so that evaluating more
    /// often never moves training.
    fn evaluation(self) -> Self {
        self.refine("evaluation", 0)
    }

    /// The seed of an evaluation on `split`: always the same episodes, so that evaluations compare.
    #[must_use]
    pub fn evaluation_on(self, split: Split) -> Seed<OfStep> {
        let domain = match split {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        };
        self.evaluation().refine(domain, 0)
    }

    /// The seed of meta-step `step`.
    #[must_use]
    pub fn step(self, step: MetaStep) -> Seed<OfStep> {
        Seed { step, ..self.refine("step", step.0) }
    }

    /// What the meta-parameters' initial values are drawn from.
    #[must_use]
    pub fn initialisation(self) -> Generator {
        self.generator("initialisation")
    }

    /// What a random split of classes is drawn from.
    #[must_use]
    pub(crate) fn class_split(self) -> Generator {
        self.generator("class-split")
    }

    /// What a character of the embedded data set is drawn from, strokes and hands.
    pub(crate) fn character(self, index: u64) -> Generator {
        let character: Self = self.refine("character", index);
        character.generator("drawing")
    }
}

impl Seed<OfStep> {
    /// The seed of episode `index` of this step.
    #[must_use]
    pub fn episode(self, index: EpisodeIndex) -> Seed<OfEpisode> {
        self.refine("episode", index.0)
    }
}

impl Seed<OfEpisode> {
    /// The episode's place within its meta-step, or within its evaluation.
    #[must_use]
    pub fn index(self) -> EpisodeIndex {
        EpisodeIndex(self.index)
    }

    /// The meta-step that the episode is of; the first for one of an evaluation.
    #[must_use]
    pub fn meta_step(self) -> MetaStep {
        self.step
    }

    /// The generator of this episode for one purpose.
    #[must_use]
    pub fn stream(self, purpose: Purpose) -> Generator {
        self.generator(purpose.domain())
    }

    /// The generator of the minibatch that step `step` of an optimizee's training sees.
    #[must_use]
    pub fn minibatch(self, step: u64) -> Generator {
        let minibatch: Self = self.refine("minibatch", step);
        minibatch.generator("examples")
    }
}

/// A stream of draws: ChaCha with 8 rounds, keyed by a seed.
#[derive(Clone)]
pub struct Generator(ChaCha8Rng);

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}

impl Generator {
    /// The next 32 bits of the stream.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in `0..bound`: the high half of `bits × bound`, redrawn while the low half is below `2³² mod bound`
    /// (Lemire 2019).
    ///
    /// # Panics
    /// Where `bound` is zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "nothing lies below zero");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.bits()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Uniform in `[0, 1)`: the high 24 bits over 2²⁴.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in `[low, high)`, up to rounding.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Standard normal, by Box and Muller in f64; one of the pair is dropped.
    pub fn normal(&mut self) -> f32 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(self.unit())));
        let angle = 2.0 * std::f64::consts::PI * f64::from(self.unit());
        (radius * libm::cos(angle)) as f32
    }

    /// Fills `chosen` with distinct members of `0..population`, in random order: one after the other, a member that is
    /// there already being drawn again.
    ///
    /// # Panics
    /// Where `chosen` is longer than `population`.
    pub fn choose(&mut self, population: u32, chosen: &mut [u32]) {
        assert!(chosen.len() <= population as usize, "more drawn than there are");
        for i in 0..chosen.len() {
            chosen[i] = loop {
                let member = self.below(population);
                if !chosen[..i].contains(&member) {
                    break member;
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draw(run: u64, step: u64, episode: u64, purpose: Purpose) -> u32 {
        Seed::of_run(run).step(MetaStep(step)).episode(EpisodeIndex(episode)).stream(purpose).bits()
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let draws = [
            draw(1, 2, 3, Purpose::Classes),
            draw(2, 2, 3, Purpose::Classes),
            draw(1, 3, 3, Purpose::Classes),
            draw(1, 2, 4, Purpose::Classes),
            draw(1, 2, 3, Purpose::Images),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(draw(1, 2, 3, Purpose::Classes), draws[0]);
    }

    /// Every purpose, from the first on: one that is new does not compile before it has its place here.
    fn purposes() -> impl Iterator<Item = Purpose> {
        std::iter::successors(Some(Purpose::Classes), |purpose| {
            Some(match purpose {
                Purpose::Classes => Purpose::Images,
                Purpose::Images => Purpose::Augmentation,
                Purpose::Augmentation => Purpose::ClassAugmentation,
                Purpose::ClassAugmentation => Purpose::Function,
                Purpose::Function => Purpose::InnerBatches,
                Purpose::InnerBatches => Purpose::Start,
                Purpose::Start => Purpose::Perturbations,
                Purpose::Perturbations => return None,
            })
        })
    }

    #[test]
    fn no_two_purposes_and_no_two_evaluations_share_a_stream() {
        let run = Seed::of_run(1);
        let steps = [0, 1].map(|step| run.step(MetaStep(step)));
        let evaluations = Split::ALL.map(|split| run.evaluation_on(split));
        let mut streams = vec![run.initialisation(), run.class_split()];
        for step in steps.into_iter().chain(evaluations) {
            for episode in [0, 1].map(|index| step.episode(EpisodeIndex(index))) {
                streams.extend(purposes().map(|purpose| episode.stream(purpose)));
                streams.extend([0, 1].map(|step| episode.minibatch(step)));
            }
        }
        let begin = |mut stream: Generator| [stream.bits(), stream.bits()];
        let mut begins: Vec<_> = streams.into_iter().map(begin).collect();
        let count = begins.len();
        assert_eq!(count, 2 + (2 + 3) * 2 * (8 + 2), "every one is looked at");
        begins.sort_unstable();
        begins.dedup();
        assert_eq!(begins.len(), count);
    }

    /// What `proto/lyceum/v1/farm.proto` tells people who write a worker of their own.
    #[test]
    fn streams_are_the_protocols_test_vectors() {
        let stream = |seed, step, episode, purpose| {
            Seed::of_run(seed).step(MetaStep(step)).episode(EpisodeIndex(episode)).stream(purpose)
        };
        let first = stream(0, 0, 0, Purpose::Classes);
        let second = stream(7, 3, 5, Purpose::Images);
        let evaluation = Seed::of_run(7).evaluation_on(Split::Test).episode(EpisodeIndex(1));
        let third = evaluation.stream(Purpose::Function);
        for (stream, words) in [
            (&first, [0x7f48_14aa, 0x17bf_6258, 0x4d5d_7931, 0x9eb8_f49f]),
            (&second, [0x7edc_d1b9, 0xce43_bbe8, 0xe007_c5ad, 0x1fa6_ed6a]),
            (&third, [0xe07d_0416, 0xd47c_75ef, 0xe948_8fd0, 0x3da2_c12a]),
        ] {
            let mut stream = stream.clone();
            assert_eq!([(); 4].map(|()| stream.bits()), words);
        }
        let mut below = first.clone();
        assert_eq!([(); 4].map(|()| below.below(20)), [9, 1, 6, 12]);
        let mut chosen = [0; 5];
        first.clone().choose(5, &mut chosen);
        assert_eq!(chosen, [2, 0, 1, 3, 4]);
        assert!((third.clone().uniform(0.1, 5.0) - 4.396_847).abs() < 1e-6);
        assert!((third.clone().normal() - 0.986_354).abs() < 1e-6);
    }

    #[test]
    fn an_episodes_seed_knows_its_place() {
        let seed = Seed::of_run(1).evaluation_on(Split::Test).episode(EpisodeIndex(9));
        assert_eq!(seed.index(), EpisodeIndex(9));
    }

    proptest! {
        #[test]
        fn chosen_members_are_distinct_and_in_range(seed: u64, population in 1u32..200, share in 0.0f64..=1.0) {
            let mut chosen = vec![0; (f64::from(population) * share) as usize];
            Seed::of_run(seed).initialisation().choose(population, &mut chosen);
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), chosen.len());
            prop_assert!(chosen.iter().all(|&member| member < population));
        }

        #[test]
        fn below_stays_below(seed: u64, bound in 1u32..) {
            prop_assert!(Seed::of_run(seed).initialisation().below(bound) < bound);
        }
    }
}
