//! Episodes that a thread draws before it is asked for them: while a meta-step's gradient travels, there is time for it.

use std::sync::Arc;

use lyceum_common::abreast::ABREAST;
use lyceum_common::assignment::Job;
use lyceum_common::ids::{EpisodeIndex, EpisodeRange, MetaStep};
use lyceum_common::seed::{OfEpisode, OfRun, OfStep, Seed};

use super::{Computation, Running};
use crate::work::WorkThread;

/// What a thread has drawn of the meta-step behind the last one that it took part in. Threads draw from the first episodes on,
/// in the order in which they come to have nothing to do: the last one, which draws when it is asked, is left with the rest.
/// Nothing but the time of drawing depends on this.
#[derive(Default)]
pub(super) struct Ahead {
    /// The meta-step that it computed last, as long as nothing was drawn behind it.
    last: Option<Arc<Running>>,
    drawn: Option<Drawn>,
}

struct Drawn {
    run: Seed<OfRun>,
    step: MetaStep,
    range: EpisodeRange,
    seeds: [Seed<OfEpisode>; ABREAST],
}

impl Ahead {
    /// Which episodes of this computation are drawn.
    pub(super) fn range(&self, computation: &Computation) -> Option<EpisodeRange> {
        self.of(computation).map(|drawn| drawn.range)
    }

    /// The seeds of episodes of a computation, which are derived already where they are drawn.
    pub(super) fn seeds(
        &mut self,
        running: &Arc<Running>,
        range: EpisodeRange,
    ) -> [Seed<OfEpisode>; ABREAST] {
        let Computation { job, seed: run, .. } = running.computation;
        let step = match job {
            Job::Gradient { step } => run.step(step),
            Job::Evaluation { split } => return derive(run.evaluation_on(split), range),
        };
        let drawn = self.of(&running.computation).filter(|drawn| drawn.range == range);
        let seeds = drawn.map(|drawn| drawn.seeds);
        self.last = Some(Arc::clone(running));
        seeds.unwrap_or_else(|| derive(step, range))
    }

    /// Draws some of the next meta-step's episodes, once.
    pub(super) fn draw(&mut self, thread: &mut dyn WorkThread) {
        let Some(last) = self.last.take() else { return };
        let Computation { job: Job::Gradient { step }, seed: run, .. } = last.computation else {
            return;
        };
        if let Some(range) = last.next_ahead() {
            let step = step.next();
            let seeds = derive(run.step(step), range);
            match thread.abreast() {
                Some(thread) => thread.draw(&seeds[..range.len() as usize]),
                None => thread.draw(seeds[0]),
            }
            self.drawn = Some(Drawn { run, step, range, seeds });
        }
    }

    fn of(&self, computation: &Computation) -> Option<&Drawn> {
        let Job::Gradient { step } = computation.job else { return None };
        let is_of = |drawn: &&Drawn| drawn.run == computation.seed && drawn.step == step;
        self.drawn.as_ref().filter(is_of)
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
