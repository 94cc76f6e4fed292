//! A worker written from farm.proto alone: it knows the messages, BLAKE3 and ChaCha, and nothing of Lyceum's own types.

use std::ops::Range;

use lyceum_common::wire::pb;
use lyceum_coordinator::observation::Observation;
use lyceum_worker::session::Ended;
use pb::assignment::Purpose;
use pb::coordinator_message::Message as Down;
use pb::worker_message::Message as Up;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::stub;
use super::support::{Coordinator, config, undisturbed, worker};

pub(crate) struct Foreign {
    up: mpsc::Sender<pb::WorkerMessage>,
    down: Streaming<pb::CoordinatorMessage>,
    run: [u8; 32],
    theta: Vec<f32>,
    version: bytes::Bytes,
}

/// refine(seed, domain, index), as farm.proto has it.
fn refine(seed: [u8; 32], domain: &str, index: u64) -> [u8; 32] {
    let message = [domain.as_bytes(), &[0], &index.to_le_bytes()].concat();
    *blake3::keyed_hash(&seed, &message).as_bytes()
}

type Sum = (Vec<f32>, pb::Reports);

impl Foreign {
    /// Says hello in this version of the protocol, and is ready.
    pub(crate) async fn join(
        address: &str,
        protocol_version: u32,
        seed: u64,
    ) -> Result<Self, Status> {
        let mut client = pb::FarmClient::connect(format!("http://{address}")).await.unwrap();
        let (up, messages) = mpsc::channel(64);
        let hello = pb::Hello {
            protocol_version,
            name: "foreign".into(),
            threads: 1,
            instruction_set: "abacus".into(),
        };
        up.send(pb::WorkerMessage { message: Some(Up::Hello(hello)) }).await.unwrap();
        let down = client.work(ReceiverStream::new(messages)).await?.into_inner();
        let run = refine([0; 32], "lyceum run", seed);
        let mut foreign = Self { up, down, run, theta: Vec::new(), version: bytes::Bytes::new() };
        let Some(Down::Welcome(welcome)) = foreign.next().await? else { panic!("no welcome") };
        assert!(welcome.run_config.contains("sinusoid"), "{}", welcome.run_config);
        let entries = welcome.layout.unwrap().entries;
        assert_eq!(entries[0].name, "layers.0.weight");
        foreign.send(Up::Ready(pb::Ready {})).await;
        Ok(foreign)
    }

    /// Ends its direction, and gives how the coordinator ends the other.
    pub(crate) async fn leave(self) -> Result<(), Status> {
        let Self { up, mut down, .. } = self;
        drop(up);
        while down.message().await?.is_some() {}
        Ok(())
    }

