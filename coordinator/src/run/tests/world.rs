//! A world without computers: what workers would answer, as a function of what they are asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, EpisodeRange, WorkerId};
use lyceum_common::layout::{Initialisation, Layout, Role};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::reduction::{NodeId, Partial, Reduction};
use lyceum_common::report::EpisodeReport;

use crate::run::{
    Action, Assignment, Capability, Event, Job, Outcome, Refusal, Report, Run, Snapshot, Submission,
};

pub(crate) fn layout() -> Arc<Layout> {
    let mut layout = Layout::new();
    layout.push("weight", &[3], Role::Trained, Initialisation::Constant(0.1));
    layout.push("running", &[1], Role::Buffer, Initialisation::Constant(1.0));
    layout.push("bias", &[1], Role::Trained, Initialisation::Constant(-0.3));
    Arc::new(layout)
}

pub(crate) fn beginning() -> MetaParameters {
    MetaParameters::new(layout(), vec![0.1, 0.2, 0.3, 1.0, -0.3]).unwrap()
}

/// A run of 6 meta-steps of 7 episodes, validated every 2.
pub(crate) fn config(overrides: &[&str]) -> RunConfig {
    let text = r#"
        name = "scripted"
        data.sinusoid = {}
        episode = { ways = 1, shots = 5, queries = 5 }
        network.mlp = { hidden = [4], activation = "relu" }
        learner.maml = { inner_rate = 0.01, inner_steps = 1, evaluation_steps = 1, order = "second" }
        meta_optimizer = { rule.adam = {}, rate = 0.01, schedule.cosine.to = 0.001 }
        [training]
        meta_steps = 6
        meta_batch = 7
        validate_every = 2
        validation_episodes = 5
        test_episodes = 9
        checkpoint_every = 3
        report_every = 4
    "#;
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    lyceum_common::config::parse("test", text, &overrides).unwrap()
}

/// What an honest worker answers.
pub(crate) fn answer(assignment: &Assignment, theta: &[f32]) -> Submission {
    let mut reduction = Reduction::new(assignment.episodes, assignment.range);
    for episode in assignment.range.indices() {
        let salt = match assignment.job {
            Job::Gradient { step } => step.0 as f32,
            Job::Evaluation { split } => -1.5 - split as u8 as f32,
        };
        let noise = libm::sinf((episode as f32 + 0.7) * (salt + 3.1));
        let gradient = match assignment.job {
            Job::Gradient { .. } => theta.iter().map(|t| t * noise - noise / 3.0).collect(),
            Job::Evaluation { .. } => Vec::new(),
        };
        let loss = f64::from(theta.iter().fold(noise, |sum, t| sum + t * t));
        let reports = EpisodeReport { loss, accuracy: 0.0 }.into();
        reduction.add(Partial { node: NodeId::leaf(episode), gradient, reports });
    }
    let Assignment { id, job, parameters, range, .. } = *assignment;
    let partials = reduction.into_partials();
    Submission { assignment: id, job, parameters, range, partials, finite: true }
}

/// A run, its clock, and the workers that are there.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) now: Instant,
    /// What each worker holds, the oldest first.
    pub(crate) workers: BTreeMap<WorkerId, Vec<Assignment>>,
    pub(crate) published: BTreeMap<Digest, MetaParameters>,
    pub(crate) refusals: Vec<(WorkerId, Refusal)>,
    pub(crate) accepted: Vec<(WorkerId, EpisodeRange)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) outcome: Option<Outcome>,
    joined: u64,
}

impl World {
    pub(crate) fn new(run: Run) -> Self {
        let mut world = Self {
            run,
            now: Instant::now(),
            workers: BTreeMap::new(),
            published: BTreeMap::new(),
            refusals: Vec::new(),
            accepted: Vec::new(),
            reports: Vec::new(),
            snapshots: Vec::new(),
            outcome: None,
            joined: 0,
        };
        world.drain();
        world
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.run.handle(self.now, event);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.run.poll() {
            assert!(self.outcome.is_none(), "{action:?} after the end");
            match action {
                Action::Assign(worker, assignment) => {
                    assert!(self.published.contains_key(&assignment.parameters));
                    self.workers.get_mut(&worker).expect("it is there").push(assignment);
                }
                Action::Publish(parameters) => {
                    self.published.insert(parameters.digest(), parameters);
                }
                Action::Refuse(worker, refusal) => {
                    if matches!(refusal, Refusal::Expelled(_)) {
                        self.workers.remove(&worker);
                    }
                    self.refusals.push((worker, refusal));
                }
                Action::Accept(worker, range) => self.accepted.push((worker, range)),
                Action::Save(snapshot) => self.snapshots.push(snapshot),
                Action::Report(report) => self.reports.push(Report { workers: 0, ..report }),
                Action::Progress(_) | Action::Reuse(_) => {}
                Action::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
    }

    pub(crate) fn join(&mut self, threads: u32) -> WorkerId {
        let worker = WorkerId(self.joined);
        self.joined += 1;
        self.workers.insert(worker, Vec::new());
        self.handle(Event::Joined(worker, Capability { threads }));
        worker
    }

    pub(crate) fn leave(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.handle(Event::Left(worker));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
    }

    /// The worker's next assignment, taken off its hands.
    pub(crate) fn take(&mut self, worker: WorkerId) -> Option<Assignment> {
        let held = self.workers.get_mut(&worker)?;
        (!held.is_empty()).then(|| held.remove(0))
    }

    pub(crate) fn honest(&self, assignment: &Assignment) -> Submission {
        answer(assignment, self.published[&assignment.parameters].values())
    }

    pub(crate) fn submit(&mut self, worker: WorkerId, submission: Submission) {
        self.handle(Event::Submitted(worker, submission));
    }

    /// Everybody answers honestly until nobody has anything.
    pub(crate) fn work(&mut self) {
        while let Some(worker) =
            self.workers.iter().find(|(_, held)| !held.is_empty()).map(|(&worker, _)| worker)
        {
            let Some(assignment) = self.take(worker) else { return };
            let submission = self.honest(&assignment);
            self.submit(worker, submission);
        }
    }
}

/// A run that one worker does undisturbed.
pub(crate) fn undisturbed(config: &RunConfig) -> World {
    let mut world = World::new(Run::new(config.clone(), beginning()));
    world.join(1);
    world.work();
    world
}
