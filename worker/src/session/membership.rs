//! One membership: from the hello to the end of the stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lyceum_common::assignment::Assignment;
use lyceum_common::bfloat16;
use lyceum_common::config::{Precision, RunConfig};
use lyceum_common::ids::Digest;
use lyceum_common::layout::Layout;
use lyceum_common::model::run_layout;
use lyceum_common::pack::Pack;
use lyceum_common::parameters::{Digester, MetaParameters, Retired};
use lyceum_common::seed::Seed;
use lyceum_common::spares::Spares;
use lyceum_common::wire::{
    Assembly, Hello, Item, Lost, Outgoing, PackInfo, Reader, Submission, Welcome, WireError,
    Writer, dial, digest, digest_bytes, is_stranger, pb, words,
};
use pb::coordinator_message::Message;
use pb::worker_message::Message as Answer;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::endpoint::{self, describe};
use super::{
    Builder, Event, Interruption, Observer, SessionError, SessionOptions, pack_cache, same_layout,
};
use crate::pool::{Computation, Computed, Pool};

/// Messages to the coordinator that may wait for the connection.
const WAITING: usize = 16;
/// How long the coordinator has to answer a hello: it does so at once.
const WELCOME: Duration = Duration::from_secs(10);
/// How long to read on of what came before the connection was lost.
const LAST_WORD: Duration = Duration::from_secs(1);

type Sent = Result<Outgoing<pb::WorkerMessage>, Status>;

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
    /// Who hears that it begins.
    pub(super) observe: &'s Observer,
    /// Whether there was a membership before this one.
    pub(super) joined_before: bool,
    /// Whether the coordinator has welcomed this worker.
    pub(super) joined: bool,
}

