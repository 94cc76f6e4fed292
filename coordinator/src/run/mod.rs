//! The whole state of a run. No clock, no socket, no file: events and the time come in, actions go out.
//!
//! | file | answers |
//! | --- | --- |
//! | `message`, `report`, `outcome`, `snapshot` | what goes in, what comes out |
//! | `workers` | who is there, and who was given what |
//! | `leases` | who has which range, and until when |
//! | `admission` | may this submission count |
//! | `audit` | is this range computed twice, and do the answers agree |
//! | `round` | what is summed up just now |
//! | `step`, `evaluation` | what follows from a complete sum |

mod admission;
mod audit;
mod evaluation;
mod leases;
mod message;
mod outcome;
mod report;
mod round;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lyceum_common::abreast::episodes_abreast;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, MetaStep, Split, WorkerId};
use lyceum_common::parameters::{MetaParameters, Retired};
use lyceum_common::report::ReportSums;

use crate::meta_optimizer::{MetaOptimizer, StateError};
use leases::{Again, Answer, Grant};
use round::Round;
use workers::Workers;

pub use admission::Refusal;
pub use message::{Action, Assignment, Capability, Event, Job, Submission};
pub use outcome::{Completed, Outcome, RunError};
pub use report::{Evaluation, Progress, Report, ReportKind};
pub use snapshot::{Best, Snapshot};

/// Assignments that a worker holds at a time: the one that it computes and the next, so that it does not wait.
const PREFETCH: usize = 2;

/// A run: [`handle`](Self::handle) what happened, then do what [`poll`](Self::poll) says until it says nothing.
#[derive(Debug)]
pub struct Run {
    config: RunConfig,
    /// Episodes that a thread takes at once.
    abreast: usize,
    step: MetaStep,
    parameters: MetaParameters,
    /// Versions before it, whose memory the next one takes.
    retired: Retired,
    optimizer: MetaOptimizer,
    best: Option<Best>,
    /// Whether the validation that is due at `step`, if any, is done.
    validated: bool,
    /// Sums over the training episodes since the last report.
    unreported: ReportSums,
    phase: Phase,
    workers: Workers,
    assignments: u64,
    outbox: VecDeque<Action>,
}

/// What a run is at.
#[derive(Debug)]
enum Phase {
    /// Summing the gradients of a meta-step.
    Training(Round),
    /// Evaluating the parameters between two meta-steps.
    Validation(Round),
    /// Evaluating the parameters that the run is for.
    Test { round: Round, parameters: MetaParameters },
    /// Nothing any more.
    Over,
}

impl Phase {
    fn round(&self) -> Option<&Round> {
        match self {
            Self::Training(round) | Self::Validation(round) | Self::Test { round, .. } => {
                Some(round)
            }
            Self::Over => None,
        }
    }

    fn round_mut(&mut self) -> Option<&mut Round> {
        match self {
            Self::Training(round) | Self::Validation(round) | Self::Test { round, .. } => {
                Some(round)
            }
            Self::Over => None,
        }
    }
}

impl Run {
    /// A run from its beginning, with these initial meta-parameters.
    #[must_use]
    pub fn new(config: RunConfig, parameters: MetaParameters) -> Self {
        let meta_steps = config.training.meta_steps;
        let optimizer = MetaOptimizer::new(&config.meta_optimizer, meta_steps, parameters.layout());
        let mut run = Self {
            abreast: episodes_abreast(&config),
            config,
            step: MetaStep(0),
            parameters,
            retired: Retired::default(),
            optimizer,
            best: None,
            validated: false,
            unreported: ReportSums::default(),
            phase: Phase::Over,
            workers: Workers::default(),
            assignments: 0,
            outbox: VecDeque::new(),
        };
        run.begin();
        run
    }

