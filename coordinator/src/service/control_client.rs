//! The control service's other side: what people ask of a run from another process.

use lyceum_common::wire::{WireError, pb, words};
use tonic::transport::Channel;

use crate::status::Status;

/// Why a run does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It cannot be asked any more, or says no.
    #[error("{}", words(.0))]
    Call(tonic::Status),
    /// The answer makes no sense.
    #[error("the coordinator sent {0}")]
    Wire(#[from] WireError),
}

/// Asks the coordinator at the other end of `channel` where its run is.
///
/// # Errors
/// Where it does not answer, the run is over, or the answer makes no sense.
pub async fn ask(channel: Channel) -> Result<Status, ControlError> {
    let answer = pb::ControlClient::new(channel).status(pb::StatusRequest {}).await;
    let reply = answer.map_err(ControlError::Call)?.into_inner();
    Ok(Status::try_from(reply)?)
}

/// Ends the run early, as Ctrl-C does: it writes a checkpoint. Returns as soon as the run knows.
///
/// # Errors
/// Where the coordinator does not answer, or the run is over.
pub async fn stop(channel: Channel) -> Result<(), ControlError> {
    let answer = pb::ControlClient::new(channel).stop(pb::StopRequest {}).await;
    answer.map(drop).map_err(ControlError::Call)
}
