//! The threads that compute: ranges of episodes in, sums at the roots of their subtrees out.
//!
//! Parallelism is across episodes: a thread takes the next episode of the oldest computation that has one left, or as many
//! as it computes at once, and nothing that it computes depends on which thread it is. Threads are the system's, never the I/O runtime's, so that
//! a connection lives while they work.

mod ahead;
mod error;
mod evaluation;
mod running;

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use lyceum_common::abreast::ABREAST;
use lyceum_common::assignment::Job;
use lyceum_common::ids::EpisodeRange;
use lyceum_common::reduction::{NodeId, Partial, subtrees};
use lyceum_common::report::{EpisodeReport, ReportSums};
use lyceum_common::seed::{OfEpisode, OfRun, Seed};
use lyceum_common::spares::Spares;

use crate::work::{Abreast, Work, WorkThread};
use ahead::Ahead;
pub use error::ComputeError;
use running::Running;

/// A range of episodes to compute.
#[derive(Clone, Debug)]
pub struct Computation {
    /// What to compute of each episode.
    pub job: Job,
    /// The meta-parameters, in the layout's order.
    pub parameters: Arc<Vec<f32>>,
    /// The run's seed.
    pub seed: Seed<OfRun>,
    /// How many episodes the whole meta-step or evaluation has.
    pub episodes: u64,
    /// Which of them to compute.
    pub range: EpisodeRange,
}

/// The sums at the roots of the range's subtrees, left to right; gradients are in the layout's order.
pub type Computed = Result<Vec<Partial>, ComputeError>;

type Done = Box<dyn FnOnce(Computed) + Send>;

/// Is told how an episode went.
type Each = Box<dyn Fn(u64, EpisodeReport) + Send + Sync>;

/// How often a thread looks for something to do before it sleeps, giving way to others: for about as long as it takes to
/// be woken up. The next meta-step of a small network is there sooner than that; the parameters of others need the cores on
/// their way.
fn patience(parameters: usize) -> usize {
    if parameters < 1 << 14 { 200 } else { 0 }
}

/// Compute threads, each with a workspace of its own.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(work: Arc<dyn Work>, threads: NonZeroUsize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            work,
            queue: Mutex::new(Queue::default()),
            filled: Condvar::new(),
            spares: Arc::default(),
            changes: AtomicU64::new(0),
        });
        let mut pool = Self { shared, threads: Vec::new() };
        for index in 0..threads.get() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.run(index as u64))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a computation behind those that are there. `done` is called once, on a compute thread (or on this one
    /// where nothing can be computed), and must not block.
    pub fn submit(&self, computation: Computation, done: impl FnOnce(Computed) + Send + 'static) {
        self.queue(computation, None, done);
    }

    /// As [`Pool::submit`]; `each` is told of every episode, in whatever order, before `done` is.
    fn queue(
        &self,
        computation: Computation,
        each: Option<Each>,
        done: impl FnOnce(Computed) + Send + 'static,
    ) {
        let expected = self.shared.work.parameters();
        let found = computation.parameters.len();
        if found != expected {
            return done(Err(ComputeError::WrongLength { expected, found }));
        }
        if computation.range.is_empty() {
            return done(Ok(Vec::new()));
        }
        let refused = {
            let mut queue = self.shared.lock_queue();
            match &queue.state {
                State::Open => {
                    self.shared.changes.fetch_add(1, Ordering::Relaxed);
                    queue.waiting.push_back(Arc::new(Running::new(
                        computation,
                        (self.shared.work.abreast() as u64, self.shared.work.sums()),
                        each,
                        Box::new(done),
                    )));
                    None
                }
                State::Failed(error) => Some((error.clone(), done)),
                State::Closed => Some((ComputeError::Abandoned, done)),
            }
        };
        match refused {
            None => self.shared.filled.notify_all(),
            Some((error, done)) => done(Err(error)),
        }
    }

    /// Gives up all computations that have episodes left to begin; each is told so.
    pub fn abandon(&self) {
        let waiting = std::mem::take(&mut self.shared.lock_queue().waiting);
        waiting.iter().for_each(|running| running.end(Err(ComputeError::Abandoned)));
    }

    /// Takes back a gradient's buffer, for another one.
    pub fn recycle(&self, gradient: Vec<f32>) {
        self.shared.spares.put(gradient);
    }

    /// The bytes of a gradient, to send: its buffer comes back when they are gone.
    #[must_use]
    pub fn payload(&self, gradient: Vec<f32>) -> Bytes {
        self.shared.spares.lend(gradient)
    }
}

