//! A coordinator's address, as people write it.

use tonic::transport::Endpoint;

/// The port that a coordinator listens on unless it is told another.
pub const DEFAULT_PORT: u16 = 7700;

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
    /// It ends with its host. No port is taken for granted: a URL's is 80, and no coordinator's.
    #[error("it has no port; a coordinator's is {port} unless --listen says another", port = DEFAULT_PORT)]
    NoPort,
    /// What stands behind its colon is none.
    #[error(
        "there is no such port as `{0}`; a coordinator's is {port} unless --listen says another",
        port = DEFAULT_PORT
    )]
    NoSuchPort(String),
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
    if socket.is_none() {
        check_dialled(endpoint.uri())?;
    }
    Ok(endpoint)
}

/// Whether a URL has a host and a port to dial.
fn check_dialled(url: &http::Uri) -> Result<(), AddressError> {
    if url.host().is_none_or(str::is_empty) {
        return Err(AddressError::NoHost);
    }
    match port_of(url.authority().map_or("", http::uri::Authority::as_str))? {
        0 => Err(AddressError::NoSuchPort("0".to_owned())),
        _ => Ok(()),
    }
}

/// The port of `host:port`. It may be 0, which listening takes for any that is free.
///
/// # Errors
/// Where there is none, or it is no number of a port.
pub fn port_of(address: &str) -> Result<u16, AddressError> {
    let behind = address.rsplit_once(':').map(|(_, port)| port);
    // A colon within brackets is one of an IPv6 address.
    let port = behind.filter(|port| !port.is_empty() && !port.ends_with(']'));
    let port = port.ok_or(AddressError::NoPort)?;
    port.parse().map_err(|_| AddressError::NoSuchPort(port.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        match endpoint(address) {
            Ok(_) => panic!("{address} is an address"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_host_with_a_port_is_an_address_and_so_is_a_socket() {
        for address in
            ["host:7700", "http://host:7700", "127.0.0.1:1", "[::1]:7700", "unix:/run/x", "unix:x"]
        {
            assert!(endpoint(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_port_that_is_missing_or_none_is_told_with_the_usual_one() {
        for address in ["127.0.0.1", "host", "http://host", "host:", "[::1]", "http://host/"] {
            let error = refused(address);
            assert!(error.contains("no port") && error.contains("7700"), "{address}: {error}");
        }
        for (address, port) in [
            ("127.0.0.1:70000", "70000"),
            ("foo:bar", "bar"),
            ("http://host:-1", "-1"),
            ("h:0", "0"),
        ] {
            let error = refused(address);
            let no_such = format!("no such port as `{port}`");
            assert!(error.contains(&no_such) && error.contains("7700"), "{address}: {error}");
        }
        assert_eq!(refused("http://:7700"), "it names no host");
        assert_eq!(refused("unix:"), "it names no file");
        assert!(matches!(endpoint("no address"), Err(AddressError::Invalid(_))));
    }

    #[test]
    fn listening_may_take_any_port() {
        assert!(matches!(port_of("0.0.0.0:0"), Ok(0)));
        assert!(matches!(port_of("[::]:7700"), Ok(7700)));
        assert!(matches!(port_of("0.0.0.0"), Err(AddressError::NoPort)));
    }
}
