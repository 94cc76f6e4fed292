use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::{
    Assembly, CHUNK_BYTES, Hello, PROTOCOL_VERSION, Submission, SubmissionHeader, Welcome,
    WireError, check_version, chunks, generated, to_bytes,
};
use crate::assignment::{Assignment, Job};
use crate::bfloat16;
use crate::config::{self, Precision};
use crate::ids::{Digest, EpisodeIndex, EpisodeRange, MetaStep, Split, WorkerId};
use crate::layout::{Initialisation, Layout, Role};
use crate::reduction::{Partial, subtrees};
use crate::report::ReportSums;
use crate::seed::{Purpose, Seed};
use crate::spares::Spares;

/// Assignments have fewer episodes.
const LARGEST: u64 = 1000;

fn assignments() -> impl Strategy<Value = Assignment> {
    let split = prop_oneof![Just(Split::Train), Just(Split::Validation), Just(Split::Test)];
    let job = prop_oneof![
        any::<u64>().prop_map(|step| Job::Gradient { step: MetaStep(step) }),
        split.prop_map(|split| Job::Evaluation { split }),
    ];
    (any::<u64>(), job, any::<[u8; 32]>(), 1..LARGEST, 0..LARGEST, 0..LARGEST).prop_map(
        |(id, job, digest, episodes, start, length)| {
            let start = start % episodes;
            let end = start + 1 + length % (episodes - start);
            Assignment {
                id,
                job,
                parameters: Digest(digest),
                range: EpisodeRange::new(start, end),
                episodes,
            }
        },
    )
}

/// Assignments with their answers, gradients of `length` numbers in training.
fn submissions(length: usize) -> impl Strategy<Value = Submission> {
    (assignments(), any::<u64>()).prop_map(move |(assignment, seed)| {
        let mut draws = Seed::of_run(seed).initialisation();
        let length = if matches!(assignment.job, Job::Gradient { .. }) { length } else { 0 };
        let partials =
            subtrees(assignment.episodes, assignment.range).into_iter().map(|node| Partial {
                node,
                gradient: (0..length).map(|_| draws.uniform(-1e6, 1e6)).collect(),
                reports: ReportSums {
                    episodes: u64::from(draws.bits()),
                    loss: f64::from(draws.normal()),
                    ..ReportSums::default()
                },
            });
        Submission { assignment, partials: partials.collect() }
    })
}

fn arbitrary_assignments() -> impl Strategy<Value = generated::Assignment> {
    let purpose = prop_oneof![
        any::<u64>().prop_map(|meta_step| {
            generated::assignment::Purpose::Training(generated::Training { meta_step })
        }),
        any::<i32>().prop_map(|split| {
            generated::assignment::Purpose::Evaluation(generated::Evaluation { split })
        }),
    ];
    let small_or_any = || prop_oneof![0u64..20, any::<u64>()];
    (
        any::<u64>(),
        proptest::option::of(purpose),
        small_or_any(),
        small_or_any(),
        small_or_any(),
        28usize..34,
    )
        .prop_map(|(id, purpose, episodes, start, end, digest)| generated::Assignment {
            id,
            purpose,
            episodes,
            start,
            end,
            parameters: vec![7; digest].into(),
        })
}

fn arbitrary_submissions() -> impl Strategy<Value = generated::Submission> {
    let partial =
        (any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(level, index, has_reports)| {
            generated::Partial {
                level: level % 70,
                index,
                reports: has_reports.then(generated::Reports::default),
            }
        });
    let size = prop_oneof![(0u64..8).prop_map(|partials| partials * 40), any::<u64>()];
    (proptest::option::of(arbitrary_assignments()), vec(partial, 0..140), size).prop_map(
        |(assignment, partials, size)| generated::Submission { assignment, partials, size },
    )
}

fn header(
    submission: generated::Submission,
    parameters: usize,
) -> Result<SubmissionHeader, WireError> {
    SubmissionHeader::new(submission, (parameters, Precision::Float32), LARGEST, Arc::default())
}

fn payload(submission: &Submission) -> Bytes {
    let gradients: Vec<f32> =
        submission.partials.iter().flat_map(|partial| partial.gradient.clone()).collect();
    to_bytes(&gradients)
}

