//! The gRPC services: what peers send becomes what the driver knows, and the other way round.

mod control;
pub(crate) mod control_client;
mod farm;
mod member;
mod outbound;
mod pack;

use std::sync::Arc;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::WorkerId;
use lyceum_common::layout::Layout;
use lyceum_common::pack::Pack;
use lyceum_common::spares::Spares;
use lyceum_common::wire::pb::ControlServer;
use lyceum_common::wire::{Hello, PackInfo};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::DropGuard;

use crate::run::Submission;
use crate::status::Status;
pub(crate) use outbound::{Farewell, Outbound, Version};

/// What arrives from the services.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A worker has what it needs.
    Joined {
        worker: WorkerId,
        hello: Hello,
        outbound: Outbound,
        /// Ends the task that listens to the worker.
        listener: DropGuard,
    },
    /// A worker is gone, or is to be told that it has to go.
    Left(WorkerId, Farewell),
    /// A worker answers.
    Submitted(WorkerId, Submission),
    /// Somebody asks where the run is.
    Status(oneshot::Sender<Status>),
    /// Somebody wants the run to stop, and to be told that it has heard of it.
    Stop(oneshot::Sender<()>),
}

/// Whether the run is over, for workers that are about to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is not.
    NotYet,
    /// It is over, and no coordinator will come back to it.
    Finished,
    /// It was stopped, and may be resumed.
    Stopped,
}

/// What the services know.
#[derive(Debug)]
pub(crate) struct ServiceParts {
    pub(crate) config: RunConfig,
    pub(crate) layout: Arc<Layout>,
    pub(crate) info: Option<PackInfo>,
    pub(crate) pack: Option<Arc<Pack>>,
    /// For gradients that come in; the driver puts back what the run is done with.
    pub(crate) spares: Arc<Spares>,
    pub(crate) incoming: mpsc::Sender<Incoming>,
    pub(crate) ending: watch::Receiver<Ending>,
}

/// Lyceum's two services.
pub(crate) fn services(
    parts: Arc<ServiceParts>,
) -> (farm::FarmService, ControlServer<control::ControlService>) {
    let control = control::ControlService::new(parts.incoming.clone());
    (farm::FarmService::new(parts), ControlServer::new(control))
}
