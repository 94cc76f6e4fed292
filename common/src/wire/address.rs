//! A coordinator's address, as people write it.

use tonic::transport::Endpoint;

/// What is wrong with an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It reads as nothing.
    #[error(transparent)]
    Invalid(#[from] tonic::transport::Error),
    /// It is a Unix domain socket's without one.
    #[error("it names no file")]
    NoFile,
    /// It has a scheme, or a port, and nothing else.
    #[error("it names no host")]
    NoHost,
}

/// The endpoint at `host:port`, `http://host:port` or `unix:/path/of/a/socket`.
///
/// # Errors
/// Where the address is none.
pub fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let socket = address.strip_prefix("unix:");
    if socket.is_some_and(str::is_empty) {
        return Err(AddressError::NoFile);
    }
    let has_scheme = socket.is_some() || address.contains("://");
    let url = if has_scheme { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(url)?;
    if socket.is_none() && endpoint.uri().host().is_none_or(str::is_empty) {
        return Err(AddressError::NoHost);
    }
    Ok(endpoint)
}