proptest! {
    #[test]
    fn assignments_come_back(assignment in assignments()) {
        prop_assert_eq!(Assignment::try_from(generated::Assignment::from(assignment)), Ok(assignment));
    }

    #[test]
    fn submissions_come_back_whatever_the_chunks(
        submission in submissions(13), rounded: bool, cuts in vec(1usize..40, 1..50)
    ) {
        let (mut submission, mut payload) = (submission.clone(), payload(&submission));
        let exact = payload.len();
        let precision = if rounded { Precision::Bfloat16 } else { Precision::Float32 };
        if rounded {
            submission.partials.iter_mut().for_each(|partial| bfloat16::round_all(&mut partial.gradient));
            let gradients = submission.partials.iter().map(|partial| bfloat16::to_bytes(&partial.gradient));
            payload = gradients.collect::<Vec<_>>().concat().into();
            prop_assert_eq!(2 * payload.len(), exact);
        }
        let announced = submission.header(precision);
        prop_assert_eq!(announced.size, payload.len() as u64);
        let mut header = SubmissionHeader::new(announced, (13, precision), LARGEST, Arc::default()).unwrap();
        let mut cuts = cuts.into_iter().cycle();
        while !payload.is_empty() {
            prop_assert!(!header.is_complete());
            let cut = cuts.next().unwrap_or(1).min(payload.len());
            header.add(&payload.split_to(cut)).unwrap();
        }
        prop_assert!(header.is_complete());
        prop_assert!(header.add(&[0]).is_err());
        prop_assert!(header.is_finite());
        prop_assert_eq!(header.finish(), Ok(submission));
    }

    #[test]
    fn arbitrary_messages_never_panic(
        bytes in vec(any::<u8>(), 0..200), assignment in arbitrary_assignments(),
        submission in arbitrary_submissions(), shape in vec(any::<u64>(), 0..5), offset in 0u64..3,
        role: i32, chunk in vec(any::<u8>(), 0..100)
    ) {
        if let Ok(converted) = Assignment::try_from(assignment.clone()) {
            prop_assert_eq!(generated::Assignment::from(converted), assignment);
        }
        if let Ok(mut header) = header(submission, 10) {
            // The nodes that come through can be asked for their episodes.
            let _ = header.add(&chunk);
            if let Ok(submission) = header.finish() {
                for partial in &submission.partials {
                    prop_assert!(partial.node.episodes(submission.assignment.episodes).len() <= submission.assignment.episodes);
                }
            }
        }
        let entry = generated::LayoutEntry { name: "a".into(), shape, offset, role };
        let _ = Layout::try_from(generated::Layout { entries: vec![entry.clone(), entry] });
        if let Ok(message) = generated::WorkerMessage::decode(&bytes[..]) {
            use generated::worker_message::Message;
            match message.message {
                Some(Message::Hello(hello)) => drop(Hello::try_from(hello)),
                Some(Message::Submission(submission)) => drop(header(submission, 3)),
                Some(Message::Ready(_) | Message::Chunk(_)) | None => {}
            }
        }
        if let Ok(welcome) = generated::Welcome::decode(&bytes[..]) {
            let _ = Welcome::try_from(welcome);
        }
    }
}

#[test]
fn a_welcome_comes_back_with_its_configuration() {
    let mut layout = Layout::new();
    layout.push("head.weight", &[5, 3], Role::Trained, Initialisation::Constant(0.0));
    layout.push("norm.mean", &[5], Role::Buffer, Initialisation::Constant(0.0));
    for preset in config::presets::names() {
        let welcome = Welcome {
            worker: WorkerId(3),
            config: config::load(preset, &[]).unwrap(),
            layout: layout.clone(),
            pack: Some(super::PackInfo { digest: Digest::of(b"pack"), size: 4 }),
        };
        let message = generated::Welcome::from(welcome.clone());
        assert_eq!(message.protocol_version, PROTOCOL_VERSION);
        assert_eq!(Welcome::try_from(message), Ok(welcome));
    }
}

#[test]
fn errors_name_the_field() {
    let hello = |threads| generated::Hello {
        protocol_version: 1,
        name: "a".into(),
        threads,
        instruction_set: String::new(),
    };
    let error = Hello::try_from(hello(0)).unwrap_err();
    assert_eq!(error.field, "hello.threads");
    assert!(Hello::try_from(hello(1)).is_ok());
    let error = header(generated::Submission::default(), 1).unwrap_err();
    assert_eq!(error.to_string(), "submission.assignment: missing");
}

