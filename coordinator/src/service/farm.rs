//! The service that workers call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lyceum_common::ids::WorkerId;
use lyceum_common::wire::{Hello, Welcome, WireError, check_version, digest, pb};
use pb::worker_message::Message;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::member::{self, Applicant};
use super::outbound::{Outbound, Outgoing};
use super::{ServiceParts, pack};

/// How long a worker has for its first message.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct FarmService {
    parts: Arc<ServiceParts>,
    workers: AtomicU64,
}

impl FarmService {
    pub(super) fn new(parts: Arc<ServiceParts>) -> Self {
        Self { parts, workers: AtomicU64::new(1) }
    }
}

#[async_trait]
impl pb::Farm for FarmService {
    type WorkStream = ReceiverStream<Outgoing>;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(PATIENCE, inbound.message());
        let first = first.await.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(invalid(&WireError::missing("hello")));
        };
        check_version(hello.protocol_version)
            .map_err(|mismatch| Status::failed_precondition(mismatch.to_string()))?;
        let hello = Hello::try_from(hello).map_err(|error| invalid(&error))?;

        let worker = WorkerId(self.workers.fetch_add(1, Ordering::Relaxed));
        let welcome = Welcome {
            worker,
            config: self.parts.config.clone(),
            layout: (*self.parts.layout).clone(),
            pack: self.parts.info,
        };
        let (outbound, outgoing) = Outbound::new();
        outbound.welcome(welcome.into()).map_err(|_| Status::unavailable("the worker is gone"))?;
        let applicant = Applicant { worker, hello, inbound, outbound };
        tokio::spawn(member::admit(applicant, Arc::clone(&self.parts)));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    type FetchPackStream = Pin<Box<dyn Stream<Item = Result<pb::Chunk, Status>> + Send>>;

    async fn fetch_pack(
        &self,
        request: Request<pb::PackRequest>,
    ) -> Result<Response<Self::FetchPackStream>, Status> {
        let wanted = digest(&request.into_inner().digest, "pack_request.digest");
        let wanted = wanted.map_err(|error| invalid(&error))?;
        let pack = self.parts.pack.as_ref().filter(|pack| pack.digest() == wanted);
        let pack =
            pack.ok_or_else(|| Status::not_found(format!("the run has no pack {wanted}")))?;
        let chunks = pack::stream(Arc::clone(pack)).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
}

fn invalid(error: &WireError) -> Status {
    Status::invalid_argument(error.to_string())
}
