//! The threads that compute: ranges of episodes in, sums at the roots of their subtrees out.
//!
//! Parallelism is across episodes: a thread takes the next episode of the oldest computation that has one left, and
//! nothing that it computes depends on which thread it is. Threads are the system's, never the I/O runtime's, so that
//! a connection lives while they work.

mod evaluation;

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use lyceum_common::assignment::Job;
use lyceum_common::ids::{EpisodeIndex, EpisodeRange};
use lyceum_common::reduction::{NodeId, Partial, Reduction};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfRun, Seed};
use lyceum_common::spares::Spares;

use crate::work::{Work, WorkThread};

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

/// Why a computation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// A defect in a learner or a kernel, not in the input.
    #[error("computing episode {episode} panicked: {message}")]
    Panicked {
        /// The episode's index.
        episode: u64,
        /// What the panic said.
        message: String,
    },
    /// A thread could not set its workspace up.
    #[error("a compute thread panicked while it was set up: {0}")]
    Setup(String),
    /// The parameters don't fit the learner.
    #[error("the learner has {expected} meta-parameters, and {found} were given")]
    WrongLength {
        /// The learner's number of meta-parameters.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The computation was abandoned, or the pool is going away.
    #[error("the computation was abandoned")]
    Abandoned,
}

/// The sums at the roots of the range's subtrees, left to right; gradients are in the layout's order.
pub type Computed = Result<Vec<Partial>, ComputeError>;

type Done = Box<dyn FnOnce(Computed) + Send>;

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
        });
        let mut pool = Self { shared, threads: Vec::new() };
        for index in 0..threads.get() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.run())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Queues a computation behind those that are there. `done` is called once, on a compute thread (or on this one
    /// where nothing can be computed), and must not block.
    pub fn submit(&self, computation: Computation, done: impl FnOnce(Computed) + Send + 'static) {
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
                    queue.waiting.push_back(Arc::new(Running::new(computation, Box::new(done))));
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

/// A computation that threads are at.
struct Running {
    computation: Computation,
    /// The next episode that no thread has taken.
    next: AtomicU64,
    ended: AtomicBool,
    sums: Mutex<Sums>,
}

struct Sums {
    reduction: Reduction,
    missing: u64,
    done: Option<Done>,
}

impl Running {
    fn new(computation: Computation, done: Done) -> Self {
        let Computation { episodes, range, .. } = computation;
        let sums = Sums {
            reduction: Reduction::new(episodes, range),
            missing: range.len(),
            done: Some(done),
        };
        Self {
            next: AtomicU64::new(range.start.0),
            ended: AtomicBool::new(false),
            sums: Mutex::new(sums),
            computation,
        }
    }

    /// The next episode to compute, each given once.
    fn take(&self) -> Option<u64> {
        let episode = self.next.fetch_add(1, Ordering::Relaxed);
        (episode < self.computation.range.end.0 && !self.ended.load(Ordering::Relaxed))
            .then_some(episode)
    }

    /// Tells whoever waits, once.
    fn end(&self, computed: Computed) {
        self.ended.store(true, Ordering::Relaxed);
        let done = lock(&self.sums).done.take();
        if let Some(done) = done {
            done(computed);
        }
    }
}

impl Shared {
    /// A thread's life.
    fn run(&self) {
        let mut thread = match catch_unwind(AssertUnwindSafe(|| self.work.thread())) {
            Ok(thread) => thread,
            Err(panic) => return self.fail(&ComputeError::Setup(message(&*panic))),
        };
        let mut version: Option<Arc<Vec<f32>>> = None;
        while let Some((running, episode)) = self.next() {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let parameters = &running.computation.parameters;
                if !version.as_ref().is_some_and(|version| Arc::ptr_eq(version, parameters)) {
                    thread.set_parameters(parameters);
                    version = Some(Arc::clone(parameters));
                }
                self.compute(&mut *thread, &running, episode);
            }));
            if let Err(panic) = outcome {
                let error = ComputeError::Panicked { episode, message: message(&*panic) };
                // The pool refuses first, so that whoever is told finds it so.
                self.fail(&error);
                return running.end(Err(error));
            }
        }
    }

    /// The next episode of the oldest computation that has one left; waits for one.
    fn next(&self) -> Option<(Arc<Running>, u64)> {
        let mut queue = self.lock_queue();
        loop {
            if !matches!(queue.state, State::Open) {
                return None;
            }
            while let Some(front) = queue.waiting.front() {
                if let Some(episode) = front.take() {
                    return Some((Arc::clone(front), episode));
                }
                queue.waiting.pop_front();
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn compute(&self, thread: &mut dyn WorkThread, running: &Running, episode: u64) {
        let Computation { job, seed, .. } = running.computation;
        let index = EpisodeIndex(episode);
        let (gradient, report) = match job {
            Job::Gradient { step } => {
                let mut gradient = self.buffer();
                let report = thread.meta_gradient(seed.step(step).episode(index), &mut gradient);
                (gradient, report)
            }
            Job::Evaluation { split } => {
                let seed = seed.evaluation_on(split).episode(index);
                (Vec::new(), thread.evaluate(seed, split))
            }
        };
        self.add(running, episode, gradient, report);
    }

    /// Sums an episode up the tree. The last one of a range ends the computation.
    fn add(&self, running: &Running, episode: u64, gradient: Vec<f32>, report: EpisodeReport) {
        let mut partial = Partial { node: NodeId::leaf(episode), gradient, reports: report.into() };
        let complete = {
            let mut sums = lock(&running.sums);
            while let Some((parent, freed)) = sums.reduction.climb(partial) {
                partial = parent;
                freed.into_iter().for_each(|gradient| self.spares.put(gradient));
            }
            sums.missing -= 1;
            (sums.missing == 0).then(|| {
                std::mem::replace(&mut sums.reduction, Reduction::whole(0)).into_partials()
            })
        };
        let Some(mut partials) = complete else { return };
        partials.sort_unstable_by_key(|partial| {
            partial.node.episodes(running.computation.episodes).start
        });
        if matches!(running.computation.job, Job::Gradient { .. }) {
            for partial in &mut partials {
                self.work.restore_layout_order(&mut partial.gradient);
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
