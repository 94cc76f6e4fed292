//! One reduction under way: a meta-step, or an evaluation.

use lyceum_common::config::Precision;
use lyceum_common::ids::Digest;
use lyceum_common::reduction::{Partial, Reduction};

use super::leases::Leases;
use super::message::Job;

/// Episodes a thread of an assignment of an evaluation: its answers are small, so that many of them cost nothing.
const EVALUATION_EPISODES: u64 = 16;

/// One reduction under way.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) job: Job,
    pub(super) parameters: Digest,
    pub(super) sizes: Sizes,
    pub(super) leases: Leases,
    reduction: Reduction,
}

/// How large the ranges of a reduction are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Of the whole reduction.
    pub(super) episodes: u64,
    /// How many of them a thread takes at once.
    abreast: u64,
    evaluation: bool,
}

impl Round {
    /// Sums of gradients are rounded to `precision`.
    pub(super) fn new(
        job: Job,
        parameters: Digest,
        episodes: u64,
        abreast: usize,
        precision: Precision,
    ) -> Self {
        let evaluation = matches!(job, Job::Evaluation { .. });
        let sizes = Sizes { episodes, abreast: abreast as u64, evaluation };
        let leases = Leases::new(episodes);
        let reduction = Reduction::below_root(episodes).rounded_to(precision);
        Self { job, parameters, sizes, leases, reduction }
    }

    /// Takes in the sums of an answer that counts. Returns the gradients that are free for another use.
    pub(super) fn fold(&mut self, partials: Vec<Partial>) -> Vec<Vec<f32>> {
        partials.into_iter().flat_map(|partial| self.reduction.add(partial)).collect()
    }

    /// The sum of all episodes, where they are all there.
    pub(super) fn into_root(self) -> Option<Partial> {
        self.reduction.into_root()
    }

    /// The two sides of the sum of all episodes, the left one first, or the whole sum.
    pub(super) fn into_addends(self) -> Option<(Partial, Option<Partial>)> {
        self.reduction.into_addends()
    }
}

impl Sizes {
    /// Where a range from `start` ends at most, for a worker with `own` of `total` threads: all for a lone worker; else
    /// about half of its share, in aligned subtrees, so that a fast worker can help a slow one. At most `limit` where
    /// that is not 0, and at least as many as a thread takes at once.
    pub(super) fn cut(self, start: u64, (own, total): (u64, u64), limit: u64) -> u64 {
        if limit > 0 {
            return start.saturating_add(limit);
        }
        let threads = own.checked_next_power_of_two().unwrap_or(own);
        let mut size = if own >= total {
            self.episodes
        } else {
            let share = self.episodes.saturating_mul(own).div_ceil(total);
            floor_power_of_two(share / 2).max(threads.min(floor_power_of_two(share)))
        };
        if self.evaluation {
            size = size.min(threads.saturating_mul(EVALUATION_EPISODES));
        }
        let size = size.max(self.abreast).max(1);
        (start / size + 1).saturating_mul(size)
    }
}

/// The largest power of two that is not above `number`; 1 for 0.
fn floor_power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_common::ids::{MetaStep, Split};

    fn ends(job: Job, episodes: u64, threads: (u64, u64), limit: u64) -> Vec<u64> {
        ends_abreast(1, job, episodes, threads, limit)
    }

    fn ends_abreast(
        abreast: usize,
        job: Job,
        episodes: u64,
        threads: (u64, u64),
        limit: u64,
    ) -> Vec<u64> {
        let round = Round::new(job, Digest::of(b""), episodes, abreast, Precision::Float32);
        let mut ends = vec![0];
        while *ends.last().unwrap() < episodes {
            let end = round.sizes.cut(*ends.last().unwrap(), threads, limit);
            ends.push(end.min(episodes));
        }
        ends
    }

    #[test]
    fn a_worker_gets_about_half_its_share_at_a_time() {
        let step = Job::Gradient { step: MetaStep(0) };
        assert_eq!(ends(step, 25, (8, 8), 0), [0, 25]);
        assert_eq!(ends(step, 32, (2, 4), 0), [0, 8, 16, 24, 32]);
        assert_eq!(ends(step, 25, (1, 3), 0), [0, 4, 8, 12, 16, 20, 24, 25]);
        assert_eq!(ends(step, 4, (8, 24), 0), [0, 2, 4], "whatever the threads, others get some");
        assert_eq!(ends(step, 7, (2, 4), 3), [0, 3, 6, 7]);
        let evaluation = Job::Evaluation { split: Split::Test };
        assert_eq!(ends(evaluation, 100, (2, 2), 0), [0, 32, 64, 96, 100]);
    }

    #[test]
    fn a_range_is_whole_multiples_of_what_a_thread_takes_at_once() {
        let step = Job::Gradient { step: MetaStep(0) };
        assert_eq!(ends_abreast(16, step, 25, (1, 3), 0), [0, 16, 25]);
        assert_eq!(ends_abreast(16, step, 128, (1, 2), 0), [0, 32, 64, 96, 128]);
        assert_eq!(ends_abreast(16, step, 7, (2, 4), 3), [0, 3, 6, 7], "but for a limit");
    }
}
