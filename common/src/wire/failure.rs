//! What a call that failed comes to, for people: gRPC's own words are wrapped several times.

use std::error::Error as _;

use tonic::{Code, Status, TimeoutExpired};

/// What HTTP/2's implementation says where it is not HTTP/2 that comes: its own finding, and not one that a peer sends.
const NOT_HTTP2: &str = "connection error detected: ";

/// Whether what answers is no coordinator: it speaks no HTTP/2, or has none of our services.
#[must_use]
pub fn is_stranger(status: &Status) -> bool {
    let mut causes = causes(status);
    let speaks_another = causes.any(|cause| cause.to_string().starts_with(NOT_HTTP2));
    speaks_another || status.code() == Code::Unimplemented
}

/// Whether the answer took longer than it may.
#[must_use]
pub fn is_late(status: &Status) -> bool {
    let expired = causes(status).any(|cause| cause.is::<TimeoutExpired>());
    expired || status.code() == Code::DeadlineExceeded
}

/// What it says, and what it comes from in the end, where it does not say that itself.
#[must_use]
pub fn words(status: &Status) -> String {
    let said = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    match causes(status).last().map(ToString::to_string) {
        Some(cause) if !said.contains(&cause) => format!("{said}: {cause}"),
        _ => said.to_owned(),
    }
}

/// What it comes from, and what that comes from.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// As a status is that a call comes to, and not a peer.
    fn from(cause: impl std::error::Error + Send + Sync + 'static) -> Status {
        let mut status = Status::internal("http2 error");
        status.set_source(Arc::new(cause));
        status
    }

    #[test]
    fn who_speaks_another_protocol_is_told_from_who_refuses() {
        let found = std::io::Error::other("connection error detected: frame with invalid size");
        assert!(is_stranger(&from(found)));
        assert!(is_stranger(&Status::unimplemented("")));
        let received = std::io::Error::other("connection error received: not a result of an error");
        assert!(!is_stranger(&from(received)));
        assert!(!is_stranger(&Status::unavailable("the run is over")));
    }

    #[test]
    fn silence_is_told_from_an_answer() {
        assert!(is_late(&from(TimeoutExpired(()))));
        assert!(is_late(&Status::deadline_exceeded("")));
        assert!(!is_late(&Status::cancelled("Timeout expired")), "so says a peer");
    }

    #[test]
    fn a_cause_is_told_once() {
        assert_eq!(words(&Status::unavailable("the run is over")), "the run is over");
        assert_eq!(words(&from(std::io::Error::other("reset"))), "http2 error: reset");
        assert_eq!(words(&from(std::io::Error::other("error"))), "http2 error");
        let unsaid = Code::Unavailable.description();
        assert_eq!(words(&Status::unavailable("")), unsaid);
    }
}