    /// A run that goes on from a snapshot, to the same bits as one that never stopped.
    ///
    /// # Errors
    /// Where the snapshot is of a run with another meta-optimizer.
    pub fn restore(config: RunConfig, snapshot: Snapshot) -> Result<Self, StateError> {
        let mut run = Self::new(config, snapshot.parameters);
        run.optimizer.restore(&snapshot.optimizer)?;
        run.step = snapshot.step;
        run.best = snapshot.best;
        run.validated = snapshot.validated;
        run.unreported = snapshot.unreported;
        run.outbox.clear();
        run.begin();
        Ok(run)
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        let Some(round) = self.phase.round_mut() else { return };
        round.leases.expire(now);
        match event {
            Event::Joined(worker, capability) => {
                self.leave(worker);
                self.workers.join(worker, capability);
            }
            Event::Left(worker) => self.leave(worker),
            Event::Submitted(worker, submission) => self.submitted(worker, submission),
            Event::Tick => {}
            Event::Stop => {
                self.outbox.push_back(Action::Save(self.snapshot()));
                self.finish(Outcome::Stopped { step: self.step });
            }
        }
        self.assign(now);
    }

    /// The next thing to do, in order; none until something more happens.
    pub fn poll(&mut self) -> Option<Action> {
        self.outbox.pop_front()
    }

