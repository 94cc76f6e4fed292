//! A coordinator that says the same to every worker, whatever comes: what a worker makes of it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lyceum_common::assignment::{Assignment, Job};
use lyceum_common::ids::{Digest, EpisodeRange, MetaStep, Split, WorkerId};
use lyceum_common::layout::{Initialisation, Layout};
use lyceum_common::pack::PackBuilder;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::wire::{PackInfo, Welcome, digest_bytes, pb};
use lyceum_coordinator::enterprise::layout_of;
use lyceum_worker::session::{Ended, PackCacheError, SessionError};
use pb::coordinator_message::Message as Down;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::mpsc;
#[cfg(unix)]
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::support::{config, options, worker_at};

/// What every worker is sent, and the bytes of whichever pack it asks for, if there is one to be had.
struct Script {
    messages: Vec<Down>,
    pack: Option<Vec<u8>>,
}

#[async_trait]
impl pb::Farm for Script {
    type WorkStream = ReceiverStream<Result<pb::CoordinatorMessage, Status>>;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let (down, messages) = mpsc::channel(self.messages.len());
        for message in &self.messages {
            let message = pb::CoordinatorMessage { message: Some(message.clone()) };
            down.try_send(Ok(message)).unwrap();
        }
        // It listens, and holds the line, until the worker hangs up.
        let mut up = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(_)) = up.message().await {}
            drop(down);
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    type FetchPackStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::Chunk, Status>>>;

    async fn fetch_pack(
        &self,
        _: Request<pb::PackRequest>,
    ) -> Result<Response<Self::FetchPackStream>, Status> {
        let pack = self.pack.as_ref();
        let pack = pack.ok_or_else(|| Status::unavailable("the connection is lost"))?;
        let chunk = |data: &[u8]| Ok(pb::Chunk { data: Bytes::copy_from_slice(data) });
        let chunks: Vec<_> = pack.chunks(7).map(chunk).collect();
        Ok(Response::new(tokio_stream::iter(chunks)))
    }
}

/// What a worker comes to that is sent these messages, and can have no pack.
async fn told(messages: Vec<Down>, cache: &Path) -> Result<Ended, SessionError> {
    follow(Script { messages, pack: None }, cache).await
}

/// What a worker comes to whose coordinator follows this script.
async fn follow(script: Script, cache: &Path) -> Result<Ended, SessionError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(pb::FarmServer::new(script));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    worker_at(options(&address, "w", 1, cache), Arc::new(|| ())).await.unwrap()
}

/// What a worker comes to that is sent these messages over a Unix domain socket.
#[cfg(unix)]
async fn told_on_socket(messages: Vec<Down>, cache: &Path) -> Result<Ended, SessionError> {
    let socket = cache.join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:{}", socket.display());
    let script = Script { messages, pack: None };
    let server = Server::builder().add_service(pb::FarmServer::new(script));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    worker_at(options(&address, "w", 1, cache), Arc::new(|| ())).await.unwrap()
}

fn welcome(layout: impl FnOnce(&Layout) -> Layout, pack: Option<PackInfo>) -> Down {
    let config = config(&[]);
    let layout = layout(&layout_of(&config).unwrap());
    Down::Welcome(Welcome { worker: WorkerId(1), config, layout, pack }.into())
}

fn parameters(digest: Digest, bytes: usize) -> Down {
    Down::Parameters(pb::Parameters { digest: digest_bytes(digest), size: bytes as u64 })
}

fn chunk(bytes: usize) -> Down {
    Down::Chunk(pb::Chunk { data: vec![0; bytes].into() })
}

fn assignment(parameters: Digest) -> Down {
    let (job, range) = (Job::Gradient { step: MetaStep(0) }, EpisodeRange::new(0, 2));
    Down::Assignment(Assignment { id: 0, job, parameters, range, episodes: 24 }.into())
}

