//! Who is there, what each can do, and what each was given.

use std::collections::BTreeMap;

use lyceum_common::ids::WorkerId;

use super::message::{Assignment, Capability};

/// Refused answers after which a worker is expelled.
const REFUSALS: u32 = 3;

/// A worker, as the run knows it.
#[derive(Debug)]
struct Worker {
    threads: u64,
    /// What it has not answered yet, by number; assignments of a step that is over among them.
    held: BTreeMap<u64, Assignment>,
    refusals: u32,
}

/// The workers that are there.
#[derive(Debug, Default)]
pub(super) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    pub(super) fn join(&mut self, worker: WorkerId, capability: Capability) {
        let threads = u64::from(capability.threads.max(1));
        self.0.insert(worker, Worker { threads, held: BTreeMap::new(), refusals: 0 });
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
        self.0.get_mut(&worker)?.held.remove(&assignment)
    }

    /// Counts a refused answer. Returns how many there were where they are too many.
    pub(super) fn refused(&mut self, worker: WorkerId) -> Option<u32> {
        let worker = self.0.get_mut(&worker)?;
        worker.refusals += 1;
        (worker.refusals >= REFUSALS).then_some(worker.refusals)
    }
}
