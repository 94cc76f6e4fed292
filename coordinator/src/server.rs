//! Serves a run: the services on a socket, and the task that drives the run.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lyceum_common::ids::Digest;
use lyceum_common::spares::Spares;
use lyceum_common::wire::http2::{FRAME, KEEPALIVE, WINDOW};
use lyceum_common::wire::{FILE_DESCRIPTOR_SET, PackInfo};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
#[cfg(unix)]
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::driver::Driver;
use crate::enterprise::Enterprise;
use crate::listener::Socket;
#[cfg(unix)]
use crate::listener::unix::UnixSocket;
pub use crate::listener::{BindError, Listener};
use crate::metrics::{Metrics, MetricsError};
use crate::observation::Observer;
use crate::pace::Pace;
use crate::prompt::Prompt;
pub use crate::recorder::RecordError;
use crate::recorder::Recorder;
use crate::roster::Roster;
use crate::run::Outcome;
use crate::service::{Ending, ServiceParts, services};
use crate::status::{Phase, Status};
use crate::stopwatch::Stopwatch;

/// How long workers have to hang up after the run is over.
const PARTING: Duration = Duration::from_secs(5);
/// How long a connection has to begin.
const BEGINNING: Duration = Duration::from_secs(10);
/// Messages from workers that may wait for the run; beyond it their connections wait.
const INCOMING: usize = 1024;
/// The pause where no connection could be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a run could not be served to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The metrics cannot be opened.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A checkpoint or metrics could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The socket failed.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The protocol's own description is broken: a defect.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server's task panicked: a defect.
    #[error("the server ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Serves a run to workers until it is over, or until `shutdown`: then the last complete meta-step is saved, and the run
/// can be resumed. Returns when workers have hung up, or have had the time to.
///
/// # Errors
/// Where files cannot be written or the socket fails.
pub async fn serve(
    listener: Listener,
    enterprise: Enterprise,
    observer: Observer,
    shutdown: CancellationToken,
) -> Result<Outcome, ServeError> {
    let Enterprise { config, layout, pack, folder, resumed, run } = enterprise;
    let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let metrics = Metrics::open(folder.run_folder(), resumed.as_ref(), wall_time.as_secs_f64())?;
    let status = Status {
        run: config.name.clone(),
        phase: Phase::default(),
        step: resumed.as_ref().map(|snapshot| snapshot.step).unwrap_or_default(),
        steps: config.training.meta_steps,
        parameters: Digest::of(&[]),
        last: None,
        episodes_per_second: None,
        seconds_left: None,
        workers: std::collections::BTreeMap::new(),
    };
    let spares = Arc::new(Spares::default());
    let driver = Driver {
        pace: Pace::new(&config.training, status.step),
        run,
        recorder: Recorder::start(folder, metrics),
        observer,
        status,
        roster: Roster::default(),
        spares: Arc::clone(&spares),
        stopwatch: Stopwatch::default(),
    };

    let (sender, incoming) = mpsc::channel(INCOMING);
    let (ending, told) = watch::channel(Ending::NotYet);
    let info = pack
        .as_ref()
        .map(|pack| PackInfo { digest: pack.digest(), size: pack.bytes().len() as u64 });
    let parts = ServiceParts { config, layout, info, pack, spares, incoming: sender, ending: told };
    let hang_up = CancellationToken::new();
    let server = tokio::spawn(serve_services(listener, parts, hang_up.clone()));

    let outcome = driver.drive(incoming, shutdown).await;
    let last_word = match &outcome {
        Ok(Outcome::Completed(_) | Outcome::Failed(_)) => Ending::Finished,
        Ok(Outcome::Stopped { .. }) | Err(_) => Ending::Stopped,
    };
    ending.send_replace(last_word);
    hang_up.cancel();
    let abort = server.abort_handle();
    match tokio::time::timeout(PARTING, server).await {
        Ok(served) => served??,
        Err(_) => abort.abort(),
    }
    Ok(outcome?)
}

async fn serve_services(
    listener: Listener,
    parts: ServiceParts,
    hang_up: CancellationToken,
) -> Result<(), ServeError> {
    let (farm, control) = services(Arc::new(parts));
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("lyceum.v1.Farm", tonic_health::ServingStatus::Serving).await;
    reporter.set_service_status("lyceum.v1.Control", tonic_health::ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        // What Python's client still asks for.
        .add_service(reflection().build_v1alpha()?)
        .add_service(farm)
        .add_service(control);
    match listener.socket {
        Socket::Tcp(listener) => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server
                .serve_with_incoming_shutdown(incoming.then(accepted), hang_up.cancelled_owned())
                .await?;
        }
        #[cfg(unix)]
        Socket::Unix(UnixSocket { listener, file }) => {
            let incoming = UnixListenerStream::new(listener);
            // The file goes before the socket is closed: from then on it may be another coordinator's.
            let hang_up = async move {
                hang_up.cancelled_owned().await;
                drop(file);
            };
            server.serve_with_incoming_shutdown(incoming.then(accepted), hang_up).await?;
        }
    }
    Ok(())
}

/// A connection, which is to begin in time. Where there is none to be had, as where the process has no file left for it, the next
/// attempt waits a little: it would fail at once, again and again.
async fn accepted<S>(stream: io::Result<S>) -> io::Result<Prompt<S>> {
    if stream.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Prompt::new(stream?, BEGINNING))
}
