//! Who is there, what each can do, and what each was given.

use std::collections::BTreeMap;

use lyceum_common::ids::WorkerId;

use super::message::{Assignment, Capability};

/// Refused answers after which a worker is expelled.
const REFUSALS: u32 = 3;
/// Answers in a row to assignments that a worker does not hold after which it is expelled. One that repeats an answer
/// sends one or two; so many come from one that would go on for ever. Fewer than the messages that may wait for a
/// worker, so that it is told why.
const UNKNOWN: u32 = 32;

/// A worker, as the run knows it.
#[derive(Debug)]
struct Worker {
    threads: u64,
    /// What it has not answered yet, by number; assignments of a step that is over among them.
    held: BTreeMap<u64, Assignment>,
    refusals: u32,
    /// Answers since the last one to an assignment that it held.
    unknown: u32,
}

/// The workers that are there.
#[derive(Debug, Default)]
pub(super) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    pub(super) fn join(&mut self, worker: WorkerId, capability: Capability) {
        let threads = u64::from(capability.threads.max(1));
        let state = Worker { threads, held: BTreeMap::new(), refusals: 0, unknown: 0 };
        self.0.insert(worker, state);
    }

    pub(super) fn leave(&mut self, worker: WorkerId) {
        self.0.remove(&worker);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The workers that hold this many assignments.
    pub(super) fn holding(&self, assignments: usize) -> Vec<WorkerId> {
        let holding = self.0.iter().filter(|(_, worker)| worker.held.len() == assignments);
        holding.map(|(&id, _)| id).collect()
    }

    /// A worker's threads, and those of all workers together.
    pub(super) fn threads(&self, worker: WorkerId) -> (u64, u64) {
        let own = self.0.get(&worker).map_or(1, |worker| worker.threads);
        (own, self.0.values().map(|worker| worker.threads).sum())
    }

    pub(super) fn give(&mut self, worker: WorkerId, assignment: Assignment) {
        if let Some(worker) = self.0.get_mut(&worker) {
            worker.held.insert(assignment.id, assignment);
        }
    }

    /// The assignment of this number, which the worker holds no longer.
    pub(super) fn take_back(&mut self, worker: WorkerId, assignment: u64) -> Option<Assignment> {
        let worker = self.0.get_mut(&worker)?;
        let held = worker.held.remove(&assignment)?;
        worker.unknown = 0;
        Some(held)
    }

    /// Counts an answer to an assignment that the worker does not hold. Returns how many there were in a row where they
    /// are too many.
    pub(super) fn unknown(&mut self, worker: WorkerId) -> Option<u32> {
        let worker = self.0.get_mut(&worker)?;
        worker.unknown += 1;
        (worker.unknown >= UNKNOWN).then_some(worker.unknown)
    }

    /// Counts a refused answer. Returns how many there were where they are too many.
    pub(super) fn refused(&mut self, worker: WorkerId) -> Option<u32> {
        let worker = self.0.get_mut(&worker)?;
        worker.refusals += 1;
        (worker.refusals >= REFUSALS).then_some(worker.refusals)
    }
}
