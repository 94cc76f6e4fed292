//! `lyceum bench`: how fast this machine trains, against what it can multiply and add.

mod meta_steps;
mod profile;
mod sockets;
mod step;
mod workload;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use lyceum_common::config::{FarmConfig, Precision, RunConfig};
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::model::run_layout;
use lyceum_common::seed::Seed;
use lyceum_worker::kernels::{InstructionSet, multiply_adds};
use lyceum_worker::pool::Pool;
use lyceum_worker::work::{BuildOptions, LstmWorkload, Work, build};
use serde::Serialize;

use crate::count::thread_count;
use crate::output::print;
use step::StepMeasurement;
use workload::{Task, Workload};

/// Times named workloads: whole meta-steps, with sampling, aggregation and an Adam step.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// maml-1q, maml-15q, maml-5step, fomaml-5step, reptile, sinusoid, prototypical-60w5s, prototypical-20w5s, miniimagenet-maml,
    /// miniimagenet-prototypical, learned-optimizer or lstm; all of these where none is named. Or step-112k, step-10m,
    /// step-112k-unix, step-10m-unix: a step of a farm that computes nothing; and sockets-112k and so on: the same bytes over
    /// plain sockets
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// Compute threads; one where absent.
    #[arg(long, value_parser = thread_count)]
    threads: Option<NonZeroUsize>,
    /// Seconds for each workload, and for the machine's peak beside it.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// avx512, avx2, neon or portable; the fastest that the machine has where absent.
    #[arg(long, value_name = "NAME")]
    instruction_set: Option<InstructionSet>,
    /// What convolutions multiply; shares stay those of the peak of float32.
    #[arg(long, value_enum, default_value = "float32")]
    precision: PrecisionName,
    /// Where an episode's time goes instead: each op of each layer, on one thread.
    #[arg(long, conflicts_with_all = ["threads", "seconds"])]
    profile: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// [`Precision`], on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PrecisionName {
    Float32,
    Bfloat16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::Float32 => Self::Float32,
            PrecisionName::Bfloat16 => Self::Bfloat16,
        }
    }
}

/// One line of results.
#[derive(Debug, Serialize)]
struct Measurement {
    workload: &'static str,
    threads: usize,
    instruction_set: &'static str,
    tasks_per_second: f64,
    /// 10⁹ products and sums of convolutions and linear layers a second.
    gflops: f64,
    /// The same on registers alone, measured before and after.
    peak_gflops: f64,
    share_of_peak: f64,
}

impl Measurement {
    fn row(&self) -> String {
        format!(
            "{:<18} {:>7} {:>12.1} {:>10.1} {:>10.1} {:>7.1}%",
            self.workload,
            self.threads,
            self.tasks_per_second,
            self.gflops,
            self.peak_gflops,
            100.0 * self.share_of_peak
        )
    }
}

