//! The service for those who look at a run from outside.

use lyceum_common::wire::{digest_bytes, pb};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, async_trait};

use super::Incoming;
use crate::status::{Phase, Status};

#[derive(Debug)]
pub(crate) struct ControlService {
    incoming: mpsc::Sender<Incoming>,
}

impl ControlService {
    pub(super) fn new(incoming: mpsc::Sender<Incoming>) -> Self {
        Self { incoming }
    }

    async fn tell(&self, incoming: Incoming) -> Result<(), tonic::Status> {
        self.incoming.send(incoming).await.map_err(|_| over())
    }
}

#[async_trait]
impl pb::Control for ControlService {
    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusReply>, tonic::Status> {
        let (sender, receiver) = oneshot::channel();
        self.tell(Incoming::Status(sender)).await?;
        let status = receiver.await.map_err(|_| over())?;
        Ok(Response::new(status.into()))
    }

    async fn stop(
        &self,
        _request: Request<pb::StopRequest>,
    ) -> Result<Response<pb::StopReply>, tonic::Status> {
        self.tell(Incoming::Stop).await?;
        Ok(Response::new(pb::StopReply {}))
    }
}

fn over() -> tonic::Status {
    tonic::Status::unavailable("the run is over")
}

impl From<Status> for pb::StatusReply {
    fn from(status: Status) -> Self {
        let workers = status.workers.into_iter().map(|(id, worker)| pb::WorkerStatus {
            worker_id: id.0,
            name: worker.hello.name,
            threads: worker.hello.threads,
            instruction_set: worker.hello.instruction_set,
            episodes: worker.episodes,
        });
        Self {
            run: status.run,
            phase: match status.phase {
                Phase::Training => pb::Phase::Training,
                Phase::Validation => pb::Phase::Validation,
                Phase::Test => pb::Phase::Test,
                Phase::Finished => pb::Phase::Finished,
            }
            .into(),
            meta_step: status.step.0,
            meta_steps: status.steps,
            parameters: digest_bytes(status.parameters),
            last: status.last.map(|(loss, accuracy)| pb::Measurement { loss, accuracy }),
            workers: workers.collect(),
        }
    }
}