    pub(crate) async fn send(&self, message: Up) {
        // A coordinator that has hung up is met with when reading.
        let _ = self.up.send(pb::WorkerMessage { message: Some(message) }).await;
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Down>, Status> {
        Ok(self.down.message().await?.map(|message| message.message.expect("one of them")))
    }

    /// The next message but parameters, which it takes over.
    pub(crate) async fn next_but_parameters(&mut self) -> Result<Option<Down>, Status> {
        loop {
            let parameters = match self.next().await? {
                Some(Down::Parameters(parameters)) => parameters,
                other => return Ok(other),
            };
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < parameters.size {
                let Some(Down::Chunk(chunk)) = self.next().await? else { panic!("no chunk") };
                bytes.extend_from_slice(&chunk.data);
            }
            let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
            self.theta = bytes.chunks(4).map(number).collect();
            self.version = parameters.digest;
        }
    }

    /// Works until the run is over; returns how many episodes it computed.
    async fn work(mut self) -> u64 {
        let mut episodes = 0;
        loop {
            match self.next_but_parameters().await.unwrap().expect("no finish came") {
                Down::Finished(_) => return episodes,
                Down::Assignment(assignment) => {
                    episodes += assignment.end - assignment.start;
                    assert_eq!(assignment.parameters, self.version);
                    self.answer(assignment).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Computes and submits an assignment, in chunks of an odd length.
    async fn answer(&self, assignment: pb::Assignment) {
        let mut nodes = Vec::new();
        subtrees((root(assignment.episodes), 0), &assignment, &mut nodes);
        let mut payload = Vec::new();
        let mut partials = Vec::new();
        for (level, index) in nodes {
            let (gradient, reports) = self.sum((level, index), &assignment);
            payload.extend(gradient.iter().flat_map(|value| value.to_le_bytes()));
            partials.push(pb::Partial { level, index, reports: Some(reports) });
        }
        let size = payload.len() as u64;
        self.send(Up::Submission(pb::Submission { assignment: Some(assignment), partials, size }))
            .await;
        for chunk in payload.chunks(1001) {
            self.send(Up::Chunk(pb::Chunk { data: chunk.to_vec().into() })).await;
        }
    }

    fn sum(&self, (level, index): (u32, u64), assignment: &pb::Assignment) -> Sum {
        if level == 0 {
            return self.episode(index, assignment);
        }
        let left = self.sum((level - 1, 2 * index), assignment);
        if (2 * index + 1) << (level - 1) >= assignment.episodes {
            return left;
        }
        let right = self.sum((level - 1, 2 * index + 1), assignment);
        let gradient = left.0.iter().zip(&right.0).map(|(left, right)| left + right).collect();
        let (a, b) = (left.1, right.1);
        let reports = pb::Reports {
            episodes: a.episodes + b.episodes,
            loss: a.loss + b.loss,
            loss_squared: a.loss_squared + b.loss_squared,
            accuracy: a.accuracy + b.accuracy,
            accuracy_squared: a.accuracy_squared + b.accuracy_squared,
        };
        (gradient, reports)
    }

    fn episode(&self, index: u64, assignment: &pb::Assignment) -> Sum {
        let (step, length) = match assignment.purpose.as_ref().unwrap() {
            Purpose::Training(training) => {
                (refine(self.run, "step", training.meta_step), self.theta.len())
            }
            Purpose::Evaluation(evaluation) => {
                let split = match evaluation.split() {
                    pb::Split::Validation => "validation",
                    pb::Split::Test => "test",
                    other => panic!("{other:?}"),
                };
                (refine(refine(self.run, "evaluation", 0), split, 0), 0)
            }
        };
        let mut stream = ChaCha8Rng::from_seed(refine(refine(step, "episode", index), "images", 0));
        let words = [0; 4].map(|_: i32| stream.next_u32());
        let mut gradient = vec![0.0; length];
        stub::gradient(&self.theta, words, &mut gradient);
        let loss = stub::loss(words);
        let reports = pb::Reports {
            episodes: 1,
            loss,
            loss_squared: loss * loss,
            accuracy: 0.5,
            accuracy_squared: 0.25,
        };
        (gradient, reports)
    }
}

/// The level of the lowest node that holds all episodes.
fn root(episodes: u64) -> u32 {
    episodes.next_power_of_two().trailing_zeros()
}

/// The largest subtrees inside the assignment's range, from left to right.
fn subtrees((level, index): (u32, u64), assignment: &pb::Assignment, nodes: &mut Vec<(u32, u64)>) {
    let episodes: Range<u64> = index << level..((index + 1) << level).min(assignment.episodes);
    if episodes.start >= assignment.end || episodes.end <= assignment.start || episodes.is_empty() {
        return;
    }
    if assignment.start <= episodes.start && episodes.end <= assignment.end {
        return nodes.push((level, index));
    }
    subtrees((level - 1, 2 * index), assignment, nodes);
    subtrees((level - 1, 2 * index + 1), assignment, nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_worker_is_a_full_member() {
    let config = config(&["farm.assignment=5", "seed=11"]);
    let expected = undisturbed(config.clone()).await;

    let alone = Coordinator::start(config.clone()).await;
    let foreign = Foreign::join(&alone.address, 1, 11).await.unwrap();
    let foreign = tokio::spawn(foreign.work());
    assert_eq!(alone.completed().await.parameters.digest(), expected);
    // Every episode of training, of the validations (the last step's included) and of the test.
    assert_eq!(foreign.await.unwrap(), 30 * 24 + 3 * 20 + 50);

    let mut mixed = Coordinator::start(config).await;
    let foreign = Foreign::join(&mixed.address, 1, 11).await.unwrap();
    mixed
        .see(|seen| matches!(seen, Observation::Joined(_, hello) if hello.name == "foreign"))
        .await;
    let foreign = tokio::spawn(foreign.work());
    let own = worker(&mixed, "own", 1);
    assert_eq!(mixed.completed().await.parameters.digest(), expected);
    assert_eq!(own.await.unwrap().unwrap(), Ended::Finished);
    assert!(foreign.await.unwrap() > 0, "the foreign worker took part");
}
