//! The one task around a [`Run`]: what arrives becomes events, and what the run asks for is done. Nothing else changes
//! the run.

use std::sync::Arc;
use std::time::Instant;

use lyceum_common::ids::WorkerId;
use lyceum_common::spares::Spares;
use tokio::select;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::observation::{Observation, Observer};
use crate::pace::Pace;
use crate::recorder::{Record, RecordError, Recorder};
use crate::roster::{Member, Roster};
use crate::run::{Action, Capability, Event, Outcome, Refusal, Run};
use crate::service::{Farewell, Incoming};
use crate::status::{Phase, Status, WorkerStatus};
use crate::stopwatch::Stopwatch;

pub(crate) struct Driver {
    pub(crate) run: Run,
    pub(crate) recorder: Recorder,
    pub(crate) observer: Observer,
    pub(crate) status: Status,
    pub(crate) roster: Roster,
    /// For gradients that come in.
    pub(crate) spares: Arc<Spares>,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) pace: Pace,
}

impl Driver {
    /// Drives the run to its end, and parts with the workers.
    pub(crate) async fn drive(
        mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        shutdown: CancellationToken,
    ) -> Result<Outcome, RecordError> {
        let outcome = self.until_outcome(&mut incoming, shutdown).await;
        self.status.phase = Phase::Finished;
        let farewell = match &outcome {
            Ok(Outcome::Completed(_) | Outcome::Failed(_)) => Farewell::Finished,
            Ok(Outcome::Stopped { .. }) => Farewell::GoingAway("the run was stopped".into()),
            Err(error) => Farewell::GoingAway(error.to_string()),
        };
        self.roster.part_with_all(&farewell);
        // Who joined in the last moment, and was not seen any more, is told as well: it would try to join again for ever.
        incoming.close();
        while let Some(message) = incoming.recv().await {
            if let Incoming::Joined { outbound, .. } = message {
                outbound.close(farewell.clone());
            }
        }
        if let Ok(Outcome::Completed(completed)) = &outcome {
            self.recorder.write(Record::Model(completed.parameters.clone())).await;
        }
        // The first error is the one that is told.
        let outcome = outcome?;
        self.recorder.finish().await?;
        Ok(outcome)
    }

    async fn until_outcome(
        &mut self,
        incoming: &mut mpsc::Receiver<Incoming>,
        shutdown: CancellationToken,
    ) -> Result<Outcome, RecordError> {
        let mut stopping = false;
        loop {
            while let Some(action) = self.run.poll() {
                if let Action::Finish(outcome) = action {
                    return Ok(outcome);
                }
                self.perform(action).await;
            }
            let event = if let Some(worker) = self.roster.take_lost() {
                let farewell = Farewell::GoingAway("the worker took no more messages".into());
                self.part(worker, farewell)
            } else {
                let tick = self.run.poll_timeout();
                select! {
                    error = self.recorder.failed() => return Err(error),
                    () = shutdown.cancelled(), if !stopping => {
                        stopping = true;
                        Some(Event::Stop)
                    }
                    // The services hold the other end for as long as this runs.
                    Some(incoming) = incoming.recv() => self.take(incoming),
                    () = reach(tick) => Some(Event::Tick),
                }
            };
            if let Some(event) = event {
                self.run.handle(Instant::now(), event);
            }
        }
    }

    /// What a message from the services means to the run.
    fn take(&mut self, incoming: Incoming) -> Option<Event> {
        match incoming {
            Incoming::Joined { worker, hello, outbound, listener } => {
                self.stopwatch.work_begins(Instant::now());
                let capability = Capability { threads: hello.threads };
                self.roster.join(worker, Member::new(outbound, listener));
                self.status
                    .workers
                    .insert(worker, WorkerStatus { hello: hello.clone(), episodes: 0 });
                tracing::info!(%worker, name = hello.name, threads = hello.threads, "joined");
                self.show(Observation::Joined(worker, hello));
                Some(Event::Joined(worker, capability))
            }
            Incoming::Left(worker, farewell) => self.part(worker, farewell),
            Incoming::Submitted(worker, submission) => Some(Event::Submitted(worker, submission)),
            Incoming::Status(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(self.status());
                None
            }
            Incoming::Stop(heard) => {
                let _ = heard.send(());
                Some(Event::Stop)
            }
        }
    }

    fn part(&mut self, worker: WorkerId, farewell: Farewell) -> Option<Event> {
        if !self.roster.part(worker, farewell) {
            return None;
        }
        self.status.workers.remove(&worker);
        if self.status.workers.is_empty() {
            self.stopwatch.work_ends(Instant::now());
        }
        tracing::info!(%worker, "left");
        self.show(Observation::Left(worker));
        Some(Event::Left(worker))
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Assign(worker, assignment) => {
                self.status.assigned(&assignment);
                self.roster.assign(worker, assignment);
                self.show_evaluation();
            }
            Action::Publish(parameters) => {
                self.status.parameters = parameters.digest();
                self.roster.publish(&parameters);
            }
            Action::Accept(worker, range) => {
                if let Some(status) = self.status.workers.get_mut(&worker) {
                    status.episodes = status.episodes.saturating_add(range.len());
                }
                self.show_evaluation();
            }
            Action::Reuse(gradient) => self.spares.put(gradient),
            Action::Refuse(worker, refusal @ Refusal::Expelled(_)) => {
                tracing::warn!(%worker, %refusal, "expelled");
                // The run has parted with it already.
                let _ = self.part(worker, Farewell::Expelled(refusal.to_string()));
            }
            Action::Refuse(worker, refusal) => {
                tracing::warn!(%worker, %refusal, "refused");
                self.roster.refuse(worker, refusal.to_string());
            }
            Action::Save(snapshot) => self.recorder.write(Record::Snapshot(snapshot)).await,
            Action::Report(report) => {
                let timing = self.stopwatch.report(Instant::now(), &report);
                self.status.step = report.step;
                self.recorder.write(Record::Report(report, timing)).await;
                self.show(Observation::Report(report, timing));
            }
            Action::Progress(progress) => {
                let timing = self.stopwatch.step(Instant::now(), progress.episodes);
                self.status.step = progress.step;
                self.status.last = Some((progress.loss, progress.accuracy));
                self.show(Observation::Progress(progress, timing));
            }
            // The caller has taken it.
            Action::Finish(_) => {}
        }
    }

    /// Shows how far the evaluation under way is. The run is in it before the end of what came before is shown; so not until
    /// somebody was given a part of it.
    fn show_evaluation(&mut self) {
        if let Some(evaluation) = self.run.evaluation()
            && self.status.phase == Phase::evaluating(evaluation.split)
        {
            self.show(Observation::Evaluation(evaluation));
        }
    }

    fn show(&mut self, observation: Observation) {
        self.pace.see(&observation);
        (self.observer)(observation);
    }

    /// Where the run is, and how fast it goes.
    fn status(&self) -> Status {
        let works = !self.status.workers.is_empty();
        Status {
            episodes_per_second: self.pace.rate(),
            seconds_left: self.pace.left().filter(|_| works),
            ..self.status.clone()
        }
    }
}

/// Waits for an instant; for ever where there is none.
async fn reach(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