#[test]
fn more_gradients_than_a_range_of_a_meta_step_has_are_refused() {
    for (meta_batch, most) in [(1, 1), (2, 3), (24, 11), (32, 11), (33, 13)] {
        let ranges = (0..meta_batch).flat_map(|start| {
            (start + 1..=meta_batch).map(move |end| EpisodeRange::new(start, end))
        });
        let found = ranges.map(|range| subtrees(meta_batch, range).len()).max();
        assert!(found.is_some_and(|found| found <= most), "{meta_batch}: {found:?}");

        let assignment = Assignment {
            id: 1,
            job: Job::Gradient { step: MetaStep(0) },
            parameters: Digest([0; 32]),
            range: EpisodeRange::new(0, 1000),
            episodes: 1000,
        };
        let partial = generated::Partial { level: 0, index: 0, reports: Some(Default::default()) };
        let header = |partials: usize| {
            let submission = generated::Submission {
                assignment: Some(assignment.into()),
                partials: vec![partial; partials],
                size: 4 * partials as u64,
            };
            SubmissionHeader::new(submission, (1, Precision::Float32), meta_batch, Arc::default())
        };
        assert!(header(most).is_ok());
        assert_eq!(header(most + 1).unwrap_err().field, "submission.partials");
    }
}

#[test]
fn another_version_is_refused_with_both_named() {
    assert_eq!(check_version(PROTOCOL_VERSION), Ok(()));
    let text = check_version(9).unwrap_err().to_string();
    assert_eq!(text, "the worker speaks version 9 of the protocol, and the coordinator version 1");
}

#[test]
fn large_payloads_go_in_chunks_and_come_back() {
    let values: Vec<f32> = (0..700_000).map(|i| i as f32).collect();
    let payload = to_bytes(&values);
    let spares = Arc::new(Spares::default());
    let used_before = vec![7.0; values.len()];
    let place = used_before.as_ptr();
    spares.put(used_before);
    let shape = (1, values.len());
    let size = (Precision::Float32, payload.len() as u64);
    let mut assembly = Assembly::new(shape, size, "size", spares).unwrap();
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    for chunk in chunks(payload) {
        assembly.add(&chunk.data, |numbers| seen.extend_from_slice(numbers)).unwrap();
        sizes.push(chunk.data.len());
    }
    assert_eq!(sizes, [CHUNK_BYTES, CHUNK_BYTES, 700_000 * 4 - 2 * CHUNK_BYTES]);
    assert_eq!(seen, values);
    let vectors = assembly.finish().unwrap();
    assert_eq!(vectors, [values]);
    assert_eq!(vectors[0].as_ptr(), place, "a spare vector is used");
}

#[test]
fn a_number_that_is_not_finite_is_seen_though_its_bytes_come_one_by_one() {
    let assignment = Assignment {
        id: 1,
        job: Job::Gradient { step: MetaStep(0) },
        parameters: Digest([0; 32]),
        range: EpisodeRange::new(0, 1),
        episodes: 1,
    };
    for (number, is_finite) in [(f32::NAN, false), (f32::NEG_INFINITY, false), (f32::MAX, true)] {
        let node = subtrees(1, assignment.range)[0];
        let gradient = vec![1.0, number, 2.0];
        let submission = Submission {
            assignment,
            partials: vec![Partial { node, gradient, reports: ReportSums::default() }],
        };
        let mut header = header(submission.header(Precision::Float32), 3).unwrap();
        payload(&submission).iter().for_each(|byte| header.add(&[*byte]).unwrap());
        assert_eq!((header.is_complete(), header.is_finite()), (true, is_finite), "{number}");
    }
}

/// What farm.proto promises to those who draw episodes in another language.
#[test]
fn the_protocols_test_vectors_hold() {
    let proto = include_str!("../../../proto/lyceum/v1/farm.proto");
    let classes =
        || Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0)).stream(Purpose::Classes);
    let streams = [
        classes(),
        Seed::of_run(7).step(MetaStep(3)).episode(EpisodeIndex(5)).stream(Purpose::Images),
        Seed::of_run(7)
            .evaluation_on(Split::Test)
            .episode(EpisodeIndex(1))
            .stream(Purpose::Function),
    ];
    for mut stream in streams {
        let words: Vec<String> = (0..4).map(|_| format!("{:08x}", stream.bits())).collect();
        assert!(proto.contains(&words.join(" ")), "farm.proto lacks {}", words.join(" "));
    }
    let mut stream = classes();
    let numbers: Vec<String> = (0..4).map(|_| stream.below(20).to_string()).collect();
    assert!(proto.contains(&numbers.join(", ")), "farm.proto lacks {}", numbers.join(", "));
}
