//! One membership: from the hello to the end of the stream.

use std::sync::Arc;

use lyceum_common::assignment::Assignment;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::Digest;
use lyceum_common::layout::Layout;
use lyceum_common::pack::Pack;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::seed::Seed;
use lyceum_common::wire::{
    Assembly, Hello, PackInfo, Submission, Welcome, WireError, chunks, digest, digest_bytes, pb,
};
use pb::coordinator_message::Message;
use pb::worker_message::Message as Answer;
use tokio::select;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::endpoint::describe;
use super::{Builder, Interruption, SessionError, SessionOptions, pack_cache};
use crate::pool::{Computation, Computed, Pool};

/// Messages to the coordinator that may wait for the connection.
const WAITING: usize = 16;

/// What a run is computed with: kept over a lost connection.
pub(super) struct Engine {
    config: RunConfig,
    pack: Option<Digest>,
    pub(super) pool: Pool,
}

/// A membership that begins or goes on.
pub(super) struct Membership<'s> {
    pub(super) options: &'s SessionOptions,
    pub(super) build: &'s Builder,
    pub(super) engine: &'s mut Option<Engine>,
    /// Whether the coordinator has welcomed this worker.
    pub(super) joined: bool,
}

impl Membership<'_> {
    /// Joins, and works until the run is over.
    pub(super) async fn run(&mut self, endpoint: &Endpoint) -> Result<(), Interruption> {
        let channel = endpoint.connect().await;
        let channel = channel.map_err(|error| Interruption::Lost(describe(&error)))?;
        let mut client = pb::FarmClient::new(channel);
        let (outbound, messages) = mpsc::channel(WAITING);
        let hello = Hello {
            name: self.options.name.clone(),
            threads: u32::try_from(self.options.threads.get()).unwrap_or(u32::MAX),
            instruction_set: self.options.instruction_set.clone(),
        };
        send(&outbound, Answer::Hello(hello.into())).await?;
        let stream = client.work(ReceiverStream::new(messages)).await;
        let mut inbound = stream.map_err(|status| self.interruption(&status))?.into_inner();

        let Some(Message::Welcome(welcome)) = self.next(&mut inbound).await? else {
            return Err(WireError::missing("welcome").into());
        };
        let welcome = Welcome::try_from(welcome)?;
        tracing::info!(worker = %welcome.worker, run = welcome.config.name, "joined");
        self.joined = true;
        self.prepare(&mut client, &welcome).await?;
        let Some(engine) = self.engine.as_ref() else { return Ok(()) };
        send(&outbound, Answer::Ready(pb::Ready {})).await?;

        let (results, mut computed) = mpsc::unbounded_channel::<(Assignment, Computed)>();
        let mut desk = Desk {
            pool: &engine.pool,
            layout: Arc::new(welcome.layout),
            seed: Seed::of_run(welcome.config.seed),
            arriving: None,
            version: None,
            results,
        };
        loop {
            select! {
                message = self.next(&mut inbound) => match message? {
                    None => return Ok(()),
                    Some(message) => desk.take(message)?,
                },
                Some((assignment, partials)) = computed.recv() => {
                    let submission = Submission { assignment, partials: partials? };
                    submit(&outbound, &engine.pool, submission).await?;
                }
            }
        }
    }

    /// The next message; none where the run is over.
    async fn next(
        &self,
        inbound: &mut Streaming<pb::CoordinatorMessage>,
    ) -> Result<Option<Message>, Interruption> {
        match inbound.message().await {
            Ok(Some(pb::CoordinatorMessage { message: Some(Message::Finished(_)) })) => Ok(None),
            Ok(Some(pb::CoordinatorMessage { message: Some(message) })) => Ok(Some(message)),
            Ok(Some(pb::CoordinatorMessage { message: None })) => {
                Err(WireError::missing("message").into())
            }
            Ok(None) => Err(Interruption::Lost("the coordinator hung up".into())),
            Err(status) => Err(self.interruption(&status)),
        }
    }

    /// Whether a status is worth another attempt.
    fn interruption(&self, status: &Status) -> Interruption {
        let refusals = [
            Code::FailedPrecondition,
            Code::InvalidArgument,
            Code::PermissionDenied,
            Code::Unauthenticated,
            Code::Unimplemented,
        ];
        if refusals.contains(&status.code()) {
            let url = self.options.coordinator.clone();
            let reason = status.message().to_owned();
            return Interruption::Fatal(SessionError::Refused { url, reason });
        }
        Interruption::Lost(describe(status))
    }

    /// Has an engine for this run: the one of the membership before, or a new one.
    async fn prepare(
        &mut self,
        client: &mut pb::FarmClient<Channel>,
        welcome: &Welcome,
    ) -> Result<(), Interruption> {
        let digest = welcome.pack.map(|pack| pack.digest);
        if self
            .engine
            .as_ref()
            .is_some_and(|engine| engine.config == welcome.config && engine.pack == digest)
        {
            return Ok(());
        }
        let pack = match welcome.pack {
            None => None,
            Some(info) => Some(self.pack(client, info).await?),
        };
        let work = (self.build)(&welcome.config, pack).map_err(SessionError::Build)?;
        let (expected, found) = (welcome.layout.len(), work.parameters());
        if found != expected {
            return Err(SessionError::OtherLayout { expected, found }.into());
        }
        let pool = Pool::new(work, self.options.threads).map_err(SessionError::Threads)?;
        *self.engine = Some(Engine { config: welcome.config.clone(), pack: digest, pool });
        Ok(())
    }

    /// The run's pack: from the cache, else from the coordinator.
    async fn pack(
        &self,
        client: &mut pb::FarmClient<Channel>,
        info: PackInfo,
    ) -> Result<Arc<Pack>, Interruption> {
        let cache = &self.options.cache;
        if let Some(pack) = pack_cache::get(cache, info).await {
            return Ok(pack);
        }
        let request = pb::PackRequest { digest: digest_bytes(info.digest) };
        let stream = client.fetch_pack(request).await;
        let mut stream = stream.map_err(|status| self.interruption(&status))?.into_inner();
        let incoming = pack_cache::put(cache.clone(), info);
        while let Some(chunk) =
            stream.message().await.map_err(|status| self.interruption(&status))?
        {
            if incoming.chunks.send(chunk.data).await.is_err() {
                // The writer says why.
                break;
            }
        }
        drop(incoming.chunks);
        let pack = incoming.pack.await.map_err(|error| Interruption::Lost(error.to_string()))?;
        Ok(pack.map_err(SessionError::PackCache)?)
    }
}