    /// When to handle an [`Event::Tick`], if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.phase.round()?.leases.next_expiry()
    }

    fn round(&self, job: Job, version: Digest, episodes: u64) -> Round {
        Round::new(job, version, episodes, self.abreast, self.config.training.sums)
    }

    /// Begins what comes next after the meta-steps that are complete.
    fn begin(&mut self) {
        let training = &self.config.training;
        let version = self.parameters.digest();
        if self.validation_is_due() {
            let job = Job::Evaluation { split: Split::Validation };
            let episodes = training.validation_episodes;
            self.phase = Phase::Validation(self.round(job, version, episodes));
        } else if self.step.0 < training.meta_steps {
            let job = Job::Gradient { step: self.step };
            let episodes = training.meta_batch;
            self.phase = Phase::Training(self.round(job, version, episodes));
        } else {
            return self.begin_test();
        }
        self.outbox.push_back(Action::Publish(self.parameters.clone()));
    }

    /// Goes on where the round under way is complete.
    fn advance(&mut self) {
        if !self.phase.round().is_some_and(|round| round.leases.are_done()) {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Training(round) => self.complete_step(round),
            Phase::Validation(round) => self.complete_validation(round),
            Phase::Test { round, parameters } => self.complete_test(round, parameters),
            Phase::Over => {}
        }
    }

    fn leave(&mut self, worker: WorkerId) {
        self.workers.leave(worker);
        if let Some(round) = self.phase.round_mut() {
            round.leases.leave(worker);
        }
    }

    fn submitted(&mut self, worker: WorkerId, submission: Submission) {
        let Some(round) = self.phase.round_mut() else { return };
        let id = submission.assignment;
        let Some(assignment) = self.workers.take_back(worker, id) else {
            self.outbox.push_back(Action::Refuse(worker, Refusal::UnknownAssignment(id)));
            let answers = self.workers.unknown(worker);
            return self.expel(worker, answers);
        };
        let length = self.parameters.values().len();
        if let Err(refusal) = admission::admit(&assignment, &submission, length) {
            return self.refuse(worker, &assignment, refusal);
        }
        self.outbox.push_back(Action::Accept(worker, assignment.range));
        let fingerprint = || audit::fingerprint(&submission.partials);
        match round.leases.answer(worker, id, fingerprint) {
            Answer::Late => {}
            Answer::First => {
                let free = round.fold(submission.partials);
                self.outbox.extend(free.into_iter().map(Action::Reuse));
                self.advance();
            }
            Answer::Agrees => self.advance(),
            Answer::Differs { first } => self.save_and_fail(RunError::AuditMismatch {
                job: assignment.job,
                range: assignment.range,
                first,
                second: worker,
            }),
        }
    }

    fn refuse(&mut self, worker: WorkerId, assignment: &Assignment, refusal: Refusal) {
        let Some(round) = self.phase.round_mut() else { return };
        let under_way = round.job == assignment.job && round.parameters == assignment.parameters;
        round.leases.refuse(assignment.id);
        let diverged = under_way
            && matches!(refusal, Refusal::NotFinite(_))
            && round.leases.not_finite(worker, assignment.range);
        self.outbox.push_back(Action::Refuse(worker, refusal));
        if diverged {
            let (job, range) = (assignment.job, assignment.range);
            return self.save_and_fail(RunError::Diverged { job, range });
        }
        let refusals = self.workers.refused(worker);
        self.expel(worker, refusals);
    }

    /// Parts with a worker, where so many of its answers were refused; none where they are not too many.
    fn expel(&mut self, worker: WorkerId, refusals: Option<u32>) {
        let Some(refusals) = refusals else { return };
        self.outbox.push_back(Action::Refuse(worker, Refusal::Expelled(refusals)));
        self.leave(worker);
    }

    /// Gives work to whoever can take some: first to those that have none, then ahead of need; what is overdue to those
    /// that are idle; and what they had before where else nothing would go on.
    fn assign(&mut self, now: Instant) {
        let lease = Duration::try_from_secs_f64(self.config.farm.lease_seconds).ok();
        let expires = lease.and_then(|lease| now.checked_add(lease));
        // A lone worker leaves nothing to others.
        let again = if self.workers.len() == 1 { Again::NotFinite } else { Again::Never };
        self.assign_to_all(again, expires, 1);
        // Whoever can take something had all that is left before; whoever cannot has let the time of a lease pass. So it
        // is given again: else nothing might happen until somebody joins or leaves.
        for again in [Again::Answered, Again::NotFinite] {
            if self.phase.round().is_some_and(|round| round.leases.are_stuck()) {
                self.assign_to_all(again, expires, PREFETCH);
            }
        }
    }

    /// Gives every worker an assignment, then another ahead of need; what is overdue where it holds fewer than `idle`.
    fn assign_to_all(&mut self, again: Again, expires: Option<Instant>, idle: usize) {
        for held in 0..PREFETCH {
            for worker in self.workers.holding(held) {
                let grant = Grant { worker, again, assignment: self.assignments, expires };
                self.assign_to(grant, held < idle);
            }
        }
    }

    fn assign_to(&mut self, grant: Grant, idle: bool) {
        let Some(round) = self.phase.round_mut() else { return };
        let (job, farm) = (round.job, &self.config.farm);
        let worker = grant.worker;
        let threads = self.workers.threads(worker);
        let sizes = round.sizes;
        let given = round
            .leases
            .give(
                grant,
                |start| sizes.cut(start, threads, farm.assignment),
                |start| audit::is_chosen(farm.audit, job, start),
            )
            .or_else(|| idle.then(|| round.leases.give_overdue(grant))?);
        let Some(range) = given else { return };
        self.assignments += 1;
        let (parameters, episodes) = (round.parameters, round.sizes.episodes);
        let assignment = Assignment { id: grant.assignment, job, parameters, range, episodes };
        self.workers.give(worker, assignment);
        self.outbox.push_back(Action::Assign(worker, assignment));
    }

    /// The state after the last complete meta-step.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            step: self.step,
            parameters: self.parameters.clone(),
            optimizer: self.optimizer.state(),
            best: self.best.clone(),
            validated: self.validated,
            unreported: self.unreported,
        }
    }

    /// Ends the run where its state is still that after the last complete meta-step, and saves it, to be gone on from.
    fn save_and_fail(&mut self, error: RunError) {
        self.outbox.push_back(Action::Save(self.snapshot()));
        self.fail(error);
    }

    fn fail(&mut self, error: RunError) {
        self.finish(Outcome::Failed(error));
    }

    fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Over;
        self.outbox.push_back(Action::Finish(outcome));
    }

    fn report(&self, kind: ReportKind, step: MetaStep, sums: &ReportSums) -> Report {
        let accuracy = self.config.data.is_classification().then(|| sums.mean_accuracy());
        let (episodes, loss) = (sums.episodes, sums.mean_loss());
        Report { kind, step, episodes, loss, accuracy, workers: self.workers.len() }
    }
}
