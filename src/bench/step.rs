//! `lyceum bench step-…`: a whole synchronous step of the farm whose work computes nothing, so that what is timed is the
//! step between: parameters to two workers, gradients back, their sum, and the meta-optimizer.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lyceum_common::config::{
    Activation, DataConfig, MlpConfig, NetworkConfig, RunConfig, SinusoidConfig,
};
use lyceum_common::ids::Split;
use lyceum_common::model::run_layout;
use lyceum_common::pack::Pack;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};
use lyceum_coordinator::enterprise::Enterprise;
use lyceum_coordinator::observation::{Observation, Observer};
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_coordinator::server::{self, Listener};
use lyceum_worker::session::{self, Builder, SessionOptions};
use lyceum_worker::work::{Work, WorkThread};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{sockets, workload};

/// The workloads' names: how many parameters, and over which socket. Those of `sockets` move the same bytes alone.
pub(super) const NAMES: [&str; 8] = [
    "step-112k",
    "step-10m",
    "step-112k-unix",
    "step-10m-unix",
    "sockets-112k",
    "sockets-10m",
    "sockets-112k-unix",
    "sockets-10m-unix",
];
/// Workers, each of which has an episode a step.
const WORKERS: usize = 2;
/// Steps before those that are timed: buffers are made, threads started.
const FIRST: usize = 5;

/// One line of results.
#[derive(Debug, Serialize)]
pub(super) struct StepMeasurement {
    workload: &'static str,
    parameters: usize,
    workers: usize,
    steps: usize,
    median_milliseconds: f64,
    /// A tenth of the steps took less.
    fastest_tenth: f64,
    /// A tenth of the steps took more.
    slowest_tenth: f64,
}

impl StepMeasurement {
    pub(super) const HEADER: &'static str =
        "workload           parameters workers    steps  median ms   fastest 10 %   slowest 10 %";

    fn new(workload: &'static str, parameters: usize, mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let last = times.len().saturating_sub(1) as f64;
        let quantile = |share: f64| times.get((share * last).round() as usize).copied();
        let quantile = |share| quantile(share).unwrap_or(f64::NAN);
        Self {
            workload,
            parameters,
            workers: WORKERS,
            steps: times.len(),
            median_milliseconds: quantile(0.5),
            fastest_tenth: quantile(0.1),
            slowest_tenth: quantile(0.9),
        }
    }

    pub(super) fn row(&self) -> String {
        format!(
            "{:<18} {:>10} {:>7} {:>8} {:>10.3} {:>14.3} {:>14.3}",
            self.workload,
            self.parameters,
            self.workers,
            self.steps,
            self.median_milliseconds,
            self.fastest_tenth,
            self.slowest_tenth
        )
    }
}

/// Times the steps of a workload of [`NAMES`] for so long.
pub(super) async fn measure(name: &'static str, time: Duration) -> anyhow::Result<StepMeasurement> {
    let config = config(name);
    config.validate()?;
    let parameters = run_layout(&config)?.len();
    let times = if name.starts_with("sockets") {
        let unix = name.ends_with("-unix");
        let exchange = move || sockets::exchanges(unix, WORKERS, 4 * parameters, time);
        tokio::task::spawn_blocking(exchange).await??
    } else {
        steps(name, config, parameters, time).await?
    };
    Ok(StepMeasurement::new(name, parameters, times))
}

/// Milliseconds of each step of a farm that computes nothing.
async fn steps(
    name: &str,
    config: RunConfig,
    parameters: usize,
    time: Duration,
) -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let address = if name.ends_with("-unix") {
        format!("unix:{}", folder.path().join("socket").display())
    } else {
        "127.0.0.1:0".to_owned()
    };
    let listener = Listener::bind(&address).await?;
    let run = RunFolder::create(folder.path(), name, &config.to_toml())?;
    let enterprise = Enterprise::begin(config, None, run)?;

    let mut tasks = JoinSet::new();
    for index in 0..WORKERS {
        let options = SessionOptions {
            coordinator: listener.address().to_owned(),
            name: format!("idle-{index}"),
            threads: NonZeroUsize::MIN,
            instruction_set: "none".to_owned(),
            cache: folder.path().to_owned(),
            wait: Duration::from_secs(10),
        };
        tasks.spawn(async move {
            let build = move |_: &RunConfig, _: Option<Arc<Pack>>| {
                Ok(Arc::new(Idle { parameters }) as Arc<dyn Work>)
            };
            let build: &Builder = &build;
            session::run(&options, build, CancellationToken::new()).await?;
            anyhow::Ok(())
        });
    }
    let (sender, mut ends) = mpsc::unbounded_channel();
    let observer: Observer = Box::new(move |observation| {
        if matches!(observation, Observation::Progress(..)) {
            // The measurement may be over.
            let _ = sender.send(Instant::now());
        }
    });
    tasks.spawn(async move {
        server::serve(listener, enterprise, observer, CancellationToken::new()).await?;
        Ok(())
    });

    let mut instants: Vec<Instant> = Vec::new();
    while instants.len() < FIRST + 2 || instants[FIRST].elapsed() < time {
        tokio::select! {
            Some(end) = ends.recv() => instants.push(end),
            ended = tasks.join_next() => {
                ended.context("nothing runs")???;
                anyhow::bail!("the farm ended before it was measured");
            }
        }
    }
    tasks.shutdown().await;
    let pairs = instants[FIRST..].windows(2);
    Ok(pairs.map(|pair| 1e3 * pair[1].duration_since(pair[0]).as_secs_f64()).collect())
}

/// Conv4 with 64 filters, or a multilayer perceptron with about ten million weights; Adam.
fn config(name: &str) -> RunConfig {
    let mut config = workload::step_between();
    if name.contains("10m") {
        let mlp = MlpConfig { hidden: vec![3160, 3160], activation: Activation::Relu };
        config.network = NetworkConfig::Mlp(mlp);
        config.data = DataConfig::Sinusoid(SinusoidConfig::default());
        config.episode.ways = 1;
    }
    config.name = name.to_owned();
    config.training.meta_batch = WORKERS as u64;
    config.training.meta_steps = 1_000_000_000;
    config.training.report_every = 1_000_000_000;
    // As few as there may be; the run does not come to them.
    config.training.validation_episodes = 1;
    config.training.test_episodes = 1;
    config
}

/// Computes nothing: a gradient that was written once.
struct Idle {
    parameters: usize,
}

impl Work for Idle {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        Box::new(Self { parameters: self.parameters })
    }
}

impl WorkThread for Idle {
    fn set_parameters(&mut self, _: &[f32]) {}

    fn meta_gradient(&mut self, _: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        // New buffers alone are zero.
        if gradient.first() == Some(&0.0) {
            gradient.fill(1e-3);
        }
        EpisodeReport { loss: 1.0, accuracy: 0.5 }
    }

    fn evaluate(&mut self, _: Seed<OfEpisode>, _: Split) -> EpisodeReport {
        EpisodeReport { loss: 1.0, accuracy: 0.5 }
    }
}
