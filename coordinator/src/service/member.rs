//! Listens to one worker, from its hello to its end.

use std::sync::Arc;

use lyceum_common::ids::WorkerId;
use lyceum_common::wire::{Hello, SubmissionHeader, WireError, pb};
use pb::worker_message::Message;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{Ending, Farewell, Incoming, Outbound, ServiceParts};
use crate::run::Submission;

/// A worker that has been welcomed, and is not ready yet.
pub(super) struct Applicant {
    pub(super) worker: WorkerId,
    pub(super) hello: Hello,
    pub(super) inbound: Streaming<pb::WorkerMessage>,
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
        message = inbound.message() => message,
        () = over => {
            outbound.close(farewell(&parts).await);
            return;
        }
    };
    match ready.map(|message| message.and_then(|message| message.message)) {
        Ok(Some(Message::Ready(pb::Ready {}))) => {}
        // It has gone already.
        Ok(None) | Err(_) => return,
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
    mut inbound: Streaming<pb::WorkerMessage>,
    parts: &ServiceParts,
) -> Farewell {
    loop {
        let submission = match submission(&mut inbound, parts.layout.len()).await {
            Ok(Some(submission)) => submission,
            Ok(None) => return Farewell::GoingAway("the worker hung up".into()),
            Err(error) => return invalid(&error),
        };
        if parts.incoming.send(Incoming::Submitted(worker, submission)).await.is_err() {
            return farewell(parts).await;
        }
    }
}

/// The next submission, with its payload; none where the stream ends.
async fn submission(
    inbound: &mut Streaming<pb::WorkerMessage>,
    parameters: usize,
) -> Result<Option<Submission>, WireError> {
    let Some(message) = next(inbound).await? else { return Ok(None) };
    let Message::Submission(header) = message else {
        return Err(WireError::new("message", "a submission is expected"));
    };
    let mut header = SubmissionHeader::new(header, parameters)?;
    while !header.is_complete() {
        match next(inbound).await? {
            None => return Ok(None),
            Some(Message::Chunk(chunk)) => header.add(&chunk)?,
            Some(_) => {
                return Err(WireError::new("message", "a chunk of the submission is expected"));
            }
        }
    }
    let lyceum_common::wire::Submission { assignment, partials } = header.finish()?;
    Ok(Some(Submission {
        assignment: assignment.id,
        job: assignment.job,
        parameters: assignment.parameters,
        range: assignment.range,
        partials,
    }))
}

async fn next(inbound: &mut Streaming<pb::WorkerMessage>) -> Result<Option<Message>, WireError> {
    match inbound.message().await {
        Ok(Some(pb::WorkerMessage { message: Some(message) })) => Ok(Some(message)),
        Ok(Some(pb::WorkerMessage { message: None })) => Err(WireError::missing("message")),
        // However a stream ends, the worker is gone.
        Ok(None) | Err(_) => Ok(None),
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
