//! The bytes of a step of [`super::step`] over plain sockets between threads that do nothing else: what no farm on these
//! sockets can be faster than.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Bytes of a read or a write at most.
const PIECE: usize = 1 << 18;

/// The ends of a connection.
type Ends<S> = io::Result<(S, S)>;

/// Milliseconds of each exchange: `bytes` to each of `workers` threads, and as many back from each.
pub(super) fn exchanges(
    unix: bool,
    workers: usize,
    bytes: usize,
    time: Duration,
) -> io::Result<Vec<f64>> {
    if unix { over(unix_pair, workers, bytes, time) } else { over(tcp_pair, workers, bytes, time) }
}

fn tcp_pair() -> Ends<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

#[cfg(unix)]
fn unix_pair() -> Ends<std::os::unix::net::UnixStream> {
    std::os::unix::net::UnixStream::pair()
}

#[cfg(not(unix))]
fn unix_pair() -> Ends<TcpStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix domain sockets"))
}

fn over<S: Read + Write + Send>(
    pair: impl Fn() -> Ends<S>,
    workers: usize,
    bytes: usize,
    time: Duration,
) -> io::Result<Vec<f64>> {
    let pairs = (0..workers).map(|_| pair()).collect::<io::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel();
        let mut begins = Vec::new();
        for (mut near, mut far) in pairs {
            scope.spawn(move || {
                let mut buffer = vec![1; bytes];
                // It ends with its connection.
                while receive(&mut far, &mut buffer).is_ok() && send(&mut far, &buffer).is_ok() {}
            });
            let (begin, begun) = mpsc::channel::<()>();
            let done = done.clone();
            begins.push(begin);
            scope.spawn(move || {
                let mut buffer = vec![1; bytes];
                for () in begun {
                    let sent = send(&mut near, &buffer);
                    // Where nobody waits for it any more, another exchange has failed.
                    let _ = done.send(sent.and_then(|()| receive(&mut near, &mut buffer)));
                }
            });
        }
        let (mut times, started) = (Vec::new(), Instant::now());
        while times.is_empty() || started.elapsed() < time {
            let round = Instant::now();
            for begin in &begins {
                begin.send(()).map_err(io::Error::other)?;
            }
            for _ in 0..workers {
                ended.recv().map_err(io::Error::other)??;
            }
            times.push(1e3 * round.elapsed().as_secs_f64());
        }
        Ok(times)
    })
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(PIECE).try_for_each(|piece| stream.write_all(piece))
}

fn receive(stream: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    bytes.chunks_mut(PIECE).try_for_each(|piece| stream.read_exact(piece))
}
