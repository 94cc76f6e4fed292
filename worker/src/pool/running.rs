//! A computation that threads are at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
        abreast: u64,
        each: Option<Each>,
        done: Done,
    ) -> Self {
        let Computation { episodes, range, .. } = computation;
        let blocks = range.end.0.div_ceil(abreast) - range.start.0 / abreast;
        let sums = Sums {
            reduction: Reduction::new(episodes, range),
            missing: range.len(),
            done: Some(done),
        };
        Self {
            abreast,
            taken: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
            next: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            each,
            sums: Mutex::new(sums),
            computation,
        }
    }

    /// The next episodes to compute, each given once: those of `wanted` where they are left.
    pub(super) fn take(&self, wanted: Option<EpisodeRange>) -> Option<EpisodeRange> {
        if self.ended.load(Ordering::Relaxed) {
            return None;
        }
        let range = self.computation.range;
        let first = range.start.0 / self.abreast;
        let is_free = |block: usize| {
            self.taken.get(block).is_some_and(|taken| !taken.swap(true, Ordering::Relaxed))
        };
        let of_block = |block: usize| {
            let start = (first + block as u64) * self.abreast;
            let end = (start + self.abreast).min(range.end.0);
            EpisodeRange::new(start.max(range.start.0), end)
        };
        if let Some(wanted) = wanted {
            let block = (wanted.start.0 / self.abreast).saturating_sub(first) as usize;
            if of_block(block) == wanted && is_free(block) {
                return Some(wanted);
            }
        }
        loop {
            let block = self.next.fetch_add(1, Ordering::Relaxed);
            if block >= self.taken.len() {
                return None;
            }
            if is_free(block) {
                return Some(of_block(block));
            }
        }
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
