//! One direction of a stream, as an HTTP body: messages, and payloads in chunks that are not copied.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio_stream::Stream;
use tonic::Status;

use super::{Envelope, HEAD, chunk_head};
use crate::wire::http2::FRAME;

/// Something to send.
#[derive(Clone, Debug)]
pub enum Outgoing<M> {
    /// A message.
    Message(M),
    /// A payload, or the next part of one: it goes in chunks.
    Payload(Bytes),
}

/// Sends what comes out of a queue. A status ends the stream; so does the queue's end, which is in order.
#[derive(Debug)]
pub struct Writer<S> {
    queue: S,
    /// Frames that are ready.
    ready: VecDeque<Bytes>,
    /// The rest of a payload.
    payload: Bytes,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
    /// A server that has said its last word.
    Done,
}

impl<S> Writer<S> {
    /// The worker's direction.
    pub fn of_worker(queue: S) -> Self {
        Self { queue, ready: VecDeque::new(), payload: Bytes::new(), role: Role::Client }
    }

    /// The coordinator's direction, which ends with a status.
    pub fn of_coordinator(queue: S) -> Self {
        Self { role: Role::Server, ..Self::of_worker(queue) }
    }

    /// The status at the end.
    fn end(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        if std::mem::replace(&mut self.role, Role::Done) != Role::Server {
            return None;
        }
        let mut trailers = http::HeaderMap::new();
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

impl<M, S> Body for Writer<S>
where
    M: Envelope,
    S: Stream<Item = Result<Outgoing<M>, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if !this.payload.is_empty() {
                let data = this.payload.split_to((FRAME as usize).min(this.payload.len()));
                this.ready.extend(chunk_head(M::CHUNK, &data));
                this.ready.push_back(data);
                continue;
            }
            if this.role == Role::Done {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.queue).poll_next(context)) {
                Some(Ok(Outgoing::Message(message))) => this.ready.push_back(encode(&message)),
                Some(Ok(Outgoing::Payload(payload))) => this.payload = payload,
                Some(Err(status)) => return Poll::Ready(this.end(&status)),
                None => return Poll::Ready(this.end(&Status::ok(""))),
            }
        }
    }
}

/// A message behind its head.
fn encode(message: &impl Envelope) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    // Messages other than chunks are far below 4 GB.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut bytes);
    bytes.freeze()
}
