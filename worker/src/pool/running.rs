//! A computation that threads are at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lyceum_common::assignment::Job;
use lyceum_common::config::Precision;
use lyceum_common::ids::EpisodeRange;
use lyceum_common::reduction::{Partial, Reduction};
use lyceum_common::report::EpisodeReport;

use super::{Computation, Computed, Done, Each, lock};

/// A computation that threads are at: each takes the next episodes, and their sums go up the tree.
pub(super) struct Running {
    pub(super) computation: Computation,
    /// How many episodes a thread takes at once, from a multiple of it on.
    abreast: u64,
    /// Of each such block of episodes, whether it was taken.
    taken: Box<[AtomicBool]>,
    /// The first that may not have been.
    next: AtomicUsize,
    /// Of how many such blocks those of the next meta-step are to be drawn.
    ahead: AtomicUsize,
    ended: AtomicBool,
    each: Option<Each>,
    sums: Mutex<Sums>,
}

struct Sums {
    reduction: Reduction,
    missing: u64,
    done: Option<Done>,
}

impl Running {
    pub(super) fn new(
        computation: Computation,
        (abreast, sums): (u64, Precision),
        each: Option<Each>,
        done: Done,
    ) -> Self {
        let Computation { episodes, range, .. } = computation;
        let blocks = range.end.0.div_ceil(abreast) - range.start.0 / abreast;
        let sums = Sums {
            reduction: Reduction::new(episodes, range).rounded_to(sums),
            missing: range.len(),
            done: Some(done),
        };
        Self {
            abreast,
            taken: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
            next: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            each,
            sums: Mutex::new(sums),
            computation,
        }
    }

    /// Whether the thread of this number is to take part. A meta-step has no work for more threads than it has episodes, and
    /// were these now some threads and now others, each would come to hold a frame, which may take gigabytes.
    pub(super) fn occupies(&self, thread: u64) -> bool {
        match self.computation.job {
            Job::Gradient { .. } => thread < self.computation.episodes.div_ceil(self.abreast),
            Job::Evaluation { .. } => true,
        }
    }

    /// Whether a thread may still take episodes.
    pub(super) fn has_left(&self) -> bool {
        !self.ended.load(Ordering::Relaxed) && self.next.load(Ordering::Relaxed) < self.taken.len()
    }

    /// The next episodes to compute, each given once: those of `wanted` where they are left.
    pub(super) fn take(&self, wanted: Option<EpisodeRange>) -> Option<EpisodeRange> {
        if self.ended.load(Ordering::Relaxed) {
            return None;
        }
        let is_free = |block: usize| {
            self.taken.get(block).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
        };
        if let Some(wanted) = wanted {
            let first = self.computation.range.start.0 / self.abreast;
            let block = (wanted.start.0 / self.abreast).saturating_sub(first) as usize;
            if self.block(block) == wanted && is_free(block) {
                return Some(wanted);
            }
        }
        loop {
            let block = self.next.fetch_add(1, Ordering::Relaxed);
            if block >= self.taken.len() {
                return None;
            }
            if is_free(block) {
                return Some(self.block(block));
            }
        }
    }

    /// The next episodes to draw ahead of the next meta-step, each given once.
    pub(super) fn next_ahead(&self) -> Option<EpisodeRange> {
        let block = self.ahead.fetch_add(1, Ordering::Relaxed);
        (block < self.taken.len()).then(|| self.block(block))
    }

    fn block(&self, block: usize) -> EpisodeRange {
        let range = self.computation.range;
        let start = (range.start.0 / self.abreast + block as u64) * self.abreast;
        let end = (start + self.abreast).min(range.end.0);
        EpisodeRange::new(start.max(range.start.0), end)
    }

    /// Tells how the episodes of `range` went, where somebody wants to know.
    pub(super) fn tell(&self, range: EpisodeRange, reports: &[EpisodeReport]) {
        if let Some(each) = &self.each {
            range.indices().zip(reports).for_each(|(episode, &report)| each(episode, report));
        }
    }

    /// Sums a partial up the tree. After the last one, the sums of the whole range, left to right.
    pub(super) fn add(
        &self,
        partial: Partial,
        mut recycle: impl FnMut(Vec<f32>),
    ) -> Option<Vec<Partial>> {
        let Computation { episodes, .. } = self.computation;
        let mut partial = partial;
        let mut sums = lock(&self.sums);
        sums.missing -= partial.node.episodes(episodes).len();
        while let Some((parent, freed)) = sums.reduction.climb(partial) {
            partial = parent;
            freed.into_iter().for_each(&mut recycle);
        }
        if sums.missing > 0 {
            return None;
        }
        let reduction = std::mem::replace(&mut sums.reduction, Reduction::whole(0));
        let mut partials = reduction.into_partials();
        partials.sort_unstable_by_key(|partial| partial.node.episodes(episodes).start);
        Some(partials)
    }

    /// Tells whoever waits, once.
    pub(super) fn end(&self, computed: Computed) {
        self.ended.store(true, Ordering::Relaxed);
        let done = lock(&self.sums).done.take();
        if let Some(done) = done {
            done(computed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lyceum_common::assignment::Job;
    use lyceum_common::ids::MetaStep;
    use lyceum_common::seed::Seed;
    use proptest::prelude::*;

    use super::*;

    fn at_work(range: EpisodeRange, abreast: u64) -> Running {
        let computation = Computation {
            job: Job::Gradient { step: MetaStep(0) },
            parameters: Arc::new(Vec::new()),
            seed: Seed::of_run(0),
            episodes: range.end.0,
            range,
        };
        Running::new(computation, (abreast, Precision::Float32), None, Box::new(|_| {}))
    }

    #[test]
    fn what_is_to_be_drawn_ahead_is_given_once_and_can_be_taken() {
        let running = at_work(EpisodeRange::new(3, 10), 4);
        let [first, second, third] =
            [(3, 4), (4, 8), (8, 10)].map(|(start, end)| EpisodeRange::new(start, end));
        let ahead = [(); 4].map(|()| running.next_ahead());
        assert_eq!(ahead, [Some(first), Some(second), Some(third), None]);
        assert_eq!(running.take(Some(second)), Some(second));
        // What another took is not there any more.
        assert_eq!(running.take(Some(second)), Some(first));
        assert_eq!(running.take(None), Some(third));
        assert_eq!(running.take(None), None);
    }

    proptest! {
        #[test]
        fn every_episode_is_given_once_whatever_is_wanted(
            start in 0_u64..40, length in 1_u64..100, abreast in 1_u64..17, wanted in proptest::collection::vec(0_u64..150, 0..150),
        ) {
            let range = EpisodeRange::new(start, start + length);
            let running = at_work(range, abreast);
            let mut given = Vec::new();
            let wants = wanted.into_iter().map(|at| Some(EpisodeRange::new(at, at + abreast)));
            for wanted in wants.chain(std::iter::repeat(None)) {
                let Some(taken) = running.take(wanted) else { break };
                prop_assert_eq!(taken.start.0 / abreast, (taken.end.0 - 1) / abreast);
                given.extend(taken.indices());
            }
            given.sort_unstable();
            prop_assert!(given.into_iter().eq(range.indices()));
        }
    }
}
