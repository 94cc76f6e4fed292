//! A learner and its scratch, bound together for one thread: the farm knows neither their types nor that there are many.

use std::sync::Arc;

use lyceum_common::seed::{OfEpisode, Seed};

use super::Learner;
use crate::episodes::Episode;
use crate::kernels::Real;
use crate::objective::{Frame, Objective};
use crate::profile::Share;
use crate::reports::Reports;

/// A learner, whatever it computes in.
pub(crate) trait AnyLearner<T: Real>: Send + Sync {
    /// What one thread needs, allocated once.
    fn thread(self: Arc<Self>) -> Box<dyn LearnerThread<T>>;

    /// As [`Learner::products`].
    fn products(&self) -> usize;

    /// As [`Learner::shares`].
    fn shares(&self) -> Vec<Share<'_, T>>;
}

/// One thread of a learner: as [`Learner`] without a scratch to hand over.
pub(crate) trait LearnerThread<T: Real>: Send {
    /// As [`Learner::meta_gradient`].
    fn meta_gradient(
        &mut self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        out: &mut [T],
    ) -> Reports;

    /// As [`Learner::evaluate`].
    fn evaluate(&mut self, theta: &[T], episode: &Episode, seed: Seed<OfEpisode>) -> Reports;

    /// As [`Learner::outputs`].
    fn outputs(&self) -> &[T];

    /// As [`Learner::evaluated`].
    fn evaluated(&self) -> (&Objective<T>, &Frame<T>);
}

impl<T: Real, L: Learner<T> + 'static> AnyLearner<T> for L {
    fn thread(self: Arc<Self>) -> Box<dyn LearnerThread<T>> {
        Box::new(Bound { scratch: self.scratch(), learner: self })
    }

    fn products(&self) -> usize {
        Learner::products(self)
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        Learner::shares(self)
    }
}

struct Bound<L, S> {
    learner: Arc<L>,
    scratch: S,
}

impl<T: Real, L: Learner<T>> LearnerThread<T> for Bound<L, L::Scratch> {
    fn meta_gradient(
        &mut self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        out: &mut [T],
    ) -> Reports {
        self.learner.meta_gradient(theta, episode, seed, &mut self.scratch, out)
    }

    fn evaluate(&mut self, theta: &[T], episode: &Episode, seed: Seed<OfEpisode>) -> Reports {
        self.learner.evaluate(theta, episode, seed, &mut self.scratch)
    }

    fn outputs(&self) -> &[T] {
        self.learner.outputs(&self.scratch)
    }

    fn evaluated(&self) -> (&Objective<T>, &Frame<T>) {
        self.learner.evaluated(&self.scratch)
    }
}