impl Bench {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let time = Duration::try_from_secs_f64(self.seconds)
            .with_context(|| format!("--seconds {}", self.seconds))?;
        anyhow::ensure!(time >= SHORTEST, "--seconds: must be at least {}", SHORTEST.as_secs_f64());
        let is_step = |name: &&String| step::NAMES.contains(&name.as_str());
        let (steps, others): (Vec<_>, Vec<_>) = self.workloads.iter().partition(is_step);
        let steps_alone = !steps.is_empty() && others.is_empty();
        // Every name and flag is looked at before anything is measured.
        let workloads = if steps_alone { Vec::new() } else { self.workloads_of(&others)? };
        if !steps.is_empty() {
            self.check_flags_of_steps()?;
            self.steps(&steps)?;
        }
        if steps_alone {
            return Ok(());
        }
        if self.profile {
            return workloads.iter().try_for_each(|workload| self.profile(workload));
        }
        if !self.json {
            print(&format!(
                "{:<18} {:>7} {:>12} {:>10} {:>10} {:>8}",
                "workload", "threads", "tasks/s", "GFLOP/s", "peak", "share"
            ))?;
        }
        for workload in workloads {
            let line = self.measure(&workload)?;
            print(&if self.json { serde_json::to_string(&line)? } else { line.row() })?;
        }
        Ok(())
    }

    /// Those of these names; all of which the precision is one where there are none.
    fn workloads_of(&self, names: &[&String]) -> anyhow::Result<Vec<Workload>> {
        let mut workloads = Vec::new();
        for workload in workload::named(names)? {
            let name = workload.name;
            match workload.in_precision(self.precision.into()) {
                Some(workload) => workloads.push(workload.on(self.threads())),
                None if names.is_empty() => {}
                None => anyhow::bail!(
                    "--precision: {name} has no convolutions, and only they multiply bfloat16"
                ),
            }
        }
        Ok(workloads)
    }

    /// Refuses what a step of a farm that computes nothing would pass over.
    fn check_flags_of_steps(&self) -> anyhow::Result<()> {
        let half = !matches!(self.precision, PrecisionName::Float32);
        let flags = [
            (self.profile, "--profile: a step of a farm has no profile"),
            (half, "--precision: a step of a farm that computes nothing has no convolutions"),
            (self.threads.is_some(), "--threads: a step of a farm computes nothing"),
            (
                self.instruction_set.is_some(),
                "--instruction-set: a step of a farm computes nothing",
            ),
        ];
        match flags.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, problem)) => anyhow::bail!(problem),
            None => Ok(()),
        }
    }

    /// Compute threads.
    fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or(NonZeroUsize::MIN)
    }

    /// Times steps of a farm that computes nothing.
    fn steps(&self, names: &[&String]) -> anyhow::Result<()> {
        if !self.json {
            print(StepMeasurement::HEADER)?;
        }
        let runtime = tokio::runtime::Handle::current();
        for name in step::NAMES.into_iter().filter(|name| names.iter().any(|named| named == name)) {
            let time = Duration::from_secs_f64(self.seconds);
            let line = runtime.block_on(step::measure(name, time))?;
            print(&if self.json { serde_json::to_string(&line)? } else { line.row() })?;
        }
        Ok(())
    }

    /// Prints a workload's profile.
    fn profile(&self, workload: &Workload) -> anyhow::Result<()> {
        let instruction_set = self.instruction_set.unwrap_or_else(InstructionSet::best);
        let timings = match &workload.task {
            Task::Lstm => lstm(instruction_set).profile(PROFILE_REPEATS),
            Task::Run(config) => {
                let Setup { work, layout } = Setup::new(config, instruction_set)?;
                let run = Seed::of_run(config.seed);
                let theta = layout.initialise(run.initialisation());
                let seed = run.step(MetaStep(0)).episode(EpisodeIndex(0));
                work.profile(&theta, seed, PROFILE_REPEATS)
            }
        };
        anyhow::ensure!(!timings.is_empty(), "--profile: {} has none", workload.name);
        if !self.json {
            print(&format!("{}\n{}", workload.name, profile::Row::HEADER))?;
        }
        for row in profile::rows(workload.name, &timings) {
            print(&if self.json { serde_json::to_string(&row)? } else { row.text() })?;
        }
        Ok(())
    }

    fn measure(&self, workload: &Workload) -> anyhow::Result<Measurement> {
        let instruction_set = self.instruction_set.unwrap_or_else(InstructionSet::best);
        let slice = Duration::from_secs_f64(self.seconds / 10.0);
        let before = peak(instruction_set, self.threads(), slice);
        let (tasks_per_second, products) = match &workload.task {
            Task::Run(config) => self.train(config, instruction_set)?,
            Task::Lstm => self.lstm(instruction_set),
        };
        let peak = before.max(peak(instruction_set, self.threads(), slice));
        let gflops = 2e-9 * products as f64 * tasks_per_second;
        Ok(Measurement {
            workload: workload.name,
            threads: self.threads().get(),
            instruction_set: instruction_set.name(),
            tasks_per_second,
            gflops,
            peak_gflops: peak,
            share_of_peak: gflops / peak,
        })
    }

    /// Runs of a learned optimizer's LSTM on every thread until the time is over: runs a second, and products a run.
    fn lstm(&self, instruction_set: InstructionSet) -> (f64, usize) {
        let limit = Duration::from_secs_f64(self.seconds);
        let spin = move || {
            let mut workload = lstm(instruction_set);
            assert!(workload.run().is_finite(), "a bounded network stays finite");
            let (started, mut runs) = (Instant::now(), 0);
            while runs == 0 || started.elapsed() < limit {
                workload.run();
                runs += 1;
            }
            (f64::from(runs) / started.elapsed().as_secs_f64(), workload.products())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads().get()).map(|_| scope.spawn(spin)).collect();
            let ended = threads.into_iter().filter_map(|thread| thread.join().ok());
            ended.fold((0.0, 0), |(rate, _), (more, products)| (rate + more, products))
        })
    }

    /// Meta-steps until the time is over: tasks a second, and products a task.
    fn train(
        &self,
        config: &RunConfig,
        instruction_set: InstructionSet,
    ) -> anyhow::Result<(f64, usize)> {
        let Setup { work, layout } = Setup::new(config, instruction_set)?;
        let products = work.products();
        let pool = Pool::new(work, self.threads()).context("no compute threads")?;
        let limit = Duration::from_secs_f64(self.seconds);
        let rate = meta_steps::rate(pool, config, &layout, limit)?;
        Ok((rate * config.training.meta_batch as f64, products))
    }
}

/// The shortest time that a workload is measured for: in less, the machine's peak is not seen.
const SHORTEST: Duration = Duration::from_millis(10);
/// Repeats that a profile's times are the medians of.
const PROFILE_REPEATS: usize = 31;

/// A learned optimizer's LSTM alone: two layers of 20, 15,910 coordinates, 20 steps.
fn lstm(instruction_set: InstructionSet) -> LstmWorkload {
    let kept_bytes = FarmConfig::default().kept_values_megabytes << 20;
    LstmWorkload::new(20, 15_910, 20, kept_bytes, instruction_set)
}

/// What a workload computes with.
struct Setup {
    work: Arc<dyn Work>,
    layout: Layout,
}

impl Setup {
    fn new(config: &RunConfig, instruction_set: InstructionSet) -> anyhow::Result<Self> {
        let cache = tempfile::tempdir().context("no temporary folder")?;
        let pack = match workload::noise_pack(&config.data)? {
            Some(noise) => Some(Arc::new(noise)),
            None => lyceum_common::data::prepare(&config.data, cache.path())?,
        };
        let layout = run_layout(config)?;
        let work = build(config, pack, BuildOptions { instruction_set, transductive: None })?;
        Ok(Self { work, layout })
    }
}

/// 10⁹ products and sums a second on registers, on as many threads.
fn peak(instruction_set: InstructionSet, threads: NonZeroUsize, time: Duration) -> f64 {
    let spin = move || {
        let started = Instant::now();
        let mut done = 0;
        while started.elapsed() < time {
            let (count, total) = multiply_adds(instruction_set, 20_000);
            done += count;
            assert!(total.is_finite(), "a contraction stays finite");
        }
        2e-9 * done as f64 / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.get()).map(|_| scope.spawn(spin)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    })
}
