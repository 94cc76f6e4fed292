//! The service for those who look at a run from outside.

use lyceum_common::ids::{MetaStep, WorkerId};
use lyceum_common::wire::{Hello, WireError, digest, digest_bytes, pb};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, async_trait};

use super::Incoming;
use crate::status::{Phase, Status, WorkerStatus};

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
        let (sender, receiver) = oneshot::channel();
        self.tell(Incoming::Stop(sender)).await?;
        // It may be over before it comes to hear of it.
        receiver.await.map_err(|_| over())?;
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
            episodes_per_second: status.episodes_per_second,
            seconds_left: status.seconds_left,
            workers: workers.collect(),
        }
    }
}

impl TryFrom<pb::StatusReply> for Status {
    type Error = WireError;

    fn try_from(reply: pb::StatusReply) -> Result<Self, WireError> {
        let phase = match pb::Phase::try_from(reply.phase) {
            Ok(pb::Phase::Training) => Phase::Training,
            Ok(pb::Phase::Validation) => Phase::Validation,
            Ok(pb::Phase::Test) => Phase::Test,
            Ok(pb::Phase::Finished) => Phase::Finished,
            Ok(pb::Phase::Unspecified) | Err(_) => {
                let problem = format!("{} is not a phase", reply.phase);
                return Err(WireError::new("status.phase", problem));
            }
        };
        let workers = reply.workers.into_iter().map(|worker| {
            let pb::WorkerStatus { worker_id, name, threads, instruction_set, episodes } = worker;
            let hello = Hello { name, threads, instruction_set };
            (WorkerId(worker_id), WorkerStatus { hello, episodes })
        });
        Ok(Self {
            run: reply.run,
            phase,
            step: MetaStep(reply.meta_step),
            steps: reply.meta_steps,
            parameters: digest(&reply.parameters, "status.parameters")?,
            last: reply.last.map(|last| (last.loss, last.accuracy)),
            episodes_per_second: reply.episodes_per_second,
            seconds_left: reply.seconds_left,
            workers: workers.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::Digest;

    use super::*;

    fn status(phase: Phase, last: Option<(f64, Option<f64>)>) -> Status {
        let hello = Hello { name: "w".into(), threads: 3, instruction_set: "avx2".into() };
        Status {
            run: "a run".into(),
            phase,
            step: MetaStep(7),
            steps: 9,
            parameters: Digest::of(b"parameters"),
            last,
            episodes_per_second: last.map(|_| 12.5),
            seconds_left: last.map(|_| 3.0),
            workers: [(WorkerId(4), WorkerStatus { hello, episodes: 11 })].into(),
        }
    }

    #[test]
    fn what_is_answered_is_what_the_asker_reads() {
        let phases = [Phase::Training, Phase::Validation, Phase::Test, Phase::Finished];
        for phase in phases {
            for last in [None, Some((0.5, None)), Some((0.5, Some(0.25)))] {
                let status = status(phase, last);
                assert_eq!(Status::try_from(pb::StatusReply::from(status.clone())), Ok(status));
            }
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_refused_by_its_field() {
        let reply = pb::StatusReply::from(status(Phase::Test, None));
        let error = |reply: pb::StatusReply| Status::try_from(reply).unwrap_err().to_string();
        let no_phase = pb::StatusReply { phase: 0, ..reply.clone() };
        assert_eq!(error(no_phase), "status.phase: 0 is not a phase");
        let short = pb::StatusReply { parameters: vec![1; 3].into(), ..reply };
        assert_eq!(error(short), "status.parameters: 3 bytes, and a digest has 32");
    }
}
