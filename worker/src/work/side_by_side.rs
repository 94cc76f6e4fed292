//! A learner that computes sixteen episodes side by side, as the farm sees it.

use std::ops::Range;
use std::sync::Arc;

use lyceum_common::ids::Split;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use super::{Abreast, Work, WorkThread};
use crate::episodes::{Episode, EpisodeSize, EpisodeSource};
use crate::kernels::{InstructionSet, LANES, spread_over_lanes, sum_lanes_as_tree};
use crate::learners::{AnyLearner, LearnerThread};
use crate::ops::Aligned;
use crate::profile::{self, Timing};
use crate::reports::Reports;

/// (meta-parameters, seeds) → sums of meta-gradients, by sampling an episode into each lane and handing all of them to the
/// learner. Meta-parameters are in the layout's order.
pub(crate) struct SideBySideProblem {
    pub(crate) learner: Arc<dyn AnyLearner<f32>>,
    pub(crate) source: Arc<dyn EpisodeSource>,
    pub(crate) training: EpisodeSize,
    pub(crate) evaluation: EpisodeSize,
    /// Meta-parameters.
    pub(crate) parameters: usize,
    pub(crate) instruction_set: InstructionSet,
}

impl Work for SideBySideProblem {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        let parameters = self.parameters;
        Box::new(SideBySideThread {
            lanes: Lanes::new(Arc::clone(&self.source)),
            ahead: (Lanes::new(Arc::clone(&self.source)), Vec::with_capacity(LANES)),
            learner: Arc::clone(&self.learner).thread(),
            sizes: (self.training, self.evaluation),
            instruction_set: self.instruction_set,
            theta: vec![0.0; parameters],
            gradients: Aligned::zeros(parameters * LANES),
        })
    }

    fn abreast(&self) -> usize {
        LANES
    }

    fn products(&self) -> usize {
        self.learner.products()
    }

    fn profile(&self, theta: &[f32], seed: Seed<OfEpisode>, repeats: usize) -> Vec<Timing> {
        let mut lanes = Lanes::new(Arc::clone(&self.source));
        lanes.draw(&[seed], Split::Train, self.training);
        let (shares, episode) = (self.learner.shares(), &lanes.episodes);
        let timings = shares.iter().enumerate().map(|(i, share)| {
            let theta = &theta[..share.objective.common_parameter_count()];
            if i == 0 {
                return profile::time(share, theta, episode, repeats);
            }
            // The query set is seen at parameters of every episode's own.
            let mut spread = vec![0.0; theta.len() * LANES];
            spread_over_lanes(self.instruction_set, theta, &mut spread);
            profile::time(share, &spread, episode, repeats)
        });
        timings.flatten().collect()
    }
}

/// Sixteen episodes, the numbers of each in a lane of its own: that of its index, mod 16.
struct Lanes {
    source: Arc<dyn EpisodeSource>,
    drawn: Episode,
    episodes: Episode,
}

impl Lanes {
    fn new(source: Arc<dyn EpisodeSource>) -> Self {
        Self { source, drawn: Episode::default(), episodes: Episode::default() }
    }

    /// Draws the episodes of `seeds`. What stands in the other lanes does not matter to theirs.
    fn draw(&mut self, seeds: &[Seed<OfEpisode>], split: Split, size: EpisodeSize) {
        for &seed in seeds {
            self.source.sample(seed, split, size, &mut self.drawn);
            self.episodes.put(lane(seed), &self.drawn);
        }
    }
}

/// The lane that an episode is computed in.
fn lane(seed: Seed<OfEpisode>) -> usize {
    (seed.index().0 % LANES as u64) as usize
}

struct SideBySideThread {
    learner: Box<dyn LearnerThread<f32>>,
    lanes: Lanes,
    /// What was drawn ahead of time, and the seeds that it was drawn from.
    ahead: (Lanes, Vec<Seed<OfEpisode>>),
    sizes: (EpisodeSize, EpisodeSize),
    instruction_set: InstructionSet,
    theta: Vec<f32>,
    gradients: Aligned<f32>,
}

impl WorkThread for SideBySideThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        self.theta.copy_from_slice(theta);
    }

    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        let mut report = [EpisodeReport::default()];
        self.meta_gradients(&[seed], &mut report);
        self.sum(lane(seed)..lane(seed) + 1, gradient);
        report[0]
    }

    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport {
        let mut report = [EpisodeReport::default()];
        self.evaluations(&[seed], split, &mut report);
        report[0]
    }

    fn abreast(&mut self) -> Option<&mut dyn Abreast> {
        Some(self)
    }
}

