//! Episodes that a thread draws before it is asked for them: while a meta-step's gradient travels, there is time for it.

use lyceum_common::abreast::ABREAST;
use lyceum_common::assignment::Job;
use lyceum_common::ids::{EpisodeIndex, EpisodeRange, MetaStep};
use lyceum_common::seed::{OfEpisode, OfRun, OfStep, Seed};

use super::Computation;
use crate::work::Abreast;

/// The episodes that a thread computes at once, and what it will probably be asked for next: the first that it computed
/// of the last meta-step, in the next one. Nothing but the time of drawing depends on this.
#[derive(Default)]
pub(super) struct Ahead {
    expected: Option<Expected>,
}

struct Expected {
    run: Seed<OfRun>,
    step: MetaStep,
    range: EpisodeRange,
    seeds: Option<[Seed<OfEpisode>; ABREAST]>,
}

impl Ahead {
    /// The range that is expected of this computation.
    pub(super) fn range(&self, computation: &Computation) -> Option<EpisodeRange> {
        self.of(computation).map(|expected| expected.range)
    }

    /// The seeds of episodes of a computation, derived before where they are those that were expected; and from now on
    /// expects them of the next meta-step, unless it does already.
    pub(super) fn seeds(
        &mut self,
        computation: &Computation,
        range: EpisodeRange,
    ) -> [Seed<OfEpisode>; ABREAST] {
        let Computation { job, seed: run, .. } = *computation;
        let step = match job {
            Job::Gradient { step } => step,
            Job::Evaluation { split } => return derive(run.evaluation_on(split), range),
        };
        let expected = self.of(computation).filter(|expected| expected.range == range);
        let seeds = expected.and_then(|expected| expected.seeds);
        let is_next = |expected: &Expected| expected.run == run && expected.step == step.next();
        if !self.expected.as_ref().is_some_and(is_next) {
            self.expected = Some(Expected { run, step: step.next(), range, seeds: None });
        }
        seeds.unwrap_or_else(|| derive(run.step(step), range))
    }

    /// Draws what is expected, once.
    pub(super) fn draw(&mut self, thread: &mut dyn Abreast) {
        if let Some(Expected { run, step, range, seeds: seeds @ None }) = &mut self.expected {
            let seeds = seeds.insert(derive(run.step(*step), *range));
            thread.draw(&seeds[..range.len() as usize]);
        }
    }

    fn of(&self, computation: &Computation) -> Option<&Expected> {
        let Job::Gradient { step } = computation.job else { return None };
        let is_of =
            |expected: &&Expected| expected.run == computation.seed && expected.step == step;
        self.expected.as_ref().filter(is_of)
    }
}

/// The seeds of a range's episodes.
fn derive(seed: Seed<OfStep>, range: EpisodeRange) -> [Seed<OfEpisode>; ABREAST] {
    let mut seeds = [seed.episode(range.start); ABREAST];
    for (seed_of, index) in seeds.iter_mut().zip(range.indices()).skip(1) {
        *seed_of = seed.episode(EpisodeIndex(index));
    }
    seeds
}
