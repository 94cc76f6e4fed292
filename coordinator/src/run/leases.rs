//! Who has which range of a reduction, and until when.
//!
//! Episodes that nobody has are free. They are cut into ranges only as they are given, so that the size fits the workers
//! that are there. A lease ends with the first answer that counts, or, where it is audited, with the second.

use std::collections::BTreeMap;
use std::time::Instant;

use lyceum_common::ids::{Digest, EpisodeRange, WorkerId};

/// A range that was given to somebody.
#[derive(Debug)]
struct Lease {
    range: EpisodeRange,
    audited: bool,
    /// The first answer of an audited lease.
    answered: Option<(WorkerId, Digest)>,
    holders: Vec<Holder>,
    /// When it is given to another as well, unless answered; none where it has been reached, or never comes.
    expires: Option<Instant>,
    overdue: bool,
}

#[derive(Debug)]
struct Holder {
    worker: WorkerId,
    assignment: u64,
}

/// To whom a range is given, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) worker: WorkerId,
    /// Whether it may be a range that the worker had before.
    pub(super) again: Again,
    /// The number of the assignment.
    pub(super) assignment: u64,
    /// When the lease is overdue; none for never.
    pub(super) expires: Option<Instant>,
}

/// Which workers may be given a range that they had before. Each allows what those before it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// None: another is to be asked.
    Never,
    /// One that answered it: its second answer is compared with its first.
    Answered,
    /// One whose values in it were not finite, too.
    NotFinite,
}

/// What an answer means for its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Another's answer came before: it is not needed.
    Late,
    /// It is the one that counts.
    First,
    /// It is the second of an audited range, and has the first one's bits.
    Agrees,
    /// It is the second of an audited range, and has not.
    Differs {
        /// Who answered first.
        first: WorkerId,
    },
}

/// The ranges of one reduction.
#[derive(Debug)]
pub(super) struct Leases {
    /// End by start, never touching one another.
    free: BTreeMap<u64, u64>,
    leases: BTreeMap<u64, Lease>,
    /// Ranges that somebody's values were not finite in.
    not_finite: Vec<(EpisodeRange, WorkerId)>,
}

impl Leases {
    /// All of `episodes` free.
    pub(super) fn new(episodes: u64) -> Self {
        let free = BTreeMap::from([(0, episodes)]);
        Self { free, leases: BTreeMap::new(), not_finite: Vec::new() }
    }

    /// Whether all is answered.
    pub(super) fn are_done(&self) -> bool {
        self.free.is_empty() && self.leases.is_empty()
    }

    /// How many episodes nobody has answered.
    pub(super) fn unanswered(&self) -> u64 {
        let free = self.free.iter().map(|(start, end)| end - start);
        let given = self.leases.values().filter(|lease| lease.answered.is_none());
        free.chain(given.map(|lease| lease.range.len())).sum()
    }

    /// Whether something is left, and nobody has any of it whose time is not up: it may be that nothing more comes.
    pub(super) fn are_stuck(&self) -> bool {
        let awaited = |lease: &Lease| !lease.holders.is_empty() && !lease.overdue;
        !self.are_done() && !self.leases.values().any(awaited)
    }

    /// Gives a range that nobody has, or that waits for its audit. `cut` says where a range that starts here ends at most;
    /// `audit`, whether one that starts here is audited.
    pub(super) fn give(
        &mut self,
        grant: Grant,
        cut: impl Fn(u64) -> u64,
        audit: impl Fn(u64) -> bool,
    ) -> Option<EpisodeRange> {
        let waiting = |lease: &Lease| lease.holders.len() < lease.wanted();
        if let Some(range) = self.give_again(grant, waiting) {
            return Some(range);
        }
        let (range, end) = self.free.iter().find_map(|(&start, &end)| {
            let range = EpisodeRange::new(start, end.min(cut(start).max(start + 1)));
            self.may_compute(grant, range).then_some((range, end))
        })?;
        let start = range.start.0;
        self.free.remove(&start);
        if range.end.0 < end {
            self.free.insert(range.end.0, end);
        }
        let holder = Holder { worker: grant.worker, assignment: grant.assignment };
        self.leases.insert(
            start,
            Lease {
                range,
                audited: audit(start),
                answered: None,
                holders: vec![holder],
                expires: grant.expires,
                overdue: false,
            },
        );
        Some(range)
    }

    /// Gives a range that another has had for too long.
    pub(super) fn give_overdue(&mut self, grant: Grant) -> Option<EpisodeRange> {
        self.give_again(grant, |lease| lease.overdue)
    }

