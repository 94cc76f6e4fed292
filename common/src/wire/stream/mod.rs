//! The `Work` stream as gRPC over HTTP/2 has it, without a copy of a payload's bytes on our side of the connection.
//!
//! The generated code copies every message into a buffer of its own before it is sent, and every frame that arrives. Here a
//! chunk's head and its bytes are sent as they lie, and a chunk's bytes are handed on as frames bring them. On the wire it
//! is the protocol of `proto/lyceum/v1`, to the byte: a peer need not know.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::generated::{self, coordinator_message, worker_message};
pub use reader::{Item, Lost, Reader};
pub use writer::{Outgoing, Writer};

/// Where workers join.
pub const WORK_PATH: &str = "/lyceum.v1.Farm/Work";
/// What gRPC calls itself.
pub(super) const CONTENT_TYPE: &str = "application/grpc";

/// A message of one direction of the stream.
pub trait Envelope: prost::Message + Default {
    /// The first byte of a message that is a chunk.
    const CHUNK: u8;

    /// The chunk, where it is one.
    ///
    /// # Errors
    /// With the message, where it is another.
    fn into_chunk(self) -> Result<generated::Chunk, Self>;
}

/// A field's number and the wire type of what has a length.
const fn tag(field: u8) -> u8 {
    field << 3 | 2
}

impl Envelope for generated::WorkerMessage {
    const CHUNK: u8 = tag(4);

    fn into_chunk(self) -> Result<generated::Chunk, Self> {
        match self.message {
            Some(worker_message::Message::Chunk(chunk)) => Ok(chunk),
            _ => Err(self),
        }
    }
}

impl Envelope for generated::CoordinatorMessage {
    const CHUNK: u8 = tag(3);

    fn into_chunk(self) -> Result<generated::Chunk, Self> {
        match self.message {
            Some(coordinator_message::Message::Chunk(chunk)) => Ok(chunk),
            _ => Err(self),
        }
    }
}

/// Opens a `Work` stream: sends what `writer` has, and reads what comes.
///
/// # Errors
/// Where the coordinator cannot be reached, or refuses.
pub async fn dial(
    channel: &mut Channel,
    writer: Body,
) -> Result<Reader<generated::CoordinatorMessage>, Status> {
    let request = http::Request::post(WORK_PATH)
        .version(http::Version::HTTP_2)
        .header(http::header::CONTENT_TYPE, CONTENT_TYPE)
        .header(http::header::TE, "trailers")
        .body(writer)
        .map_err(|error| Status::internal(error.to_string()))?;
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .map_err(|error| Status::from_error(Box::new(error)))?;
    let response = channel.call(request).await;
    let response = response.map_err(|error| Status::from_error(Box::new(error)))?;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => return Err(status),
        Some(_) => {}
        None if response.status().is_success() => {}
        // As gRPC maps it: there is nothing of this name.
        None if response.status() == http::StatusCode::NOT_FOUND => {
            return Err(Status::unimplemented("HTTP status 404"));
        }
        None => return Err(Status::unknown(format!("HTTP status {}", response.status()))),
    }
    Ok(Reader::new(response.into_body()))
}

/// The answer to a call of `Work`: the stream, or why there is none.
#[must_use]
pub fn answer(stream: Result<Body, Status>) -> http::Response<Body> {
    let body = match stream {
        Ok(body) => body,
        Err(status) => return status.into_http(),
    };
    let mut response = http::Response::new(body);
    let content_type = http::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}

/// Protobuf's variable-length numbers: at most five bytes for what a chunk's head has.
fn varint(mut number: u32, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A number at the start of `bytes`, and how many bytes it takes; none where it is cut short or too long.
fn read_varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0u32;
    for (at, &byte) in bytes.iter().take(5).enumerate() {
        number |= u32::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte < 0x80 {
            return Some((number, at + 1));
        }
    }
    None
}

/// The head of a gRPC message: not compressed, and its length.
const HEAD: usize = 5;

/// What stands before the bytes of a chunk.
fn chunk_head(tag: u8, data: &Bytes) -> Option<Bytes> {
    let length = u32::try_from(data.len()).ok()?;
    let mut field = vec![tag_of_data()];
    varint(length, &mut field);
    let inner = length.checked_add(u32::try_from(field.len()).ok()?)?;
    let mut message = vec![tag];
    varint(inner, &mut message);
    message.extend_from_slice(&field);
    let whole = length.checked_add(u32::try_from(message.len()).ok()?)?;
    let mut head = Vec::with_capacity(HEAD + message.len());
    head.push(0);
    head.extend_from_slice(&whole.to_be_bytes());
    head.extend_from_slice(&message);
    Some(head.into())
}

/// The tag of `Chunk.data`.
const fn tag_of_data() -> u8 {
    tag(1)
}
