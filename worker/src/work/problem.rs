//! A learner on a source of episodes, as the farm sees it.

use std::sync::Arc;

use lyceum_common::config::Precision;
use lyceum_common::ids::Split;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use super::{Work, WorkThread};
use crate::episodes::{Episode, EpisodeSize, EpisodeSource};
use crate::learners::{AnyLearner, LearnerThread};
use crate::profile::{self, Timing};

/// (meta-parameters, seed) → meta-gradient, by sampling an episode and handing it to the learner.
pub(crate) struct Problem {
    pub(crate) learner: Arc<dyn AnyLearner<f32>>,
    pub(crate) source: Arc<dyn EpisodeSource>,
    pub(crate) training: EpisodeSize,
    pub(crate) evaluation: EpisodeSize,
    /// For each place that the learner computes with, its place in the layout.
    pub(crate) order: Arc<[u32]>,
    /// What gradients and their sums are rounded to.
    pub(crate) sums: Precision,
}

impl Work for Problem {
    fn sums(&self) -> Precision {
        self.sums
    }

    fn parameters(&self) -> usize {
        self.order.len()
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        Box::new(ProblemThread {
            learner: Arc::clone(&self.learner).thread(),
            source: Arc::clone(&self.source),
            sizes: (self.training, self.evaluation),
            order: Arc::clone(&self.order),
            theta: vec![0.0; self.order.len()],
            episode: Episode::default(),
            ahead: (Episode::default(), None),
        })
    }

    fn layout_order(&self) -> Option<&[u32]> {
        Some(&self.order)
    }

    fn products(&self) -> usize {
        self.learner.products()
    }

    fn profile(&self, theta: &[f32], seed: Seed<OfEpisode>, repeats: usize) -> Vec<Timing> {
        let mut episode = Episode::default();
        self.source.sample(seed, Split::Train, self.training, &mut episode);
        let mut theta: Vec<f32> = self.order.iter().map(|&place| theta[place as usize]).collect();
        let shares = self.learner.shares();
        // What an episode's own support set says of the network is not among the meta-parameters.
        let most = shares.iter().map(|share| share.objective.parameter_count()).max().unwrap_or(0);
        theta.resize(theta.len().max(most), 0.0);
        let timings = shares.iter().map(|share| {
            profile::time(share, &theta[..share.objective.parameter_count()], &episode, repeats)
        });
        timings.flatten().collect()
    }
}

struct ProblemThread {
    learner: Box<dyn LearnerThread<f32>>,
    source: Arc<dyn EpisodeSource>,
    sizes: (EpisodeSize, EpisodeSize),
    order: Arc<[u32]>,
    theta: Vec<f32>,
    episode: Episode,
    /// What was drawn ahead of time, and the seed that it was drawn from.
    ahead: (Episode, Option<Seed<OfEpisode>>),
}

impl WorkThread for ProblemThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        for (value, &place) in self.theta.iter_mut().zip(&*self.order) {
            *value = theta[place as usize];
        }
    }

    fn draw(&mut self, seed: Seed<OfEpisode>) {
        let (episode, drawn) = &mut self.ahead;
        *drawn = None;
        self.source.sample(seed, Split::Train, self.sizes.0, episode);
        *drawn = Some(seed);
    }

    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        let (ahead, drawn) = &self.ahead;
        let episode = if *drawn == Some(seed) {
            ahead
        } else {
            self.source.sample(seed, Split::Train, self.sizes.0, &mut self.episode);
            &self.episode
        };
        self.learner.meta_gradient(&self.theta, episode, seed, gradient).alone()
    }

    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport {
        self.source.sample(seed, split, self.sizes.1, &mut self.episode);
        self.learner.evaluate(&self.theta, &self.episode, seed).alone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use lyceum_common::config::load;
    use lyceum_common::ids::{EpisodeIndex, MetaStep};

    use super::*;
    use crate::episodes::{EpisodeError, source};
    use crate::kernels::test_support::same_bits;
    use crate::learners::{Registered, learner};
    use crate::work::{BuildOptions, network, setting};

    /// Counts what it draws.
    struct Counting {
        source: Box<dyn EpisodeSource>,
        draws: AtomicUsize,
    }

    impl EpisodeSource for Counting {
        fn sample(
            &self,
            seed: Seed<OfEpisode>,
            split: Split,
            size: EpisodeSize,
            episode: &mut Episode,
        ) {
            self.draws.fetch_add(1, Ordering::Relaxed);
            self.source.sample(seed, split, size, episode);
        }

        fn check(&self, split: Split, size: EpisodeSize) -> Result<(), EpisodeError> {
            self.source.check(split, size)
        }
    }

    /// A learner on distorted images, what counts its draws, and meta-parameters.
    fn problem(change: &str) -> (Problem, Arc<Counting>, Vec<f32>) {
        let overrides = [
            "data.glyphs.classes=[8, 5, 5]",
            "data.glyphs.images.image_size=20",
            "network.conv4.filters=16",
            "episode.distortion={}",
            change,
        ];
        let config = load("glyphs-maml", &overrides.map(str::to_owned)).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let pack = lyceum_common::data::prepare(&config.data, cache.path()).unwrap();
        let source = source(&config, pack).unwrap();
        let counting = Arc::new(Counting { source, draws: AtomicUsize::new(0) });
        let network = network(&config).unwrap();
        let setting = setting(&config, &network, BuildOptions::default());
        let Registered::OfEpisodes(learner) = learner(&config.learner, &setting) else {
            panic!("{change} is no learner on episodes");
        };
        let layout = config.learner.layout(network.layout());
        let problem = Problem {
            learner,
            source: counting.clone(),
            training: EpisodeSize::of_training(&config),
            evaluation: EpisodeSize::of_evaluation(&config),
            order: network.order(&layout).into(),
            sums: Precision::Float32,
        };
        (problem, counting, layout.initialise(Seed::of_run(1).initialisation()))
    }

    #[test]
    fn what_was_drawn_ahead_is_not_drawn_again_and_has_the_same_bits() {
        for change in ["learner.maml.inner_steps=2", "learner.prototypical={}"] {
            let (problem, source, theta) = problem(change);
            let (mut ahead, mut alone) = (problem.thread(), problem.thread());
            ahead.set_parameters(&theta);
            alone.set_parameters(&theta);
            let (mut left, mut right) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
            let step = Seed::of_run(5).step(MetaStep(3));
            let [drawn, other] = [0, 1].map(|index| step.episode(EpisodeIndex(index)));
            ahead.draw(drawn);
            // It stays there while others are computed, or evaluated.
            for (seed, draws) in [(other, 1), (drawn, 0)] {
                let evaluated = ahead.evaluate(drawn, Split::Test);
                source.draws.store(0, Ordering::Relaxed);
                let report = ahead.meta_gradient(seed, &mut left);
                assert_eq!(source.draws.load(Ordering::Relaxed), draws, "{change}");
                assert_eq!(report, alone.meta_gradient(seed, &mut right));
                assert_eq!(evaluated, alone.evaluate(drawn, Split::Test));
                assert!(same_bits(&left, &right), "{change}");
                assert!(left.iter().any(|&value| value != 0.0));
            }
        }
    }
}
