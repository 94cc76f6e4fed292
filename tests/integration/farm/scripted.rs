//! A coordinator that says the same to every worker, whatever comes: what a worker makes of it.

use std::path::Path;
use std::sync::Arc;

use lyceum_common::ids::{Digest, WorkerId};
use lyceum_common::layout::{Initialisation, Layout};
use lyceum_common::wire::{PackInfo, Welcome, pb};
use lyceum_coordinator::enterprise::layout_of;
use lyceum_worker::session::{Ended, SessionError};
use pb::coordinator_message::Message as Down;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::support::{config, options, worker_at};

/// What every worker is sent. There is no pack to be had.
struct Script(Vec<Down>);

#[async_trait]
impl pb::Farm for Script {
    type WorkStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<pb::CoordinatorMessage, Status>>>;

    async fn work(
        &self,
        _: Request<Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let message = |message: &Down| pb::CoordinatorMessage { message: Some(message.clone()) };
        let messages: Vec<_> = self.0.iter().map(|said| Ok(message(said))).collect();
        Ok(Response::new(tokio_stream::iter(messages)))
    }

    type FetchPackStream = tokio_stream::Empty<Result<pb::Chunk, Status>>;

    async fn fetch_pack(
        &self,
        _: Request<pb::PackRequest>,
    ) -> Result<Response<Self::FetchPackStream>, Status> {
        Err(Status::unavailable("the connection is lost"))
    }
}

/// What a worker comes to that is sent these messages.
async fn told(script: Vec<Down>, cache: &Path) -> Result<Ended, SessionError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(pb::FarmServer::new(Script(script)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    worker_at(options(&address, "w", 1, cache), Arc::new(|| ())).await.unwrap()
}

fn welcome(layout: impl FnOnce(&Layout) -> Layout, pack: Option<PackInfo>) -> Down {
    let config = config(&[]);
    let layout = layout(&layout_of(&config).unwrap());
    Down::Welcome(Welcome { worker: WorkerId(1), config, layout, pack }.into())
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