impl Membership<'_> {
    /// Joins, and works until the run is over.
    pub(super) async fn run(&mut self, endpoint: &Endpoint) -> Result<(), Interruption> {
        let channel = endpoint.connect().await;
        let mut channel = channel.map_err(|error| Interruption::Lost(describe(&error)))?;
        let (outbound, messages) = mpsc::channel(WAITING);
        let hello = Hello {
            name: self.options.name.clone(),
            threads: u32::try_from(self.options.threads.get()).unwrap_or(u32::MAX),
            instruction_set: self.options.instruction_set.clone(),
        };
        send(&outbound, Answer::Hello(hello.into())).await?;
        let writer = Body::new(Writer::of_worker(ReceiverStream::new(messages)));
        let welcomed = timeout(WELCOME, self.welcome(&mut channel, writer)).await;
        let late = |_| Interruption::Lost("it does not answer".into());
        let (welcome, mut inbound) = welcomed.map_err(late)??;
        tracing::info!(worker = %welcome.worker, run = welcome.config.name, "joined");
        self.joined = true;
        let run = welcome.config.name.clone();
        let again = self.joined_before;
        (self.observe)(if again { Event::Rejoined { run } } else { Event::Joined { run } });
        let ended = self.work(&mut inbound, &outbound, channel.clone(), welcome).await;
        // The run may be over, or this worker be dismissed, and that be said already: who dials again then dials for ever.
        if matches!(ended, Err(Interruption::Lost(_)))
            && let Some(last_word) = self.last_word(&mut inbound).await
        {
            return last_word;
        }
        ended
    }

    /// Says hello, and waits for the welcome.
    async fn welcome(
        &self,
        channel: &mut Channel,
        writer: Body,
    ) -> Result<(Welcome, Reader<pb::CoordinatorMessage>), Interruption> {
        let stream = dial(channel, writer).await;
        let mut inbound = stream.map_err(|status| self.interruption(&status))?;
        match self.next(&mut inbound).await? {
            Some(Part::Message(Message::Welcome(welcome))) => Ok((welcome.try_into()?, inbound)),
            _ => Err(WireError::missing("welcome").into()),
        }
    }

    /// Has what it takes, and works until the run is over.
    async fn work(
        &mut self,
        inbound: &mut Reader<pb::CoordinatorMessage>,
        outbound: &mpsc::Sender<Sent>,
        channel: Channel,
        welcome: Welcome,
    ) -> Result<(), Interruption> {
        self.prepare(channel, &welcome).await?;
        let engine = self.engine.as_ref().expect("prepared");
        send(outbound, Answer::Ready(pb::Ready {})).await?;

        let (results, mut computed) = mpsc::unbounded_channel::<(Assignment, Computed)>();
        let mut desk = Desk {
            pool: &engine.pool,
            layout: Arc::new(welcome.layout),
            seed: Seed::of_run(welcome.config.seed),
            is_checked: !endpoint::is_local(&self.options.coordinator),
            arriving: None,
            version: None,
            retired: Retired::default(),
            results,
        };
        loop {
            select! {
                part = self.next(inbound) => match part? {
                    None => return Ok(()),
                    Some(Part::Message(message)) => desk.take(message)?,
                    Some(Part::Piece(bytes)) => desk.fill(&bytes)?,
                },
                Some((assignment, partials)) = computed.recv() => {
                    let submission = Submission { assignment, partials: partials? };
                    let precision = engine.config.training.sums;
                    submit(outbound, &engine.pool, submission, precision).await?;
                }
            }
        }
    }

    /// What has come, and was not read yet, if it says that the run is over, or that trying again makes no sense.
    async fn last_word(
        &self,
        inbound: &mut Reader<pb::CoordinatorMessage>,
    ) -> Option<Result<(), Interruption>> {
        let read_on = async {
            loop {
                match self.next(inbound).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Some(Ok(())),
                    Err(Interruption::Lost(_)) => return None,
                    Err(dismissed) => return Some(Err(dismissed)),
                }
            }
        };
        timeout(LAST_WORD, read_on).await.unwrap_or(None)
    }

    /// The next message; none where the run is over.
    async fn next(
        &self,
        inbound: &mut Reader<pb::CoordinatorMessage>,
    ) -> Result<Option<Part>, Interruption> {
        match inbound.next().await {
            Ok(Some(Item::Piece(bytes))) => Ok(Some(Part::Piece(bytes))),
            Ok(Some(Item::Message(pb::CoordinatorMessage { message }))) => match message {
                Some(Message::Finished(_)) => Ok(None),
                Some(message) => Ok(Some(Part::Message(message))),
                None => Err(WireError::missing("message").into()),
            },
            Ok(None) => Err(Interruption::Lost("the coordinator hung up".into())),
            Err(Lost::Ended(status)) => Err(self.interruption(&status)),
            Err(Lost::Invalid(error)) => Err(error.into()),
        }
    }

    /// Whether a status is worth another attempt.
    fn interruption(&self, status: &Status) -> Interruption {
        let refusals = [
            Code::FailedPrecondition,
            Code::InvalidArgument,
            Code::PermissionDenied,
            Code::Unauthenticated,
        ];
        let url = self.options.coordinator.clone();
        if is_stranger(status) {
            // Where a coordinator was before, whatever has its port may go again.
            return if self.joined || self.joined_before {
                Interruption::Lost(words(status))
            } else {
                Interruption::Fatal(SessionError::Stranger { url })
            };
        }
        if refusals.contains(&status.code()) {
            let reason = words(status);
            return Interruption::Fatal(SessionError::Refused { url, reason });
        }
        Interruption::Lost(words(status))
    }

    /// Has an engine for this run: the one of the membership before, or a new one.
    async fn prepare(&mut self, channel: Channel, welcome: &Welcome) -> Result<(), Interruption> {
        let own = run_layout(&welcome.config).map_err(|error| SessionError::Build(error.into()))?;
        if let Some(difference) = same_layout::difference(&welcome.layout, &own) {
            return Err(SessionError::OtherEntry(difference).into());
        }
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
            Some(info) => Some(self.pack(channel, info).await?),
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
    async fn pack(&self, channel: Channel, info: PackInfo) -> Result<Arc<Pack>, Interruption> {
        let cache = &self.options.cache;
        if let Some(pack) = pack_cache::get(cache, info).await {
            return Ok(pack);
        }
        let request = pb::PackRequest { digest: digest_bytes(info.digest) };
        let stream = pb::FarmClient::new(channel).fetch_pack(request).await;
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

/// What the coordinator sends.
enum Part {
    Message(Message),
    /// Bytes of a payload.
    Piece(Bytes),
}

/// A version of the meta-parameters that is on its way.
struct Arriving {
    digest: Digest,
    numbers: Assembly,
    /// Hashes it as it comes, out of the processor's cache, where that is checked.
    digester: Option<Digester>,
}

/// Where what comes in is made into work.
struct Desk<'s> {
    pool: &'s Pool,
    layout: Arc<Layout>,
    seed: Seed<lyceum_common::seed::OfRun>,
    /// Whether the numbers that come are those of the digest that is said of them. Over a Unix domain socket they are: the
    /// kernel copies them, and nothing in between can change one.
    is_checked: bool,
    arriving: Option<Arriving>,
    version: Option<MetaParameters>,
    /// Versions before it, whose memory the next one takes.
    retired: Retired,
    results: mpsc::UnboundedSender<(Assignment, Computed)>,
}

impl Desk<'_> {
    fn take(&mut self, message: Message) -> Result<(), WireError> {
        match message {
            Message::Parameters(parameters) => {
                let digest = digest(&parameters.digest, "parameters.digest")?;
                let spares = Arc::new(Spares::default());
                self.retired.take().into_iter().for_each(|memory| spares.put(memory));
                let shape = (1, self.layout.len());
                let size = (Precision::Float32, parameters.size);
                let numbers = Assembly::new(shape, size, "parameters.size", spares)?;
                let digester = self.is_checked.then(|| Digester::new(&self.layout));
                self.arriving = Some(Arriving { digest, numbers, digester });
                Ok(())
            }
            Message::Assignment(assignment) => self.assign(assignment.try_into()?),
            Message::Refusal(refusal) => {
                // The coordinator says what comes of it.
                tracing::info!(reason = refusal.reason, "a submission was refused");
                Ok(())
            }
            // The stream's end is the caller's affair.
            Message::Finished(_) => Ok(()),
            Message::Welcome(_) => Err(WireError::new("message", "a second welcome")),
            // Its bytes have come as pieces.
            Message::Chunk(_) => Ok(()),
        }
    }

    /// Takes the next bytes of a version in.
    fn fill(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let unexpected = || WireError::new("chunk", "no payload is under way");
        let Arriving { numbers, digester, .. } = self.arriving.as_mut().ok_or_else(unexpected)?;
        numbers.add(bytes, |_| {})?;
        if let Some(digester) = digester {
            digester.advance(numbers.last());
        }
        self.arrive()
    }

    /// Takes a version over whose last chunk has come.
    fn arrive(&mut self) -> Result<(), WireError> {
        let is_complete = |arriving: &mut Arriving| arriving.numbers.is_complete();
        let Some(Arriving { digest, numbers, digester }) = self.arriving.take_if(is_complete)
        else {
            return Ok(());
        };
        let values = numbers.finish()?.pop().unwrap_or_default();
        let layout = Arc::clone(&self.layout);
        let version = match digester {
            Some(digester) => MetaParameters::digested(layout, values, digester),
            None => MetaParameters::named(layout, values, digest),
        };
        let version = version.map_err(|error| WireError::new("parameters", error.to_string()))?;
        if version.digest() != digest {
            return Err(WireError::new("parameters.digest", "not that of the numbers that came"));
        }
        if let Some(before) = self.version.replace(version) {
            self.retired.put(before);
        }
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

/// Sends a submission; its buffers come back when they are sent.
async fn submit(
    outbound: &mpsc::Sender<Sent>,
    pool: &Pool,
    submission: Submission,
    precision: Precision,
) -> Result<(), Interruption> {
    send(outbound, Answer::Submission(submission.header(precision))).await?;
    for partial in submission.partials {
        let payload = match precision {
            Precision::Float32 => pool.payload(partial.gradient),
            Precision::Bfloat16 => {
                let rounded = bfloat16::to_bytes(&partial.gradient);
                drop(pool.payload(partial.gradient));
                rounded
            }
        };
        queue(outbound, Outgoing::Payload(payload)).await?;
    }
    Ok(())
}

async fn send(outbound: &mpsc::Sender<Sent>, message: Answer) -> Result<(), Interruption> {
    queue(outbound, Outgoing::Message(pb::WorkerMessage { message: Some(message) })).await
}

async fn queue(
    outbound: &mpsc::Sender<Sent>,
    outgoing: Outgoing<pb::WorkerMessage>,
) -> Result<(), Interruption> {
    let sent = outbound.send(Ok(outgoing)).await;
    sent.map_err(|_| Interruption::Lost("the connection is closed".into()))
}
