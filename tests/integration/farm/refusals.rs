//! What is refused, and in which words; and what a run answers to those who ask.

use std::sync::Arc;
use std::time::Duration;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::Digest;
use lyceum_common::pack::Pack;
use lyceum_common::wire::{digest_bytes, pb};
use lyceum_coordinator::observation::Observation;
use lyceum_coordinator::run::Outcome;
use lyceum_coordinator::server::Listener;
use lyceum_worker::session::{self, Ended, SessionError};
use lyceum_worker::work::Work;
use pb::coordinator_message::Message as Down;
use pb::worker_message::Message as Up;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::foreign::Foreign;
use super::support::{Coordinator, config, options, undisturbed, worker};

#[tokio::test(flavor = "multi_thread")]
async fn another_version_of_the_protocol_is_refused() {
    let coordinator = Coordinator::start(config(&[])).await;
    let status = Foreign::join(&coordinator.address, 99, 0).await.map(drop).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(
        status.message().contains("version 99") && status.message().contains("version 1"),
        "{status}"
    );
    coordinator.shutdown.cancel();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_leaves_is_let_go_without_an_error() {
    let coordinator = Coordinator::start(config(&[])).await;
    let worker = Foreign::join(&coordinator.address, 1, 0).await.unwrap();
    worker.leave().await.unwrap();
    coordinator.shutdown.cancel();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_is_refused_and_changes_no_bit() {
    let config = config(&["farm.assignment=3"]);
    let expected = undisturbed(config.clone()).await;
    let mut coordinator = Coordinator::start(config).await;

    // An answer of the right form, and of other parameters, is refused, and the worker stays.
    let mut liar = Foreign::join(&coordinator.address, 1, 0).await.unwrap();
    let Some(Down::Assignment(assignment)) = liar.next_but_parameters().await.unwrap() else {
        panic!("no assignment");
    };
    let other = pb::Assignment { parameters: vec![0; 32].into(), ..assignment };
    let submission = pb::Submission { assignment: Some(other), partials: Vec::new(), size: 0 };
    liar.send(Up::Submission(submission)).await;
    let reason = loop {
        match liar.next_but_parameters().await.unwrap() {
            Some(Down::Refusal(refusal)) => break refusal.reason,
            Some(Down::Assignment(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.contains("parameters"), "{reason}");

    // One that makes no sense ends the membership, with the field named.
    let nonsense = pb::Submission { assignment: None, partials: Vec::new(), size: 1 << 60 };
    liar.send(Up::Submission(nonsense)).await;
    let status = loop {
        match liar.next_but_parameters().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("submission.assignment"), "{status}");
    coordinator.see(|seen| matches!(seen, Observation::Left(_))).await;

    let honest = worker(&coordinator, "honest", 2);
    assert_eq!(coordinator.completed().await.parameters.digest(), expected);
    assert_eq!(honest.await.unwrap().unwrap(), Ended::Finished);
}

fn hello(threads: u32) -> Up {
    let (name, instruction_set) = ("raw".into(), "abacus".into());
    Up::Hello(pb::Hello { protocol_version: 1, name, threads, instruction_set })
}

fn named(name: &str) -> Up {
    let (name, instruction_set) = (name.into(), "abacus".into());
    Up::Hello(pb::Hello { protocol_version: 1, name, threads: 1, instruction_set })
}

/// How the coordinator parts with a worker that says this, stays on the line, and computes nothing.
async fn parted(address: &str, said: Vec<Up>) -> Status {
    let mut client = pb::FarmClient::connect(format!("http://{address}")).await.unwrap();
    let messages = said.into_iter().map(|message| pb::WorkerMessage { message: Some(message) });
    let up = tokio_stream::iter(messages).chain(tokio_stream::pending());
    let mut down = match client.work(up).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        match down.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_turn_are_refused_by_what_was_expected() {
    let small = "data.glyphs.classes=[12, 6, 6]".to_owned();
    let config = lyceum_common::config::load("glyphs-maml", &[small]).unwrap();
    let coordinator = Coordinator::start(config).await;
    let address = &coordinator.address;
    let ready = || Up::Ready(pb::Ready {});
    let chunk = || Up::Chunk(pb::Chunk { data: vec![0; 4].into() });
    for (said, expected) in [
        (vec![ready()], "hello: missing"),
        (vec![hello(0)], "hello.threads: 0 is not in 1..="),
        (vec![named("\u{1b}[31mred")], "hello.name: holds a control character"),
        (vec![hello(1), hello(1)], "ready: missing"),
        (vec![hello(1), chunk()], "ready: missing"),
        (vec![hello(1), ready(), ready()], "message: a submission is expected"),
        (vec![hello(1), ready(), chunk()], "message: a submission is expected"),
    ] {
        let status = parted(address, said).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().starts_with(expected), "`{expected}` is not in: {status}");
    }

    let mut client = pb::FarmClient::connect(format!("http://{address}")).await.unwrap();
    let unknown = Digest::of(b"another run's pack");
    for (digest, code, expected) in [
        (digest_bytes(unknown), Code::NotFound, unknown.to_string()),
        (vec![0; 3].into(), Code::InvalidArgument, "pack_request.digest: 3 bytes".to_owned()),
    ] {
        let status = client.fetch_pack(pb::PackRequest { digest }).await.map(drop).unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(&expected), "`{expected}` is not in: {status}");
    }
    drop(client);
    coordinator.shutdown.cancel();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
}

fn no_work(
    _: &RunConfig,
    _: Option<Arc<Pack>>,
) -> Result<Arc<dyn Work>, Box<dyn std::error::Error + Send + Sync>> {
    Err("nothing can be built here".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_is_not_there_is_named() {
    // A port that was free a moment ago may be another's by now; this one nobody listens on.
    let address = "127.0.0.1:1";
    let mut options = options(address, "lost", 1, std::path::Path::new("unused"));
    options.wait = Duration::from_millis(150);
    let error = session::run(&options, &no_work, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, SessionError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(address), "{error}");

    for (address, problem) in [("http://", "invalid"), ("unix:", "it names no file")] {
        options.coordinator = address.into();
        let error = session::run(&options, &no_work, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, SessionError::Address { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with(address) && error.contains(problem), "{error}");
    }
    let socket = "unix:/no/such/folder/socket";
    options.coordinator = socket.into();
    let error = session::run(&options, &no_work, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, SessionError::Unreachable { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains(socket) && error.contains("No such file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_build_the_run_says_why() {
    let coordinator = Coordinator::start(config(&[])).await;
    let options = options(&coordinator.address, "lost", 1, coordinator.folder.path());
    let error = session::run(&options, &no_work, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the run cannot be worked on: nothing can be built here");
    coordinator.shutdown.cancel();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_written_ends_the_run_with_its_name() {
    let coordinator = Coordinator::start(config(&[])).await;
    let run = coordinator.folder.path().join(&coordinator.config.name);
    let checkpoints = run.join("checkpoints");
    std::fs::remove_dir(&checkpoints).unwrap();
    std::fs::write(&checkpoints, "in the way").unwrap();
    let worker = worker(&coordinator, "w", 1);
    let (error, _folder) = coordinator.failed().await;
    let error = error.to_string();
    let first = checkpoints.join("step-000010.safetensors").display().to_string();
    assert!(error.starts_with(&first), "{error}");
    // It would wait for another coordinator to go on with the run.
    worker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let error = Listener::bind(listener.address()).await.unwrap_err();
    assert!(error.to_string().contains(listener.address()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_where_it_is_and_stops_when_told() {
    let mut coordinator = Coordinator::start(config(&["training.meta_steps=1000000"])).await;
    let url = format!("http://{}", coordinator.address);
    let channel =
        tonic::transport::Endpoint::from_shared(url.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
    for service in ["", "lyceum.v1.Farm"] {
        let request = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status(), serving);
    }
    let worker = worker(&coordinator, "w", 2);
    coordinator.see(|seen| matches!(seen, Observation::Progress(..))).await;
    let mut control = pb::ControlClient::connect(url).await.unwrap();
    let status = control.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.run.as_str(), status.meta_steps), ("sinusoid-maml", 1_000_000));
    assert!(status.meta_step >= 1 && status.last.is_some());
    assert_eq!(status.workers.len(), 1);
    assert_eq!((status.workers[0].name.as_str(), status.workers[0].threads), ("w", 2));
    control.stop(pb::StopRequest {}).await.unwrap();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
    worker.abort();
}
