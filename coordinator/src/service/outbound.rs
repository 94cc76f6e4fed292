//! The way to one worker: a bounded queue of messages.

use bytes::Bytes;
use lyceum_common::assignment::Assignment;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::wire::{Outgoing, digest_bytes, pb};
use pb::coordinator_message::Message;
use tokio::sync::mpsc;
use tonic::Status;

/// Messages and payloads that may wait for a worker to take them.
const WAITING: usize = 64;

pub(crate) type Sent = Result<Outgoing<pb::CoordinatorMessage>, Status>;

/// Why and how the coordinator parts with a worker.
#[derive(Clone, Debug)]
pub(crate) enum Farewell {
    /// The run is over: it need not come back.
    Finished,
    /// It has ended its direction, and is gone.
    Left,
    /// It may come back later.
    GoingAway(String),
    /// It is not wanted any more.
    Expelled(String),
    /// It sent something that makes no sense.
    Invalid(String),
}

/// A version of the meta-parameters, as all workers are sent it: no number is copied.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    header: pb::Parameters,
    payload: Bytes,
}

impl Version {
    pub(crate) fn new(parameters: &MetaParameters) -> Self {
        let payload = parameters.to_bytes();
        let digest = digest_bytes(parameters.digest());
        Self { header: pb::Parameters { digest, size: payload.len() as u64 }, payload }
    }
}

/// The worker does not take what it is sent, or is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congested;

/// The way to one worker.
#[derive(Debug)]
pub(crate) struct Outbound(mpsc::Sender<Sent>);

impl Outbound {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Sent>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    pub(super) fn welcome(&self, welcome: pb::Welcome) -> Result<(), Congested> {
        self.send(wrap(Message::Welcome(welcome)))
    }

    /// Sends an assignment, behind the version that it names where one is given.
    pub(crate) fn assign(
        &self,
        version: Option<&Version>,
        assignment: Assignment,
    ) -> Result<(), Congested> {
        if let Some(Version { header, payload }) = version {
            self.send(wrap(Message::Parameters(header.clone())))?;
            self.send(Outgoing::Payload(payload.clone()))?;
        }
        self.send(wrap(Message::Assignment(assignment.into())))
    }

    /// Says why a submission was not taken.
    pub(crate) fn refuse(&self, reason: String) -> Result<(), Congested> {
        self.send(wrap(Message::Refusal(pb::Refusal { reason })))
    }

    /// Ends the stream, behind all that waits in it.
    pub(crate) fn close(self, farewell: Farewell) {
        let last = match farewell {
            Farewell::Left => return,
            Farewell::Finished => Ok(wrap(Message::Finished(pb::Finished {}))),
            Farewell::GoingAway(reason) => Err(Status::unavailable(reason)),
            Farewell::Expelled(reason) => Err(Status::permission_denied(reason)),
            Farewell::Invalid(reason) => Err(Status::invalid_argument(reason)),
        };
        // A worker that is gone, or takes nothing, cannot be told.
        let _ = self.0.try_send(last);
    }

    fn send(&self, message: Outgoing<pb::CoordinatorMessage>) -> Result<(), Congested> {
        self.0.try_send(Ok(message)).map_err(|_| Congested)
    }
}

fn wrap(message: Message) -> Outgoing<pb::CoordinatorMessage> {
    Outgoing::Message(pb::CoordinatorMessage { message: Some(message) })
}
