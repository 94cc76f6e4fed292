//! A learned optimizer against hand-made ones, each with the best rate of a search, on optimizees that none of them saw.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lyceum_common::config::{LearnedOptimizerConfig, RunConfig};
use lyceum_common::ids::{EpisodeIndex, Split};
use lyceum_common::pack::Pack;
use lyceum_common::report::{EpisodeReport, Estimate, ReportSums};
use lyceum_common::seed::{OfStep, Seed};
use lyceum_common::statistics::PairedTest;

use crate::learners::{Optimizee as _, OptimizerScratch, Steps, Trainee};
use crate::work::{BuildError, BuildOptions, OptimizerProblem};

pub use crate::learners::HandMade;

/// The search's rates are 10^(k / 4) for k in this range, and then, about the best of these, 10^(k / 16).
const QUARTERS: std::ops::RangeInclusive<i32> = -16..=6;
/// How many of the latter lie on either side.
const ABOUT: i32 = 3;

/// What is compared, on how many optimizees.
#[derive(Clone, Copy, Debug)]
pub struct Comparing {
    /// Optimizees that the comparison is on: of the test split.
    pub episodes: NonZeroUsize,
    /// Optimizees that rates are searched on: of the validation split.
    pub search_episodes: NonZeroUsize,
    /// Threads.
    pub threads: NonZeroUsize,
}

impl Comparing {
    /// How many trainings of optimizees the comparison with `learner` consists of.
    #[must_use]
    pub fn trainings(&self, learner: &LearnedOptimizerConfig) -> u64 {
        let optimizers = HandMade::beside(learner.memory).count();
        let rates = QUARTERS.chain(-ABOUT..ABOUT).count();
        let searched = (optimizers * rates) as u64 * self.search_episodes.get() as u64;
        searched + (1 + optimizers) as u64 * self.episodes.get() as u64
    }
}

/// How all optimizers did.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The learned optimizer first.
    pub optimizers: Vec<Compared>,
}

/// How an optimizer did.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// The rates that were tried, in order, and the mean final loss of each; infinite where a training diverged. None for
    /// the learned one.
    pub search: Vec<Tried>,
    /// The best of these.
    pub rate: Option<f64>,
    /// The mean loss over optimizees before any step, after one, after two, ….
    pub losses: Vec<Estimate>,
    /// The loss at the end on each optimizee, in the same order for every optimizer.
    pub last_losses: Vec<f64>,
}

/// A rate and the mean final loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The rate.
    pub rate: f64,
    /// The mean over optimizees of the loss at the end; infinite where one diverged.
    pub loss: f64,
}

impl Compared {
    /// The mean loss at the end.
    ///
    /// # Panics
    /// Never: a training has a loss before its first step.
    #[must_use]
    pub fn last(&self) -> Estimate {
        *self.losses.last().expect("a training has a loss before its first step")
    }

    /// By how much its losses at the end lie above those of `other` on the same optimizees, and whether that can be chance.
    /// None for fewer than two optimizees, or where a training diverged.
    #[must_use]
    pub fn above(&self, other: &Self) -> Option<PairedTest> {
        PairedTest::of(&self.last_losses, &other.last_losses)
    }
}

impl Comparison {
    /// The hand-made optimizer with the least mean loss at the end.
    #[must_use]
    pub fn best_hand_made(&self) -> Option<&Compared> {
        let hand_made = self.optimizers.iter().filter(|compared| compared.rate.is_some());
        let loss = |compared: &Compared| compared.last().mean_or_infinite();
        hand_made.min_by(|a, b| loss(a).total_cmp(&loss(b)))
    }
}

