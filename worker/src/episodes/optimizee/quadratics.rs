//! Quadratics f(θ) = ‖W θ − y‖² (Andrychowicz et al. 2016, section 3.1).

use lyceum_common::config::QuadraticsConfig;
use lyceum_common::ids::Split;
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::OptimizeeSource;
use crate::episodes::Batch;

/// Every step sees all rows of W, `[dimension, dimension]`, as inputs, and y as targets.
///
/// # Derivation
///
/// From stream `Function`: W row by row, then y, each `normal`. All splits are the same distribution.
#[derive(Clone, Debug)]
pub(super) struct Quadratics {
    dimension: usize,
}

impl Quadratics {
    pub(super) fn new(config: &QuadraticsConfig) -> Self {
        Self { dimension: config.dimension }
    }
}

impl OptimizeeSource for Quadratics {
    fn examples(&self) -> usize {
        self.dimension
    }

    fn minibatch(&self, seed: Seed<OfEpisode>, _: Split, _: usize, batch: &mut Batch) {
        let mut generator = seed.stream(Purpose::Function);
        batch.clear();
        batch.inputs.extend((0..self.dimension * self.dimension).map(|_| generator.normal()));
        batch.targets.extend((0..self.dimension).map(|_| generator.normal()));
    }

    fn is_constant(&self) -> bool {
        true
    }
}
