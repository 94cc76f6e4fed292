//! Where a coordinator listens: a TCP address, or a Unix domain socket for workers on the same machine.

use std::fmt;
use std::io;

use lyceum_common::wire;
use tokio::net::TcpListener;

/// What an address of a Unix domain socket begins with.
const UNIX: &str = "unix:";

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address, as it was given.
    pub address: String,
    /// What the system says.
    pub source: io::Error,
}

/// A socket that workers dial.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    address: String,
}

/// The kinds of sockets.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::UnixSocket),
}

impl Listener {
    /// Listens on `address`: `host:port`, where port 0 takes a free one, or `unix:path`.
    ///
    /// # Errors
    /// Where the address is in use, not this host's, or no address.
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let failed = |source| BindError { address: address.to_owned(), source };
        if let Some(path) = address.strip_prefix(UNIX) {
            let socket = unix::bind(path).await.map_err(failed)?;
            return Ok(Self { socket, address: address.to_owned() });
        }
        let no_port = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        wire::port_of(address).map_err(|error| failed(no_port(error)))?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self { socket: Socket::Tcp(listener), address: local.to_string() })
    }

    /// What a worker on this machine dials, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(unix)]
pub(crate) mod unix {
    //! Unix domain sockets, whose files go when they are no longer listened on.

    use std::io;
    use std::os::unix::fs::FileTypeExt as _;
    use std::path::{Path, PathBuf};

    use tokio::net::{UnixListener, UnixStream};

    use super::Socket;

    /// A socket, and the file that names it.
    #[derive(Debug)]
    pub(crate) struct UnixSocket {
        pub(crate) listener: UnixListener,
        pub(crate) file: SocketFile,
    }

    /// Removes the file when it is dropped.
    #[derive(Debug)]
    pub(crate) struct SocketFile(PathBuf);

    impl Drop for SocketFile {
        fn drop(&mut self) {
            // Somebody may have tidied up already.
            let _ = std::fs::remove_file(&self.0);
        }
    }

    pub(super) async fn bind(path: &str) -> io::Result<Socket> {
        if path.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"));
        }
        let path = Path::new(path);
        remove_stale(path).await?;
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        Ok(Socket::Unix(UnixSocket { listener, file }))
    }

    /// Removes the socket of a coordinator that was killed: nobody answers there. Anything else stays.
    async fn remove_stale(path: &Path) -> io::Result<()> {
        let is_socket =
            path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_socket && UnixStream::connect(path).await.is_err_and(refused) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod unix {
    use std::io;

    use super::Socket;

    pub(super) async fn bind(_: &str) -> io::Result<Socket> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix domain sockets"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn unix(path: &std::path::Path) -> String {
        format!("{UNIX}{}", path.display())
    }

    #[tokio::test]
    async fn a_socket_file_goes_with_its_listener_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farm");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it behind");
        let listener = Listener::bind(&unix(&path)).await.unwrap();
        assert_eq!(listener.address(), unix(&path));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn addresses_that_cannot_be_listened_on_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (taken, file) = (folder.path().join("taken"), folder.path().join("file"));
        let _listener = Listener::bind(&unix(&taken)).await.unwrap();
        std::fs::write(&file, "not a socket").unwrap();
        let (absent, long) = (folder.path().join("no/folder"), folder.path().join("x".repeat(200)));
        for (address, reason) in [
            (unix(&taken), "in use"),
            (unix(&file), "in use"),
            (unix(&absent), "No such file"),
            (unix(&long), "shorter"),
            (UNIX.to_owned(), "it names no file"),
            ("0.0.0.0".to_owned(), "it has no port; a coordinator's is 7700"),
            ("0.0.0.0:70000".to_owned(), "no such port as `70000`"),
        ] {
            let error = Listener::bind(&address).await.unwrap_err().to_string();
            let begins = format!("cannot listen on {address}: ");
            assert!(error.starts_with(&begins) && error.contains(reason), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a socket");
    }
}