/// Where what comes in is made into work.
struct Desk<'s> {
    pool: &'s Pool,
    layout: Arc<Layout>,
    seed: Seed<lyceum_common::seed::OfRun>,
    /// A version whose chunks are on their way.
    arriving: Option<(Digest, Assembly)>,
    version: Option<MetaParameters>,
    results: mpsc::UnboundedSender<(Assignment, Computed)>,
}

impl Desk<'_> {
    fn take(&mut self, message: Message) -> Result<(), WireError> {
        match message {
            Message::Parameters(parameters) => {
                let digest = digest(&parameters.digest, "parameters.digest")?;
                let assembly =
                    Assembly::new(1, self.layout.len(), parameters.size, "parameters.size")?;
                self.arriving = Some((digest, assembly));
                Ok(())
            }
            Message::Chunk(chunk) => {
                let unexpected = || WireError::new("chunk", "no payload is under way");
                let (_, assembly) = self.arriving.as_mut().ok_or_else(unexpected)?;
                assembly.add(&chunk)?;
                self.arrive()
            }
            Message::Assignment(assignment) => self.assign(assignment.try_into()?),
            Message::Refusal(refusal) => {
                tracing::warn!(reason = refusal.reason, "a submission was refused");
                Ok(())
            }
            // The stream's end is the caller's affair.
            Message::Finished(_) => Ok(()),
            Message::Welcome(_) => Err(WireError::new("message", "a second welcome")),
        }
    }

    /// Takes a version over whose last chunk has come.
    fn arrive(&mut self) -> Result<(), WireError> {
        let Some((digest, assembly)) =
            self.arriving.take_if(|(_, assembly)| assembly.is_complete())
        else {
            return Ok(());
        };
        let values = assembly.finish()?.pop().unwrap_or_default();
        let version = MetaParameters::new(Arc::clone(&self.layout), values)
            .map_err(|error| WireError::new("parameters", error.to_string()))?;
        if version.digest() != digest {
            return Err(WireError::new("parameters.digest", "not that of the numbers that came"));
        }
        self.version = Some(version);
        Ok(())
    }

    fn assign(&self, assignment: Assignment) -> Result<(), WireError> {
        let version =
            self.version.as_ref().filter(|version| version.digest() == assignment.parameters);
        let version = version.ok_or_else(|| {
            WireError::new("assignment.parameters", "not the version that came last")
        })?;
        let computation = Computation {
            job: assignment.job,
            parameters: Arc::clone(version.values()),
            seed: self.seed,
            episodes: assignment.episodes,
            range: assignment.range,
        };
        let results = self.results.clone();
        // Where nobody listens any more the membership is over.
        self.pool.submit(computation, move |computed| drop(results.send((assignment, computed))));
        Ok(())
    }
}

/// Sends a submission, and gives its buffers back.
async fn submit(
    outbound: &mpsc::Sender<pb::WorkerMessage>,
    pool: &Pool,
    submission: Submission,
) -> Result<(), Interruption> {
    let (header, payload) = submission.to_wire();
    submission.partials.into_iter().for_each(|partial| pool.recycle(partial.gradient));
    send(outbound, Answer::Submission(header)).await?;
    for chunk in chunks(payload) {
        send(outbound, Answer::Chunk(chunk)).await?;
    }
    Ok(())
}

async fn send(
    outbound: &mpsc::Sender<pb::WorkerMessage>,
    message: Answer,
) -> Result<(), Interruption> {
    let sent = outbound.send(pb::WorkerMessage { message: Some(message) }).await;
    sent.map_err(|_| Interruption::Lost("the connection is closed".into()))
}
