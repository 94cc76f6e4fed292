//! Connections that have to begin at once. HTTP/2 answers for a connection that has begun, by its pings; one that never does
//! would be held for ever, and its descriptor with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// The bytes that an HTTP/2 connection begins with.
const PREFACE: usize = 24;

/// A connection that fails where its peer has not begun in time.
pub(crate) struct Prompt<S> {
    stream: S,
    /// How many bytes of the beginning are still to come, and until when.
    beginning: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Prompt<S> {
    /// One that has so much time to begin, from now on.
    pub(crate) fn new(stream: S, time: Duration) -> Self {
        Self { stream, beginning: Some((PREFACE, Box::pin(sleep(time)))) }
    }
}

impl<S: Connected> Connected for Prompt<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, beginning } = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        if let Some((missing, late)) = beginning {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                *beginning = None;
            } else if read.is_pending() && late.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_does_not_begin_is_cut_off_and_who_has_begun_may_be_silent() {
        for sent in [0, 1, PREFACE - 1] {
            let (mut peer, ours) = duplex(64);
            let mut ours = Prompt::new(ours, TIME);
            peer.write_all(&[7; PREFACE][..sent]).await.unwrap();
            let mut read = Vec::new();
            let error = ours.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((error.kind(), read.len()), (io::ErrorKind::TimedOut, sent));
        }
        let (mut peer, ours) = duplex(64);
        let mut ours = Prompt::new(ours, TIME);
        peer.write_all(&[7; PREFACE]).await.unwrap();
        let mut read = vec![0; PREFACE];
        ours.read_exact(&mut read).await.unwrap();
        tokio::time::advance(10 * TIME).await;
        let silent = tokio::time::timeout(TIME, ours.read(&mut read)).await;
        assert!(silent.is_err(), "{silent:?}");
        ours.write_all(b"on we go").await.unwrap();
    }
}
