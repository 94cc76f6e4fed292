//! The service that workers call.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use lyceum_common::ids::WorkerId;
use lyceum_common::wire::{
    Hello, Item, Lost, Reader, WORK_PATH, Welcome, WireError, Writer, answer, check_version,
    digest, pb,
};
use pb::worker_message::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, async_trait};

use super::member::{self, Applicant};
use super::outbound::Outbound;
use super::{ServiceParts, pack};

/// How long a worker has for its first message.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service: calls of `Work` go past the generated code, whose copies of payloads cost more than all else in a step.
#[derive(Clone, Debug)]
pub(crate) struct FarmService {
    packs: pb::FarmServer<Packs>,
    parts: Arc<ServiceParts>,
    workers: Arc<AtomicU64>,
}

impl FarmService {
    pub(super) fn new(parts: Arc<ServiceParts>) -> Self {
        let packs = pb::FarmServer::new(Packs(Arc::clone(&parts)));
        Self { packs, parts, workers: Arc::new(AtomicU64::new(1)) }
    }

    /// Welcomes a worker, and returns what it is sent.
    async fn work(self, mut inbound: Reader<pb::WorkerMessage>) -> Result<Body, Status> {
        let first = tokio::time::timeout(PATIENCE, inbound.next()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))?;
        let hello = match first {
            Ok(Some(Item::Message(pb::WorkerMessage { message: Some(Message::Hello(hello)) }))) => {
                hello
            }
            Ok(_) => return Err(invalid(&WireError::missing("hello"))),
            Err(Lost::Invalid(error)) => return Err(invalid(&error)),
            Err(Lost::Ended(status)) => return Err(status),
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
        tokio::spawn(member::admit(applicant, self.parts));
        Ok(Body::new(Writer::of_coordinator(ReceiverStream::new(outgoing))))
    }
}

impl NamedService for FarmService {
    const NAME: &'static str = <pb::FarmServer<Packs> as NamedService>::NAME;
}

impl tonic::codegen::Service<http::Request<Body>> for FarmService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != WORK_PATH {
            return self.packs.call(request);
        }
        let service = self.clone();
        Box::pin(async move { Ok(answer(service.work(Reader::new(request.into_body())).await)) })
    }
}

/// What the generated code serves.
#[derive(Debug)]
struct Packs(Arc<ServiceParts>);

#[async_trait]
impl pb::Farm for Packs {
    type WorkStream = tokio_stream::Empty<Result<pb::CoordinatorMessage, Status>>;

    async fn work(
        &self,
        _: Request<tonic::Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        Err(Status::internal("a membership goes past the generated code"))
    }

    type FetchPackStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<pb::Chunk, Status>> + Send>>;

    async fn fetch_pack(
        &self,
        request: Request<pb::PackRequest>,
    ) -> Result<Response<Self::FetchPackStream>, Status> {
        let wanted = digest(&request.into_inner().digest, "pack_request.digest");
        let wanted = wanted.map_err(|error| invalid(&error))?;
        let pack = self.0.pack.as_ref().filter(|pack| pack.digest() == wanted);
        let pack =
            pack.ok_or_else(|| Status::not_found(format!("the run has no pack {wanted}")))?;
        let chunks = pack::stream(Arc::clone(pack)).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
}

fn invalid(error: &WireError) -> Status {
    Status::invalid_argument(error.to_string())
}
