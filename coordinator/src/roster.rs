//! The workers that are there, and the way to each.

use std::collections::BTreeMap;

use lyceum_common::assignment::Assignment;
use lyceum_common::ids::WorkerId;
use lyceum_common::parameters::MetaParameters;
use tokio_util::sync::DropGuard;

use crate::service::{Farewell, Outbound, Version};

/// The workers that are there.
///
/// A version of the meta-parameters goes to a worker with the first assignment that names it, so a worker that takes
/// nothing is sent nothing, and what waits for it is bounded.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<WorkerId, Member>,
    version: Option<Version>,
    lost: Vec<WorkerId>,
}

/// A worker's end of the coordinator's side.
#[derive(Debug)]
pub(crate) struct Member {
    outbound: Outbound,
    /// Ends the task that listens to the worker, when the member is dropped.
    _listener: DropGuard,
    has_version: bool,
}

impl Member {
    pub(crate) fn new(outbound: Outbound, listener: DropGuard) -> Self {
        Self { outbound, _listener: listener, has_version: false }
    }
}

impl Roster {
    pub(crate) fn join(&mut self, worker: WorkerId, member: Member) {
        self.members.insert(worker, member);
    }

    /// Parts with a worker; whether it was there.
    pub(crate) fn part(&mut self, worker: WorkerId, farewell: Farewell) -> bool {
        let member = self.members.remove(&worker);
        member.is_some_and(|member| {
            member.outbound.close(farewell);
            true
        })
    }

    /// Parts with all workers.
    pub(crate) fn part_with_all(&mut self, farewell: &Farewell) {
        for (_, member) in std::mem::take(&mut self.members) {
            member.outbound.close(farewell.clone());
        }
    }

    /// Serialises a version, once for all workers.
    pub(crate) fn publish(&mut self, parameters: &MetaParameters) {
        self.version = Some(Version::new(parameters));
        self.members.values_mut().for_each(|member| member.has_version = false);
    }

    /// Sends an assignment, and the version that it names where the worker has another.
    pub(crate) fn assign(&mut self, worker: WorkerId, assignment: Assignment) {
        let Some(member) = self.members.get_mut(&worker) else { return };
        let version = self.version.as_ref().filter(|_| !member.has_version);
        member.has_version = true;
        if member.outbound.assign(version, assignment).is_err() {
            self.lost.push(worker);
        }
    }

    /// Tells a worker why a submission was not taken.
    pub(crate) fn refuse(&mut self, worker: WorkerId, reason: String) {
        let Some(member) = self.members.get(&worker) else { return };
        if member.outbound.refuse(reason).is_err() {
            self.lost.push(worker);
        }
    }

    /// A worker that took no more messages, and is to be parted with.
    pub(crate) fn take_lost(&mut self) -> Option<WorkerId> {
        self.lost.pop()
    }
}