/// Compares the optimizer of meta-parameters `phi` with the hand-made ones, over the evaluation steps of `learner`. `told` is
/// called after every one of the [trainings](Comparing::trainings), on whatever thread.
///
/// # Errors
/// Where network, data and optimizees do not fit together, or there are none of the validation or the test split.
pub fn compare(
    config: &RunConfig,
    learner: &LearnedOptimizerConfig,
    pack: Option<Arc<Pack>>,
    phi: &[f32],
    comparing: Comparing,
    told: &(dyn Fn() + Sync),
) -> Result<Comparison, BuildError> {
    let splits = [Split::Validation, Split::Test];
    let problem = OptimizerProblem::build(config, learner, pack, &splits, BuildOptions::default())?;
    let run = Seed::of_run(config.seed);
    let steps = learner.evaluation_steps;
    let trials = |split: Split, episodes: NonZeroUsize| Trials {
        problem: &problem,
        phi,
        steps,
        seed: run.evaluation_on(split),
        split,
        episodes: episodes.get(),
        threads: comparing.threads,
        told,
    };
    let searched = trials(Split::Validation, comparing.search_episodes);
    let tested = trials(Split::Test, comparing.episodes);
    let compared = |name: String, search, rate, method| {
        let Losses { by_step: losses, last: last_losses } = tested.losses(method);
        Compared { name, search, rate, losses, last_losses }
    };
    let mut optimizers = vec![compared("learned".to_owned(), Vec::new(), None, Method::Learned)];
    for optimizer in HandMade::beside(learner.memory) {
        let search = search(optimizer, &searched);
        let rate = best(&search);
        let method = Method::HandMade(optimizer, rate);
        optimizers.push(compared(optimizer.to_string(), search, Some(rate), method));
    }
    Ok(Comparison { optimizers })
}

/// Rates a quarter of a decade apart, then a sixteenth about the best.
fn search(optimizer: HandMade, trials: &Trials<'_>) -> Vec<Tried> {
    let tried = |sixteenths: i32| {
        let rate = libm::pow(10.0, f64::from(sixteenths) / 16.0);
        let losses = trials.losses(Method::HandMade(optimizer, rate)).by_step;
        let loss = losses.last().map_or(f64::INFINITY, |loss| loss.mean_or_infinite());
        (sixteenths, Tried { rate, loss })
    };
    let mut all: Vec<_> = QUARTERS.map(|quarters| tried(4 * quarters)).collect();
    let best = all.iter().min_by(|a, b| a.1.loss.total_cmp(&b.1.loss)).map_or(0, |best| best.0);
    all.extend((best - ABOUT..=best + ABOUT).filter(|&at| at != best).map(tried));
    all.sort_by_key(|(sixteenths, _)| *sixteenths);
    all.into_iter().map(|(_, tried)| tried).collect()
}

fn best(search: &[Tried]) -> f64 {
    search.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).map_or(f64::NAN, |best| best.rate)
}

#[derive(Clone, Copy)]
enum Method {
    Learned,
    HandMade(HandMade, f64),
}

/// Optimizees to be trained.
struct Trials<'p> {
    problem: &'p OptimizerProblem,
    phi: &'p [f32],
    steps: usize,
    seed: Seed<OfStep>,
    split: Split,
    episodes: usize,
    threads: NonZeroUsize,
    /// Is called after every training.
    told: &'p (dyn Fn() + Sync),
}

/// The losses of optimizees while they are trained.
struct Losses {
    /// The mean before any step, after one, …, summed in the order of the optimizees.
    by_step: Vec<Estimate>,
    /// After the last step, of each.
    last: Vec<f64>,
}

impl Trials<'_> {
    fn losses(&self, method: Method) -> Losses {
        let length = self.steps + 1;
        let mut losses = vec![0.0; self.episodes * length];
        let share = self.episodes.div_ceil(self.threads.get());
        std::thread::scope(|scope| {
            for (part, losses) in losses.chunks_mut(share * length).enumerate() {
                scope.spawn(move || {
                    let mut trainer = Trainer::new(self, method);
                    for (at, losses) in losses.chunks_exact_mut(length).enumerate() {
                        trainer.train((part * share + at) as u64, losses);
                        (self.told)();
                    }
                });
            }
        });
        let mean = |t: usize| {
            let reports = losses.iter().skip(t).step_by(length);
            let sums = reports.map(|&loss| ReportSums::from(EpisodeReport { loss, accuracy: 0.0 }));
            sums.fold(ReportSums::default(), ReportSums::plus).mean_loss()
        };
        let last = losses.iter().skip(self.steps).step_by(length).copied().collect();
        Losses { by_step: (0..length).map(mean).collect(), last }
    }
}

