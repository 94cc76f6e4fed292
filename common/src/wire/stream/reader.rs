//! One direction of a stream, as an HTTP body brings it: messages, and the bytes of chunks piece by piece.

use std::marker::PhantomData;
use std::pin::Pin;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Envelope, HEAD, read_varint, tag_of_data};
use crate::wire::{CHUNK_BYTES, WireError};

/// Messages that are longer are refused: far beyond a configuration with its layout.
const LONGEST: usize = 4 << 20;
/// The most bytes that a chunk's head takes behind the message's own.
const CHUNK_HEAD: usize = 12;

/// Something that came.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<M> {
    /// A message that is no chunk.
    Message(M),
    /// The next bytes of a payload, never none: a chunk, or a part of one.
    Piece(Bytes),
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The peer ended the stream, or is gone.
    #[error(transparent)]
    Ended(#[from] Status),
    /// What came is not of the protocol.
    #[error(transparent)]
    Invalid(#[from] WireError),
}

/// Reads what comes.
#[derive(Debug)]
pub struct Reader<M> {
    body: Body,
    /// Bytes that were not taken yet.
    bytes: Bytes,
    /// How many bytes of the chunk are still to come.
    left: usize,
    message: PhantomData<fn() -> M>,
}

impl<M: Envelope> Reader<M> {
    /// Reads a body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        Self { body, bytes: Bytes::new(), left: 0, message: PhantomData }
    }

    /// What comes next; none at the end of a stream that ended in order. May be dropped and called again.
    ///
    /// # Errors
    /// Where the stream ended otherwise, or what came is not of the protocol.
    pub async fn next(&mut self) -> Result<Option<Item<M>>, Lost> {
        loop {
            if let Some(item) = self.take()? {
                return Ok(Some(item));
            }
            let body = &mut self.body;
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
            match frame {
                None => return Ok(None),
                Some(Err(status)) => return Err(Lost::Ended(status)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.push(data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let status = Status::from_header_map(&trailers);
                        let failed = status.filter(|status| status.code() != Code::Ok);
                        return failed.map_or(Ok(None), |status| Err(Lost::Ended(status)));
                    }
                },
            }
        }
    }

    /// Adds bytes behind those that were not taken yet: few, where they are not a whole message.
    fn push(&mut self, data: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = data;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.bytes.len() + data.len());
        joined.extend_from_slice(&self.bytes);
        joined.extend_from_slice(&data);
        self.bytes = joined.freeze();
    }

    /// What the bytes that are there begin with; none where more must come first.
    fn take(&mut self) -> Result<Option<Item<M>>, Lost> {
        if self.left == 0 && !self.enter_chunk()? {
            return self.take_message();
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let piece = self.bytes.split_to(self.left.min(self.bytes.len()));
        self.left -= piece.len();
        Ok(Some(Item::Piece(piece)))
    }

    /// Length of the message at the start; none where its head is not there yet.
    fn length(&self) -> Result<Option<usize>, Lost> {
        let Some((head, _)) = self.bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [compressed, length @ ..] = *head;
        if compressed != 0 {
            return Err(Lost::Invalid(WireError::new(
                "message",
                "compressed, which nobody asked for",
            )));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            let problem = format!("{length} bytes, and at most {LONGEST} are allowed");
            return Err(Lost::Invalid(WireError::new("message", problem)));
        }
        Ok(Some(length))
    }

    /// Steps over a chunk's head, where one as everybody writes it is at the start.
    fn enter_chunk(&mut self) -> Result<bool, Lost> {
        let Some(length) = self.length()? else { return Ok(false) };
        let behind = &self.bytes[HEAD..];
        if behind.len() < length.min(CHUNK_HEAD) || behind.first() != Some(&M::CHUNK) {
            return Ok(false);
        }
        let data = || {
            let (inner, first) = read_varint(behind.get(1..)?)?;
            let at = 1 + first;
            let tag = (behind.get(at) == Some(&tag_of_data())).then_some(1)?;
            let (data, second) = read_varint(behind.get(at + tag..)?)?;
            let head = at + tag + second;
            let is_all = at + inner as usize == length && head + data as usize == length;
            is_all.then_some((head, data as usize))
        };
        let Some((head, data)) = data() else { return Ok(false) };
        check_chunk(data)?;
        self.bytes.advance(HEAD + head);
        self.left = data;
        Ok(true)
    }

    fn take_message(&mut self) -> Result<Option<Item<M>>, Lost> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.bytes.len() < HEAD + length {
            return Ok(None);
        }
        self.bytes.advance(HEAD);
        let message = M::decode(self.bytes.split_to(length));
        let message = message.map_err(|error| WireError::new("message", error.to_string()))?;
        Ok(Some(match message.into_chunk() {
            Err(message) => Item::Message(message),
            Ok(chunk) => {
                check_chunk(chunk.data.len())?;
                Item::Piece(chunk.data)
            }
        }))
    }
}

fn check_chunk(length: usize) -> Result<(), WireError> {
    if length == 0 || length > CHUNK_BYTES {
        let problem = format!("{length} bytes, and 1 to {CHUNK_BYTES} are allowed");
        return Err(WireError::new("chunk.data", problem));
    }
    Ok(())
}
