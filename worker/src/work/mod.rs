//! The seam between the farm and the learners: (meta-parameters, seed) → meta-gradient. The farm knows no learner, a
//! learner no farm.

mod build;
mod optimizer_problem;
mod problem;
mod side_by_side;

pub(crate) use optimizer_problem::OptimizerProblem;

pub use crate::learners::LstmWorkload;
pub use build::{BuildError, BuildOptions, build, build_listed};
pub(crate) use build::{network, setting};

use std::ops::Range;

use lyceum_common::config::Precision;
use lyceum_common::ids::Split;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Seed};

use crate::profile::Timing;

/// A learning problem: what the worker's threads share.
pub trait Work: Send + Sync {
    /// How many meta-parameters there are: the length of every gradient.
    fn parameters(&self) -> usize;

    /// What one thread needs, allocated once.
    fn thread(&self) -> Box<dyn WorkThread>;

    /// Where each number of a gradient, in the order that threads compute in, lies in the layout's; none where the two are
    /// one.
    fn layout_order(&self) -> Option<&[u32]> {
        None
    }

    /// How many episodes a thread computes at once, which are then those of whole multiples of it.
    fn abreast(&self) -> usize {
        1
    }

    /// What gradients and their sums are rounded to.
    fn sums(&self) -> Precision {
        Precision::Float32
    }

    /// Products, each with an addition, that a training episode's meta-gradient takes: for benchmarks.
    fn products(&self) -> usize {
        0
    }

    /// Times the programs of the training episode of `seed` at `theta`, op by op, or the phases of a learned optimizer's
    /// trajectory, `repeats` times each. Empty where nothing is known of the parts.
    fn profile(&self, theta: &[f32], seed: Seed<OfEpisode>, repeats: usize) -> Vec<Timing> {
        let _ = (theta, seed, repeats);
        Vec::new()
    }
}

/// One thread's share of a [`Work`]: a workspace, and the version of the meta-parameters that it computes from.
pub trait WorkThread: Send {
    /// Takes over a version of the meta-parameters, in the layout's order.
    fn set_parameters(&mut self, theta: &[f32]);

    /// Draws the training episode of `seed` ahead of [`WorkThread::meta_gradient`], which will probably be asked for it: it
    /// takes less time then, and gives the same. By default nothing is drawn before it is asked for.
    fn draw(&mut self, seed: Seed<OfEpisode>) {
        let _ = seed;
    }

    /// Writes the meta-gradient of the training episode of `seed` to `gradient`, in the threads' own order.
    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport;

    /// Adapts to an episode of `split` as in evaluation, and says how well the query set is predicted.
    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport;

    /// Itself, where it [computes several at once](Work::abreast).
    fn abreast(&mut self) -> Option<&mut dyn Abreast> {
        None
    }
}

/// A thread that computes several episodes in the time of one. An episode's bits are the same in whatever company.
pub trait Abreast {
    /// Draws the training episodes of `seeds` ahead of [`Abreast::meta_gradients`], which will probably be asked for them:
    /// it takes less time then, and gives the same.
    fn draw(&mut self, seeds: &[Seed<OfEpisode>]);

    /// Computes the meta-gradients of the training episodes of `seeds`, whose indices differ mod [`Work::abreast`], and
    /// writes their reports.
    fn meta_gradients(&mut self, seeds: &[Seed<OfEpisode>], reports: &mut [EpisodeReport]);

    /// Writes the sum of the last meta-gradients of the episodes whose indices mod [`Work::abreast`] are in `places`, in
    /// the order of the reduction's tree, as [`WorkThread::meta_gradient`] would write one of them.
    fn sum(&mut self, places: Range<usize>, gradient: &mut [f32]);

    /// Evaluates the episodes of `seeds`, whose indices differ mod [`Work::abreast`], on `split`.
    fn evaluations(
        &mut self,
        seeds: &[Seed<OfEpisode>],
        split: Split,
        reports: &mut [EpisodeReport],
    );
}
