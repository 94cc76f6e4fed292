//! A learner on a source of episodes, as the farm sees it.

use std::sync::Arc;

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
}

impl Work for Problem {
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
}

impl WorkThread for ProblemThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        for (value, &place) in self.theta.iter_mut().zip(&*self.order) {
            *value = theta[place as usize];
        }
    }

    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        self.source.sample(seed, Split::Train, self.sizes.0, &mut self.episode);
        self.learner.meta_gradient(&self.theta, &self.episode, seed, gradient).alone()
    }

    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport {
        self.source.sample(seed, split, self.sizes.1, &mut self.episode);
        self.learner.evaluate(&self.theta, &self.episode, seed).alone()
    }
}