/// The version whose numbers are all zero, and the bytes of these.
fn zeros() -> (MetaParameters, usize) {
    let layout = layout_of(&config(&[])).unwrap();
    let values = vec![0.0_f32; layout.len()];
    let bytes = 4 * values.len();
    (MetaParameters::new(layout, values).unwrap(), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_its_pack_to_the_runs_end_is_finished() {
    let cache = tempfile::tempdir().unwrap();
    let pack = PackInfo { digest: Digest::of(b"a pack"), size: 6 };
    let script = vec![welcome(Layout::clone, Some(pack)), Down::Finished(pb::Finished {})];
    assert_eq!(told(script, cache.path()).await.unwrap(), Ended::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_parameters_of_the_same_number_and_other_names_are_refused() {
    let renamed = |layout: &Layout| {
        let mut renamed = Layout::new();
        for entry in layout.entries() {
            let name = entry.name.replace("layers.1.", "hidden.");
            renamed.push(name, &entry.shape, entry.role, Initialisation::Constant(0.0));
        }
        renamed
    };
    let cache = tempfile::tempdir().unwrap();
    let error = told(vec![welcome(renamed, None)], cache.path()).await.unwrap_err();
    assert!(matches!(error, SessionError::OtherEntry(_)), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("`hidden.weight`") && error.contains("`layers.1.weight`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_ends_the_worker_with_the_field_named() {
    let (version, bytes) = zeros();
    let other = Digest::of(b"another version");
    let welcome = || welcome(Layout::clone, None);
    for (messages, expected) in [
        (vec![parameters(other, bytes + 4)], "parameters.size: "),
        (vec![parameters(other, bytes), chunk(bytes)], "parameters.digest: not that of"),
        (vec![parameters(other, bytes), chunk(bytes + 4)], "chunk.data: more bytes than"),
        (vec![chunk(4)], "chunk: no payload is under way"),
        (vec![assignment(other)], "assignment.parameters: not the version"),
        (
            vec![parameters(version.digest(), bytes), chunk(bytes), assignment(other)],
            "assignment.parameters: not the version",
        ),
        (vec![welcome()], "message: a second welcome"),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let error = told([vec![welcome()], messages].concat(), cache.path()).await.unwrap_err();
        assert!(matches!(error, SessionError::Wire(_)), "{expected}: {error:?}");
        let error = error.to_string();
        assert!(error.contains(expected), "`{expected}` is not in: {error}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn over_a_unix_domain_socket_a_versions_digest_is_believed() {
    let (version, bytes) = zeros();
    let other = Digest::of(b"another version");
    let messages = vec![
        welcome(Layout::clone, None),
        parameters(other, bytes),
        chunk(bytes),
        assignment(version.digest()),
    ];
    let cache = tempfile::tempdir().unwrap();
    let error = told_on_socket(messages, cache.path()).await.unwrap_err();
    assert!(matches!(error, SessionError::Wire(_)), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("assignment.parameters: not the version"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_not_the_one_announced_is_not_kept() {
    let pack = |ink: u8| {
        let mut pack = PackBuilder::new(1, 1, 1);
        for split in Split::ALL {
            pack.class(split, "a class", vec![ink; 20]);
        }
        pack.in_memory().unwrap()
    };
    let (announced, other) = (pack(1), pack(2));
    let whole = announced.bytes();
    let size = whole.len();
    let info = PackInfo { digest: announced.digest(), size: size as u64 };
    for (sent, problem) in [
        (whole[..size - 1].to_vec(), format!("it ends after {} of {size} bytes", size - 1)),
        ([whole, &[1]].concat(), format!("it is longer than the {size} bytes announced")),
        (other.bytes().to_vec(), format!("its digest is {}", other.digest())),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let messages = vec![welcome(Layout::clone, Some(info))];
        let script = Script { messages, pack: Some(sent) };
        let error = follow(script, cache.path()).await.unwrap_err();
        let SessionError::PackCache(PackCacheError::Other { expected, problem: found }) = error
        else {
            panic!("{problem}: {error:?}")
        };
        assert_eq!((expected, found), (announced.digest(), problem));
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0, "something is kept");
    }
}
