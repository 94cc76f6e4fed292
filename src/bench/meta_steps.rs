//! Meta-steps one after the other, in one process.

use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context;
use lyceum_common::assignment::Job;
use lyceum_common::config::RunConfig;
use lyceum_common::ids::{EpisodeRange, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::reduction::Reduction;
use lyceum_common::seed::{OfRun, Seed};
use lyceum_coordinator::meta_optimizer::{MeanGradient, MetaOptimizer};
use lyceum_worker::pool::{Computation, Computed, Pool};

/// Meta-steps a second, of as many as end within `limit`; one at least, behind a first that is not counted.
pub(super) fn rate(
    pool: Pool,
    config: &RunConfig,
    layout: &Layout,
    limit: Duration,
) -> anyhow::Result<f64> {
    let (ended, end) = mpsc::channel();
    let pool = Arc::new(pool);
    let run = Seed::of_run(config.seed);
    let meta_steps = MetaSteps {
        pool: Arc::downgrade(&pool),
        optimizer: MetaOptimizer::new(&config.meta_optimizer, config.training.meta_steps, layout),
        theta: Arc::new(layout.initialise(run.initialisation())),
        run,
        episodes: config.training.meta_batch,
        step: MetaStep(0),
        started: Instant::now(),
        limit,
        ended,
    };
    meta_steps.begin();
    let rate = end.recv().context("the pool gave no answer")?;
    // The last thread that used the pool is not to be the one that ends its threads.
    while Arc::strong_count(&pool) > 1 {
        std::thread::yield_now();
    }
    rate
}

/// A run, between two meta-steps. The compute thread that has the last sum of one moves the parameters and begins the
/// next: a thread that was woken up for that would come to it later than it takes.
struct MetaSteps {
    pool: Weak<Pool>,
    optimizer: MetaOptimizer,
    theta: Arc<Vec<f32>>,
    run: Seed<OfRun>,
    episodes: u64,
    step: MetaStep,
    /// When the first meta-step was over.
    started: Instant,
    limit: Duration,
    ended: mpsc::Sender<anyhow::Result<f64>>,
}

impl MetaSteps {
    fn begin(self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let computation = Computation {
            job: Job::Gradient { step: self.step },
            parameters: Arc::clone(&self.theta),
            seed: self.run,
            episodes: self.episodes,
            range: EpisodeRange::new(0, self.episodes),
        };
        pool.submit(computation, move |computed| self.end(computed));
    }

    fn end(mut self, computed: Computed) {
        let moved = self.moved(computed);
        let elapsed = self.started.elapsed();
        let rate = match moved {
            Ok(()) if self.step == MetaStep(1) => {
                self.started = Instant::now();
                return self.begin();
            }
            Ok(()) if elapsed < self.limit => return self.begin(),
            Ok(()) => Ok((self.step.0 - 1) as f64 / elapsed.as_secs_f64()),
            Err(error) => Err(error),
        };
        // Where nobody waits any more, nobody is to be told.
        drop(self.ended.send(rate));
    }

    /// Moves the parameters by the mean of a meta-step's gradients.
    fn moved(&mut self, computed: Computed) -> anyhow::Result<()> {
        let mut reduction = Reduction::whole(self.episodes);
        for partial in computed? {
            reduction.add(partial);
        }
        let root = reduction.into_root().context("an episode is missing")?;
        let share = 1.0 / self.episodes as f32;
        let gradient = MeanGradient { left: &root.gradient, right: None, share };
        let mut moved = Vec::new();
        let finite = self.optimizer.apply(self.step, &self.theta, gradient, &mut moved);
        anyhow::ensure!(finite, "diverged");
        if let Some(pool) = self.pool.upgrade() {
            pool.recycle(root.gradient);
        }
        self.theta = Arc::new(moved);
        self.step = self.step.next();
        Ok(())
    }
}
