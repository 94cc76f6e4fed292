//! A worker whose coordinator answers otherwise each time that it is dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lyceum_common::ids::WorkerId;
use lyceum_common::wire::{Welcome, pb};
use lyceum_coordinator::enterprise::layout_of;
use lyceum_worker::session::{Ended, SessionError, SessionOptions};
use pb::coordinator_message::Message as Down;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::support::{config, options, worker_at};

/// An answer to a hello.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A welcome, and the line is cut.
    WelcomeAlone,
    /// A welcome, and the run is over.
    WelcomeAndEnd,
    /// A welcome, and another one, which makes no sense.
    WelcomeTwice,
    /// There is no such service here.
    Stranger,
    /// None.
    Silence,
}

/// What it answers, one after the other, and how often it was dialled.
struct Script(&'static [Answer], Arc<AtomicUsize>);

#[async_trait]
impl pb::Farm for Script {
    type WorkStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<pb::CoordinatorMessage, Status>>>;

    async fn work(
        &self,
        _: Request<Streaming<pb::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let Self(answers, calls) = self;
        let answer = answers[calls.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
        let config = config(&[]);
        let layout = layout_of(&config).unwrap().as_ref().clone();
        let welcome = Welcome { worker: WorkerId(1), config, layout, pack: None };
        let mut messages = vec![Down::Welcome(welcome.into())];
        match answer {
            Answer::WelcomeAlone => {}
            Answer::WelcomeAndEnd => messages.push(Down::Finished(pb::Finished {})),
            Answer::WelcomeTwice => messages.push(messages[0].clone()),
            Answer::Stranger => return Err(Status::unimplemented("")),
            Answer::Silence => std::future::pending().await,
        }
        let message = |message| Ok(pb::CoordinatorMessage { message: Some(message) });
        let messages: Vec<_> = messages.into_iter().map(message).collect();
        Ok(Response::new(tokio_stream::iter(messages)))
    }

    type FetchPackStream = tokio_stream::Empty<Result<pb::Chunk, Status>>;

    async fn fetch_pack(
        &self,
        _: Request<pb::PackRequest>,
    ) -> Result<Response<Self::FetchPackStream>, Status> {
        Err(Status::not_found("there is no pack"))
    }
}

/// What a worker comes to that is answered so, and how often it has dialled.
async fn follow(answers: &'static [Answer]) -> (Result<Ended, SessionError>, usize) {
    let cache = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Script(answers, Arc::clone(&calls));
    let server = Server::builder().add_service(pb::FarmServer::new(script));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let options =
        SessionOptions { wait: Duration::ZERO, ..options(&address, "w", 1, cache.path()) };
    let ended = worker_at(options, Arc::new(|| ())).await.unwrap();
    (ended, calls.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_welcome_once_tries_again_whatever_answers_meanwhile() {
    let answers = &[Answer::WelcomeAlone, Answer::Stranger, Answer::WelcomeAndEnd];
    let (ended, calls) = follow(answers).await;
    assert_eq!((ended.unwrap(), calls), (Ended::Finished, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_borne_a_few_times() {
    let answers = &[Answer::WelcomeTwice, Answer::WelcomeTwice, Answer::WelcomeAndEnd];
    let (ended, calls) = follow(answers).await;
    assert_eq!((ended.unwrap(), calls), (Ended::Finished, 3));
    let (ended, calls) = follow(&[Answer::WelcomeTwice]).await;
    assert!(matches!(ended, Err(SessionError::Wire(_))), "{ended:?}");
    assert_eq!(calls, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_was_ends_where_a_stranger_answers_and_where_nobody_does() {
    let (ended, calls) = follow(&[Answer::Stranger]).await;
    assert!(matches!(ended, Err(SessionError::Stranger { .. })), "{ended:?}");
    assert_eq!(calls, 1);
    let (ended, calls) = follow(&[Answer::Silence]).await;
    let Err(SessionError::Unreachable { problem, .. }) = &ended else { panic!("{ended:?}") };
    assert_eq!((problem.as_str(), calls), ("it does not answer", 1));
}
