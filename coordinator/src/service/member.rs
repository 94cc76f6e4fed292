//! Listens to one worker, from its hello to its end.

use std::sync::Arc;

use bytes::Bytes;
use lyceum_common::ids::WorkerId;
use lyceum_common::wire::{Hello, Item, Lost, Reader, SubmissionHeader, WireError, pb};
use pb::worker_message::Message;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::{Ending, Farewell, Incoming, Outbound, ServiceParts};
use crate::run::Submission;

/// A worker that has been welcomed, and is not ready yet.
pub(super) struct Applicant {
    pub(super) worker: WorkerId,
    pub(super) hello: Hello,
    pub(super) inbound: Reader<pb::WorkerMessage>,
    pub(super) outbound: Outbound,
}

/// Waits until the worker is ready, then passes on what it submits, until it is gone or the driver parts with it.
pub(super) async fn admit(applicant: Applicant, parts: Arc<ServiceParts>) {
    let Applicant { worker, hello, mut inbound, outbound } = applicant;
    let mut ending = parts.ending.clone();
    let over = async {
        // What it resolves to holds a lock.
        let _ = ending.wait_for(|ending| *ending != Ending::NotYet).await;
    };
    let ready = select! {
        item = next(&mut inbound) => item,
        () = over => {
            outbound.close(farewell(&parts).await);
            return;
        }
    };
    match ready {
        Ok(Some(Part::Message(Message::Ready(pb::Ready {})))) => {}
        // It has gone already.
        Ok(None) => return,
        Err(error) => return outbound.close(invalid(&error)),
        Ok(Some(_)) => return outbound.close(invalid(&WireError::missing("ready"))),
    }
    let gone = CancellationToken::new();
    let listener = gone.clone().drop_guard();
    let joined = Incoming::Joined { worker, hello, outbound, listener };
    if let Err(refused) = parts.incoming.send(joined).await {
        if let Incoming::Joined { outbound, .. } = refused.0 {
            outbound.close(farewell(&parts).await);
        }
        return;
    }
    select! {
        () = gone.cancelled() => {}
        farewell = listen(worker, inbound, &parts) => {
            // Where the driver is gone, so is the run.
            let _ = parts.incoming.send(Incoming::Left(worker, farewell)).await;
        }
    }
}

/// Passes submissions on, until the stream ends.
async fn listen(
    worker: WorkerId,
    mut inbound: Reader<pb::WorkerMessage>,
    parts: &ServiceParts,
) -> Farewell {
    loop {
        let submission = match submission(&mut inbound, parts).await {
            Ok(Some(submission)) => submission,
            Ok(None) => return Farewell::Left,
            Err(error) => return invalid(&error),
        };
        if parts.incoming.send(Incoming::Submitted(worker, submission)).await.is_err() {
            return farewell(parts).await;
        }
    }
}

/// The next submission, with its payload; none where the stream ends.
async fn submission(
    inbound: &mut Reader<pb::WorkerMessage>,
    parts: &ServiceParts,
) -> Result<Option<Submission>, WireError> {
    let Some(message) = next(inbound).await? else { return Ok(None) };
    let Part::Message(Message::Submission(header)) = message else {
        return Err(WireError::new(
            "message",
            "a submission is expected, as `Hello` and `Ready` come once",
        ));
    };
    let spares = Arc::clone(&parts.spares);
    let training = &parts.config.training;
    let gradients = (parts.layout.len(), training.sums);
    let mut header = SubmissionHeader::new(header, gradients, training.meta_batch, spares)?;
    while !header.is_complete() {
        match next(inbound).await? {
            None => return Ok(None),
            Some(Part::Piece(bytes)) => header.add(&bytes)?,
            Some(Part::Message(_)) => {
                return Err(WireError::new("message", "a chunk of the submission is expected"));
            }
        }
    }
    let finite = header.is_finite();
    let lyceum_common::wire::Submission { assignment, partials } = header.finish()?;
    Ok(Some(Submission {
        assignment: assignment.id,
        job: assignment.job,
        parameters: assignment.parameters,
        range: assignment.range,
        partials,
        finite,
    }))
}

/// What a worker sends.
enum Part {
    Message(Message),
    /// Bytes of a payload.
    Piece(Bytes),
}

async fn next(inbound: &mut Reader<pb::WorkerMessage>) -> Result<Option<Part>, WireError> {
    match inbound.next().await {
        Ok(Some(Item::Piece(bytes))) => Ok(Some(Part::Piece(bytes))),
        Ok(Some(Item::Message(pb::WorkerMessage { message }))) => message
            .map(|message| Some(Part::Message(message)))
            .ok_or_else(|| WireError::new("message", "of no kind that is known here")),
        Err(Lost::Invalid(error)) => Err(error),
        // However a stream ends, the worker is gone.
        Ok(None) | Err(Lost::Ended(_)) => Ok(None),
    }
}

fn invalid(error: &WireError) -> Farewell {
    Farewell::Invalid(error.to_string())
}

/// What a worker is told that comes when the run is over; how it ended is known at once, or in a moment.
async fn farewell(parts: &ServiceParts) -> Farewell {
    let mut ending = parts.ending.clone();
    let ended = ending.wait_for(|ending| *ending != Ending::NotYet).await.map(|ending| *ending);
    match ended {
        Ok(Ending::Finished) => Farewell::Finished,
        Ok(Ending::NotYet | Ending::Stopped) | Err(_) => {
            Farewell::GoingAway("the run was stopped".into())
        }
    }
}
