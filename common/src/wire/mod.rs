//! The protocol's messages, and their conversion into the types that the rest of Lyceum knows.
//!
//! Generated types stay here, in the coordinator's services and in the worker's session; nothing behind those can spell
//! them. A peer's message never panics: what makes no sense becomes a [`WireError`] that names the field.

mod address;
mod assignment;
mod failure;
mod handshake;
pub mod http2;
mod payload;
mod stream;
mod submission;
#[cfg(test)]
mod tests;

pub use address::{AddressError, DEFAULT_PORT, endpoint, port_of};
pub use failure::{is_late, is_stranger, words};
pub use handshake::{Hello, PackInfo, VersionMismatch, Welcome, check_version};
pub use payload::{Assembly, CHUNK_BYTES, chunks, to_bytes};
pub use stream::{Envelope, Item, Lost, Outgoing, Reader, WORK_PATH, Writer, answer, dial};
pub use submission::{Submission, SubmissionHeader};

use crate::ids::Digest;

/// What is generated from `proto/lyceum/v1`.
mod generated {
    #![expect(unused_qualifications, unreachable_pub, reason = "generated code")]
    #![expect(clippy::allow_attributes, reason = "generated code")]
    tonic::include_proto!("lyceum.v1");
}

/// The messages and services as generated, for those who speak the protocol: the coordinator's services, the worker's
/// session, and tests that stand in for a foreign worker.
pub mod pb {
    pub use super::generated::control_client::ControlClient;
    pub use super::generated::control_server::{Control, ControlServer};
    pub use super::generated::farm_client::FarmClient;
    pub use super::generated::farm_server::{Farm, FarmServer};
    pub use super::generated::{
        Assignment, Chunk, CoordinatorMessage, Evaluation, Finished, Hello, Layout, LayoutEntry,
        Measurement, PackInfo, PackRequest, Parameters, Partial, Phase, Ready, Refusal, Reports,
        Role, Split, StatusReply, StatusRequest, StopReply, StopRequest, Submission, Training,
        Welcome, WorkerMessage, WorkerStatus, assignment, coordinator_message, worker_message,
    };
}

/// The version of the protocol that this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The protocol's own description, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lyceum.v1.binpb"));

/// Why a peer's message makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WireError {
    /// The field's full name, such as `submission.assignment.parameters`.
    pub field: &'static str,
    /// What is wrong with it, as a lowercase fragment.
    pub problem: String,
}

impl WireError {
    /// An error of this field.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }

    /// The field is absent and must not be.
    #[must_use]
    pub fn missing(field: &'static str) -> Self {
        Self::new(field, "missing")
    }
}

/// A digest off the wire.
///
/// # Errors
/// Where it is not 32 bytes.
pub fn digest(bytes: &[u8], field: &'static str) -> Result<Digest, WireError> {
    let exact = bytes.try_into();
    exact
        .map(Digest)
        .map_err(|_| WireError::new(field, format!("{} bytes, and a digest has 32", bytes.len())))
}

/// A digest for the wire.
#[must_use]
pub fn digest_bytes(digest: Digest) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&digest.0)
}