impl Drop for Pool {
    /// Waits for the threads, which end with the episode that they are at.
    fn drop(&mut self) {
        self.shared.close(State::Closed, &ComputeError::Abandoned);
        for thread in self.threads.drain(..) {
            // A thread catches its panics; were one to slip through, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// What the threads share.
struct Shared {
    work: Arc<dyn Work>,
    queue: Mutex<Queue>,
    /// Something was queued, or the state changed.
    filled: Condvar,
    /// How often that was.
    changes: AtomicU64,
    /// Buffers of gradients, for another use.
    spares: Arc<Spares>,
}

#[derive(Default)]
struct Queue {
    /// In order; the front ones have episodes left, or are removed by the next thread that looks.
    waiting: VecDeque<Arc<Running>>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    Failed(ComputeError),
    Closed,
}

impl Shared {
    /// The life of the thread of this number.
    fn run(&self, index: u64) {
        let mut thread = match catch_unwind(AssertUnwindSafe(|| self.work.thread())) {
            Ok(thread) => thread,
            Err(panic) => return self.fail(&ComputeError::Setup(message(&*panic))),
        };
        let mut version: Option<Arc<Vec<f32>>> = None;
        let mut ahead = Ahead::default();
        while let Some((running, episodes)) = self.next(index, &mut *thread, &mut ahead) {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let parameters = &running.computation.parameters;
                if !version.as_ref().is_some_and(|version| Arc::ptr_eq(version, parameters)) {
                    thread.set_parameters(parameters);
                    version = Some(Arc::clone(parameters));
                }
                self.compute(&mut *thread, &running, episodes, &mut ahead);
            }));
            if let Err(panic) = outcome {
                let episode = episodes.start.0;
                let error = ComputeError::Panicked { episode, message: message(&*panic) };
                // The pool refuses first, so that whoever is told finds it so.
                self.fail(&error);
                return running.end(Err(error));
            }
        }
    }

