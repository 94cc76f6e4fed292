//! A learned optimizer on a distribution over optimizees, as the farm sees it.

use std::sync::Arc;

use lyceum_common::config::{LearnedOptimizerConfig, Precision, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::pack::Pack;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use super::build::{network, setting};
use super::{BuildError, BuildOptions, Work, WorkThread};
use crate::episodes::optimizee_source;
use crate::learners::{LearnedOptimizer, Optimizees, OptimizerScratch, Trainee};
use crate::profile::Timing;

/// (meta-parameters, seed) → meta-gradient, by drawing an optimizee and training it.
#[derive(Clone)]
pub(crate) struct OptimizerProblem {
    pub(crate) learner: Arc<LearnedOptimizer<f32>>,
    pub(crate) optimizees: Arc<Optimizees<f32>>,
    inner_steps: usize,
    /// What gradients and their sums are rounded to.
    sums: Precision,
}

impl OptimizerProblem {
    /// The problem of the run of `config`, whose learner is `optimizer`, with optimizees of these splits.
    pub(crate) fn build(
        config: &RunConfig,
        optimizer: &LearnedOptimizerConfig,
        pack: Option<Arc<Pack>>,
        splits: &[Split],
        options: BuildOptions,
    ) -> Result<Self, BuildError> {
        let source = optimizee_source(config, optimizer, pack, splits)?;
        let network = network(config)?;
        let setting = setting(config, &network, options);
        let learner = LearnedOptimizer::new(optimizer, setting.instruction_set, setting.kept_bytes);
        let optimizees = Optimizees::new(&setting, source, optimizer.initial_deviation);
        let (inner_steps, sums) = (optimizer.inner_steps, config.training.sums);
        Ok(Self { learner: Arc::new(learner), optimizees: Arc::new(optimizees), inner_steps, sums })
    }
}

impl Work for OptimizerProblem {
    fn sums(&self) -> Precision {
        self.sums
    }

    fn parameters(&self) -> usize {
        self.learner.parameters()
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        Box::new(OptimizerThread {
            trainee: Trainee::new(Arc::clone(&self.optimizees), self.learner.curved()),
            scratch: self.learner.scratch(self.optimizees.parameters()),
            phi: vec![0.0; self.parameters()],
            problem: self.clone(),
        })
    }

    fn products(&self) -> usize {
        self.learner.products(self.optimizees.parameters(), self.optimizees.products())
    }

    fn profile(&self, theta: &[f32], seed: Seed<OfEpisode>, repeats: usize) -> Vec<Timing> {
        let mut trainee = Trainee::new(Arc::clone(&self.optimizees), self.learner.curved());
        let mut scratch = self.learner.scratch(self.optimizees.parameters());
        trainee.draw(seed, Split::Train);
        let of = self.optimizees.products();
        self.learner.profile(theta, &mut trainee, seed, &mut scratch, of, repeats)
    }
}

struct OptimizerThread {
    problem: OptimizerProblem,
    trainee: Trainee<f32>,
    scratch: OptimizerScratch<f32>,
    phi: Vec<f32>,
}

impl WorkThread for OptimizerThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        self.phi.copy_from_slice(theta);
    }

    /// Reports the loss's mean over the trajectory.
    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        let Self { problem, trainee, scratch, phi } = self;
        trainee.draw(seed, Split::Train);
        let training = problem.learner.meta_gradient(phi, trainee, seed, scratch, gradient);
        let losses = &problem.learner.losses(scratch)[..problem.inner_steps];
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        EpisodeReport { loss, ..training.last }
    }

    /// Reports the loss at the trajectory's end.
    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport {
        let Self { problem, trainee, scratch, phi } = self;
        trainee.draw(seed, split);
        problem.learner.train(phi, trainee, scratch).last
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{LearnerConfig, load};
    use lyceum_common::ids::{EpisodeIndex, MetaStep};

    use super::*;

    #[test]
    fn a_profile_has_every_phase_and_all_products() {
        let phases = |changes: &[&str]| {
            let changes: Vec<String> = changes
                .iter()
                .chain(&["learner.learned_optimizer.inner_steps=6"])
                .map(|&change| change.to_owned())
                .collect();
            let config = load("quadratics-learned-optimizer", &changes).unwrap();
            let LearnerConfig::LearnedOptimizer(optimizer) = &config.learner else {
                unreachable!("it is one")
            };
            let options = BuildOptions::default();
            let problem =
                OptimizerProblem::build(&config, optimizer, None, &[Split::Train], options)
                    .unwrap();
            let phi = vec![0.01; problem.parameters()];
            let seed = Seed::of_run(1).step(MetaStep(0)).episode(EpisodeIndex(0));
            let timings = problem.profile(&phi, seed, 3);
            assert!(timings.iter().all(|timing| !timing.time.is_zero()), "{timings:?}");
            let all = timings.iter().map(|timing| timing.runs * timing.products).sum::<usize>();
            let phases: Vec<_> =
                timings.iter().map(|timing| (timing.program, timing.op, timing.runs)).collect();
            (phases, all, problem.products())
        };
        let (gradients, forward) = (("optimizee", "Gradient", 7), ("forward", "Lstm", 6));
        let backward = ("backward", "Lstm", 6);
        for memory in ["learner.learned_optimizer.memory=0", "learner.learned_optimizer.memory=3"] {
            let (first_order, all, products) =
                phases(&["learner.learned_optimizer.unroll=2", memory]);
            assert_eq!(first_order, [gradients, forward, backward]);
            assert_eq!(all, products);
        }
        let exact =
            ["learner.learned_optimizer.unroll=3", "learner.learned_optimizer.order=second"];
        // None through a segment's first θ, which is held constant.
        let curved = ("optimizee", "HessianVectorProduct", 4);
        let (exact, all, products) = phases(&exact);
        assert_eq!(exact, [gradients, curved, forward, backward]);
        assert_eq!(all, products);
        assert!(
            phases(&["learner.learned_optimizer.estimator.pes={deviation=0.01, pairs=1}"])
                .0
                .is_empty()
        );
    }
}
