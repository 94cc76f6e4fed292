use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Item, Lost, Outgoing, Reader, Writer};
use crate::wire::CHUNK_BYTES;
use crate::wire::generated::{self, WorkerMessage, worker_message};

/// Bytes that come in frames.
struct Frames(VecDeque<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// What a future that never waits comes to.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn ready() -> WorkerMessage {
    let message = worker_message::Message::Ready(generated::Ready {});
    WorkerMessage { message: Some(message) }
}

fn submission(size: u64) -> WorkerMessage {
    let submission = generated::Submission { assignment: None, partials: Vec::new(), size };
    WorkerMessage { message: Some(worker_message::Message::Submission(submission)) }
}

fn chunk(data: Vec<u8>) -> WorkerMessage {
    let chunk = generated::Chunk { data: data.into() };
    WorkerMessage { message: Some(worker_message::Message::Chunk(chunk)) }
}

/// As gRPC has it: not compressed, the length, the message.
fn framed(message: &WorkerMessage) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    [&[0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat()
}

fn written(items: Vec<Outgoing<WorkerMessage>>) -> Vec<u8> {
    let mut writer = Writer::of_worker(tokio_stream::iter(items.into_iter().map(Ok::<_, Status>)));
    let mut bytes = Vec::new();
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut writer).poll_frame(context));
        let Some(frame) = now(frame) else { return bytes };
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
}

/// What is read of bytes that are cut in frames; pieces joined.
fn read(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Item<WorkerMessage>>, Lost> {
    let (mut frames, mut rest) = (VecDeque::new(), Bytes::copy_from_slice(bytes));
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        frames.push_back(rest.split_to((*cut).min(rest.len())));
    }
    let mut reader = Reader::new(Body::new(Frames(frames)));
    let mut items = Vec::new();
    while let Some(item) = now(reader.next())? {
        if let Item::Piece(piece) = &item
            && let Some(Item::Piece(before)) = items.last_mut()
        {
            *before = [&before[..], &piece[..]].concat().into();
        } else {
            items.push(item);
        }
    }
    Ok(items)
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_generated_code_writes_and_is_read_whatever_the_frames(
        payload in vec(any::<u8>(), 1..3000), cuts in vec(1usize..700, 1..20), size: u64
    ) {
        let bytes = written(vec![
            Outgoing::Message(ready()),
            Outgoing::Message(submission(size)),
            Outgoing::Payload(payload.clone().into()),
        ]);
        let generated = [ready(), submission(size), chunk(payload.clone())];
        prop_assert_eq!(&bytes, &generated.iter().flat_map(framed).collect::<Vec<_>>());
        let expected =
            [Item::Message(ready()), Item::Message(submission(size)), Item::Piece(payload.into())];
        prop_assert_eq!(read(&bytes, &cuts).unwrap(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), cuts in vec(1usize..50, 1..5)) {
        let _ = read(&bytes, &cuts);
        let _ = read(&[&[0, 0, 0, 0, bytes.len() as u8, super::tag(4)][..], &bytes[..]].concat(), &cuts);
    }
}

#[test]
fn a_chunk_in_another_encoding_is_a_chunk() {
    // The field twice: the later one counts.
    let mut message = chunk(vec![1, 2]).encode_to_vec();
    message.extend(chunk(vec![3, 4, 5]).encode_to_vec());
    let bytes = [&[0, 0, 0, 0, message.len() as u8][..], &message[..]].concat();
    let items = read(&bytes, &[3]).unwrap();
    assert_eq!(items, [Item::Piece(Bytes::from_static(&[3, 4, 5]))]);
}

#[test]
fn what_is_not_of_the_protocol_is_refused() {
    let problem = |bytes: &[u8]| read(bytes, &[4096]).unwrap_err().to_string();
    assert!(problem(&[1, 0, 0, 0, 0]).contains("compressed"));
    assert!(problem(&[0, 255, 0, 0, 0]).contains("at most"));
    assert!(problem(&framed(&chunk(Vec::new()))).starts_with("chunk.data: 0 bytes"));
    assert!(problem(&framed(&chunk(vec![0; CHUNK_BYTES + 1]))).starts_with("chunk.data: "));
    assert!(problem(&[0, 0, 0, 0, 1, 7]).starts_with("message: "));
}

#[test]
fn a_coordinators_status_comes_last_and_once() {
    let status = Status::permission_denied("no");
    let queue = tokio_stream::iter([
        Ok(Outgoing::<generated::CoordinatorMessage>::Payload(Bytes::from_static(b"abc"))),
        Err(status),
        Ok(Outgoing::Payload(Bytes::from_static(b"never"))),
    ]);
    let mut reader =
        Reader::<generated::CoordinatorMessage>::new(Body::new(Writer::of_coordinator(queue)));
    assert_eq!(now(reader.next()).unwrap(), Some(Item::Piece(Bytes::from_static(b"abc"))));
    let Err(Lost::Ended(status)) = now(reader.next()) else { panic!("no status") };
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "no"));
    assert!(now(reader.next()).unwrap().is_none());
}