    /// The next episodes of the oldest computation that has some left for the thread of this number; waits for some, and draws
    /// others meanwhile.
    fn next(
        &self,
        index: u64,
        thread: &mut dyn WorkThread,
        ahead: &mut Ahead,
    ) -> Option<(Arc<Running>, EpisodeRange)> {
        let mut queue = self.lock_queue();
        loop {
            if !matches!(queue.state, State::Open) {
                return None;
            }
            while queue.waiting.front().is_some_and(|front| !front.has_left()) {
                queue.waiting.pop_front();
            }
            let mut occupying = queue.waiting.iter().filter(|running| running.occupies(index));
            let taken = occupying.find_map(|running| {
                let episodes = running.take(ahead.range(&running.computation))?;
                Some((Arc::clone(running), episodes))
            });
            if taken.is_some() {
                return taken;
            }
            let seen = self.changes.load(Ordering::Relaxed);
            let changed = || self.changes.load(Ordering::Relaxed) != seen;
            drop(queue);
            // A panic comes again, and is told, when the episodes are asked for.
            let _ = catch_unwind(AssertUnwindSafe(|| ahead.draw(thread)));
            for _ in 0..patience(self.work.parameters()) {
                if changed() {
                    break;
                }
                std::thread::yield_now();
            }
            queue = self.lock_queue();
            if !changed() {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn compute(
        &self,
        thread: &mut dyn WorkThread,
        running: &Arc<Running>,
        episodes: EpisodeRange,
        ahead: &mut Ahead,
    ) {
        let seeds = ahead.seeds(running, episodes);
        let seeds = &seeds[..episodes.len() as usize];
        match thread.abreast() {
            Some(thread) => self.compute_abreast(thread, running, episodes, seeds),
            None => {
                for &seed in seeds {
                    self.compute_one(thread, running, seed);
                }
            }
        }
    }

    fn compute_one(&self, thread: &mut dyn WorkThread, running: &Running, seed: Seed<OfEpisode>) {
        let episode = seed.index().0;
        let (gradient, report) = match running.computation.job {
            Job::Gradient { .. } => {
                let mut gradient = self.buffer();
                let report = thread.meta_gradient(seed, &mut gradient);
                (gradient, report)
            }
            Job::Evaluation { split } => (Vec::new(), thread.evaluate(seed, split)),
        };
        running.tell(EpisodeRange::new(episode, episode + 1), &[report]);
        self.add(
            running,
            Partial { node: NodeId::leaf(episode), gradient, reports: report.into() },
        );
    }

    /// Computes episodes at once, whose sums begin at the nodes that are wholly theirs.
    fn compute_abreast(
        &self,
        thread: &mut dyn Abreast,
        running: &Running,
        range: EpisodeRange,
        seeds: &[Seed<OfEpisode>],
    ) {
        let Computation { job, episodes, .. } = running.computation;
        let mut reports = [EpisodeReport::default(); ABREAST];
        let reports = &mut reports[..seeds.len()];
        match job {
            Job::Gradient { .. } => thread.meta_gradients(seeds, reports),
            Job::Evaluation { split } => thread.evaluations(seeds, split, reports),
        }
        running.tell(range, reports);
        for node in subtrees(episodes, range) {
            let below = node.episodes(episodes);
            let first = (below.start.0 - range.start.0) as usize;
            let reports = ReportSums::of(&reports[first..first + below.len() as usize]);
            let mut gradient = Vec::new();
            if matches!(job, Job::Gradient { .. }) {
                gradient = self.buffer();
                let place = (below.start.0 % ABREAST as u64) as usize;
                thread.sum(place..place + below.len() as usize, &mut gradient);
            }
            self.add(running, Partial { node, gradient, reports });
        }
    }

    /// Sums a partial up the tree. The last one of a range ends the computation.
    fn add(&self, running: &Running, partial: Partial) {
        let Some(mut partials) = running.add(partial, |gradient| self.spares.put(gradient)) else {
            return;
        };
        if let (Job::Gradient { .. }, Some(order)) =
            (running.computation.job, self.work.layout_order())
        {
            for Partial { gradient, .. } in &mut partials {
                let mut restored = self.buffer();
                for (&place, &value) in order.iter().zip(&*gradient) {
                    restored[place as usize] = value;
                }
                self.spares.put(std::mem::replace(gradient, restored));
            }
        }
        running.end(Ok(partials));
    }

    fn buffer(&self) -> Vec<f32> {
        let length = self.work.parameters();
        self.spares.take(length).unwrap_or_else(|| vec![0.0; length])
    }

    /// Nothing more is computed, for this reason.
    fn fail(&self, error: &ComputeError) {
        self.close(State::Failed(error.clone()), error);
    }

    fn close(&self, state: State, error: &ComputeError) {
        let waiting = {
            let mut queue = self.lock_queue();
            queue.state = state;
            self.changes.fetch_add(1, Ordering::Relaxed);
            std::mem::take(&mut queue.waiting)
        };
        self.filled.notify_all();
        waiting.iter().for_each(|running| running.end(Err(error.clone())));
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// A panic under one of these locks leaves its data whole: every change under them is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

#[cfg(test)]
mod tests;