/// One thread's share of the trials.
struct Trainer<'p> {
    trials: &'p Trials<'p>,
    method: Method,
    trainee: Trainee<f32>,
    scratch: Option<OptimizerScratch<f32>>,
    theta: Vec<f32>,
    gradient: Vec<f32>,
}

impl<'p> Trainer<'p> {
    fn new(trials: &'p Trials<'p>, method: Method) -> Self {
        let OptimizerProblem { learner, optimizees, .. } = trials.problem;
        let parameters = optimizees.parameters();
        Self {
            trials,
            method,
            trainee: Trainee::new(Arc::clone(optimizees), 0),
            scratch: matches!(method, Method::Learned).then(|| learner.scratch(parameters)),
            theta: vec![0.0; parameters],
            gradient: vec![0.0; parameters],
        }
    }

    /// Trains an optimizee, and writes its losses.
    fn train(&mut self, episode: u64, losses: &mut [f64]) {
        let Trials { problem, phi, seed, split, .. } = *self.trials;
        self.trainee.draw(seed.episode(EpisodeIndex(episode)), split);
        match (self.method, &mut self.scratch) {
            (Method::HandMade(optimizer, rate), _) => {
                let Self { trainee, theta, gradient, .. } = self;
                let set = problem.optimizees.instruction_set();
                let mut steps = Steps::new(optimizer, rate, theta.len(), set);
                trainee.start(theta);
                for (t, loss) in losses.iter_mut().enumerate() {
                    if t > 0 {
                        steps.take(gradient, theta);
                    }
                    *loss = trainee.next(theta, gradient).loss;
                }
            }
            (Method::Learned, Some(scratch)) => {
                let training = problem.learner.train(phi, &mut self.trainee, scratch);
                let (first, behind) = losses.split_at_mut(1);
                first[0] = training.first;
                behind.copy_from_slice(&problem.learner.losses(scratch)[..behind.len()]);
            }
            (Method::Learned, None) => unreachable!("there is scratch where it is compared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use lyceum_common::config::{LearnerConfig, load};
    use lyceum_common::model::run_layout;

    use super::*;

    #[test]
    fn what_diverged_is_never_the_best() {
        let compared = |name: &str, loss| Compared {
            name: name.to_owned(),
            search: Vec::new(),
            rate: Some(0.1),
            losses: vec![Estimate { mean: loss, interval: 0.1 }],
            last_losses: vec![loss, loss],
        };
        // Infinity less infinity is such a NaN on some machines.
        let [sgd, adam] = [compared("SGD", -f64::NAN), compared("Adam", 4.0)];
        assert_eq!(sgd.above(&adam), None);
        let comparison = Comparison { optimizers: vec![sgd, adam] };
        assert_eq!(comparison.best_hand_made().unwrap().name, "Adam");
    }

    #[test]
    fn every_training_is_told_of_and_a_memory_has_its_like_beside_it() {
        let steps = "learner.learned_optimizer.evaluation_steps=2".to_owned();
        for (memory, last) in [(0, "Adam"), (3, "L-BFGS")] {
            let memory = format!("learner.learned_optimizer.memory={memory}");
            let config = load("quadratics-learned-optimizer", &[steps.clone(), memory]).unwrap();
            let LearnerConfig::LearnedOptimizer(learner) = &config.learner else {
                unreachable!("it is one")
            };
            let phi = vec![0.01; run_layout(&config).unwrap().len()];
            let [episodes, search_episodes, threads] =
                [3, 2, 2].map(|number| NonZeroUsize::new(number).unwrap());
            let comparing = Comparing { episodes, search_episodes, threads };
            let told = AtomicU64::new(0);
            let tell = || {
                told.fetch_add(1, Ordering::Relaxed);
            };
            let comparison = compare(&config, learner, None, &phi, comparing, &tell).unwrap();
            assert_eq!(told.load(Ordering::Relaxed), comparing.trainings(learner));
            assert_eq!(comparison.optimizers.last().unwrap().name, last);
        }
    }
}
