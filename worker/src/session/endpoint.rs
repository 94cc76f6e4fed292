//! The coordinator's address, and how its connection is kept.

use std::error::Error;
use std::time::Duration;

use lyceum_common::wire;
use lyceum_common::wire::http2::{FRAME, KEEPALIVE, WINDOW};
use tonic::transport::Endpoint;

use super::SessionError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) fn parse(address: &str) -> Result<Endpoint, SessionError> {
    let endpoint = wire::endpoint(address).map_err(|error| SessionError::Address {
        url: address.to_owned(),
        problem: describe(&error),
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME))
}

/// Whether an address is a Unix domain socket's, which never leaves the machine.
pub(super) fn is_local(address: &str) -> bool {
    address.starts_with("unix:")
}

/// An error and what is behind it: the transport's own messages say little.
pub(super) fn describe(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    texts.join(": ")
}