impl Abreast for SideBySideThread {
    fn draw(&mut self, seeds: &[Seed<OfEpisode>]) {
        let (lanes, drawn) = &mut self.ahead;
        drawn.clear();
        lanes.draw(seeds, Split::Train, self.sizes.0);
        drawn.extend_from_slice(seeds);
    }

    fn meta_gradients(&mut self, seeds: &[Seed<OfEpisode>], reports: &mut [EpisodeReport]) {
        let Some(&first) = seeds.first() else { return };
        if self.ahead.1 == seeds {
            std::mem::swap(&mut self.lanes, &mut self.ahead.0);
            self.ahead.1.clear();
        } else {
            self.lanes.draw(seeds, Split::Train, self.sizes.0);
        }
        let Self { learner, lanes, theta, gradients, .. } = self;
        let all = learner.meta_gradient(theta, &lanes.episodes, first, gradients);
        report(seeds, &all, reports);
    }

    fn sum(&mut self, lanes: Range<usize>, gradient: &mut [f32]) {
        sum_lanes_as_tree(self.instruction_set, lanes, &self.gradients, gradient);
    }

    fn evaluations(
        &mut self,
        seeds: &[Seed<OfEpisode>],
        split: Split,
        reports: &mut [EpisodeReport],
    ) {
        let Some(&first) = seeds.first() else { return };
        self.lanes.draw(seeds, split, self.sizes.1);
        let Self { learner, lanes, theta, .. } = self;
        report(seeds, &learner.evaluate(theta, &lanes.episodes, first), reports);
    }
}

fn report(seeds: &[Seed<OfEpisode>], all: &Reports, reports: &mut [EpisodeReport]) {
    for (&seed, report) in seeds.iter().zip(reports) {
        *report = all.lane(lane(seed));
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::load;
    use lyceum_common::ids::{EpisodeIndex, MetaStep};

    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use crate::work::{BuildOptions, build};

    fn seeds(from: u64) -> Vec<Seed<OfEpisode>> {
        let step = Seed::of_run(5).step(MetaStep(3));
        (from..from + LANES as u64).map(|index| step.episode(EpisodeIndex(index))).collect()
    }

    #[test]
    fn an_episode_has_the_same_bits_in_whatever_company() {
        let meta_sgd = "learner.meta_sgd={ inner_steps = 2, evaluation_steps = 3 }";
        for overrides in [vec![], vec![meta_sgd], vec!["network.mlp.activation=\"relu\""]] {
            let overrides: Vec<String> = overrides.into_iter().map(str::to_owned).collect();
            let config = load("sinusoid-maml", &overrides).unwrap();
            let work = build(&config, None, BuildOptions::default()).unwrap();
            assert_eq!(work.abreast(), LANES);
            // Small enough that the inner loop stays finite.
            let theta = numbers(1, work.parameters());
            let theta: Vec<f32> = theta.iter().map(|value| 0.05 * value.abs()).collect();
            let (mut together, mut alone) = (work.thread(), work.thread());
            together.set_parameters(&theta);
            alone.set_parameters(&theta);
            let (mut left, mut right) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
            // The second time, the lanes hold other episodes than those around one that is computed alone.
            for from in [32, 16] {
                // What was drawn ahead of time is what is asked for, or it is not.
                together.abreast().unwrap().draw(&seeds(16));
                let (seeds, mut reports) = (seeds(from), [EpisodeReport::default(); LANES]);
                together.abreast().unwrap().meta_gradients(&seeds, &mut reports);
                for (place, &seed) in seeds.iter().enumerate() {
                    together.abreast().unwrap().sum(place..place + 1, &mut left);
                    assert_eq!(alone.meta_gradient(seed, &mut right), reports[place]);
                    assert!(same_bits(&left, &right), "{place} of {overrides:?}");
                    assert!(left.iter().any(|&value| value != 0.0));
                }
                together.abreast().unwrap().evaluations(&seeds, Split::Test, &mut reports);
                for (&seed, &report) in seeds.iter().zip(&reports) {
                    assert_eq!(alone.evaluate(seed, Split::Test), report);
                }
            }
        }
    }

    #[test]
    fn a_profile_has_the_products_of_all_sixteen() {
        let config = load("sinusoid-maml", &[]).unwrap();
        let work = build(&config, None, BuildOptions::default()).unwrap();
        let theta = vec![0.01; work.parameters()];
        let timings = work.profile(&theta, seeds(0)[0], 1);
        let products = timings.iter().map(|timing| timing.runs * timing.products).sum::<usize>();
        assert_eq!(products, LANES * work.products());
    }
}