    fn give_again(&mut self, grant: Grant, which: impl Fn(&Lease) -> bool) -> Option<EpisodeRange> {
        let may = |lease: &Lease| {
            let answered = lease.answered.is_some_and(|(worker, _)| worker == grant.worker);
            which(lease)
                && !lease.holders.iter().any(|holder| holder.worker == grant.worker)
                && (!answered || grant.again >= Again::Answered)
                && self.may_compute(grant, lease.range)
        };
        let start = *self.leases.iter().find(|(_, lease)| may(lease))?.0;
        let lease = self.leases.get_mut(&start)?;
        lease.holders.push(Holder { worker: grant.worker, assignment: grant.assignment });
        lease.expires = grant.expires;
        lease.overdue = false;
        Some(lease.range)
    }

    /// A worker whose values were not finite does not get the same range again while there may be another to ask.
    fn may_compute(&self, grant: Grant, range: EpisodeRange) -> bool {
        let failed = |&(other, worker): &_| worker == grant.worker && overlap(other, range);
        grant.again >= Again::NotFinite || !self.not_finite.iter().any(failed)
    }

    /// Takes an answer in. `fingerprint` is called where the lease is audited.
    pub(super) fn answer(
        &mut self,
        worker: WorkerId,
        assignment: u64,
        fingerprint: impl FnOnce() -> Digest,
    ) -> Answer {
        let Some(lease) = self.of(assignment) else { return Answer::Late };
        let start = lease.range.start.0;
        let answer = match (lease.audited, lease.answered) {
            (false, _) => Answer::First,
            (true, None) => {
                lease.answered = Some((worker, fingerprint()));
                lease.holders.retain(|holder| holder.assignment != assignment);
                return Answer::First;
            }
            (true, Some((first, digest))) => {
                if digest == fingerprint() {
                    Answer::Agrees
                } else {
                    Answer::Differs { first }
                }
            }
        };
        self.leases.remove(&start);
        answer
    }

    /// Frees what an assignment holds, for its answer does not count.
    pub(super) fn refuse(&mut self, assignment: u64) {
        if let Some(lease) = self.of(assignment) {
            lease.holders.retain(|holder| holder.assignment != assignment);
            self.free_abandoned();
        }
    }

    /// Notes that a worker's values of `range` are not finite. Returns whether others of these episodes were not before.
    pub(super) fn not_finite(&mut self, worker: WorkerId, range: EpisodeRange) -> bool {
        let again = self.not_finite.iter().any(|&(other, _)| overlap(other, range));
        self.not_finite.push((range, worker));
        again
    }

    /// Frees all that a worker holds.
    pub(super) fn leave(&mut self, worker: WorkerId) {
        for lease in self.leases.values_mut() {
            lease.holders.retain(|holder| holder.worker != worker);
        }
        self.free_abandoned();
    }

    /// Marks the leases whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        for lease in self.leases.values_mut() {
            if lease.expires.is_some_and(|expires| expires <= now) {
                lease.expires = None;
                lease.overdue = !lease.holders.is_empty();
            }
        }
    }

    /// When the next lease's time is up.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.values().filter_map(|lease| lease.expires).min()
    }

    fn of(&mut self, assignment: u64) -> Option<&mut Lease> {
        let holds =
            |lease: &&mut Lease| lease.holders.iter().any(|holder| holder.assignment == assignment);
        self.leases.values_mut().find(holds)
    }

    fn free_abandoned(&mut self) {
        let abandoned = |lease: &Lease| lease.holders.is_empty() && lease.answered.is_none();
        let free = &mut self.free;
        self.leases.retain(|_, lease| {
            let goes = abandoned(lease);
            if goes {
                insert(free, lease.range);
            }
            !goes
        });
    }
}

impl Lease {
    /// How many answers are still to come.
    fn wanted(&self) -> usize {
        1 + usize::from(self.audited) - usize::from(self.answered.is_some())
    }
}

fn overlap(one: EpisodeRange, other: EpisodeRange) -> bool {
    one.start < other.end && other.start < one.end
}

/// Adds a range to those that are free, joined with its neighbours.
fn insert(free: &mut BTreeMap<u64, u64>, range: EpisodeRange) {
    let (mut start, mut end) = (range.start.0, range.end.0);
    if let Some(after) = free.remove(&end) {
        end = after;
    }
    if let Some((&before, _)) = free.range(..start).next_back().filter(|(_, e)| **e == start) {
        start = before;
    }
    free.insert(start, end);
}
