//! A sine wave, at fresh points in every step.

use lyceum_common::config::SinusoidConfig;
use lyceum_common::ids::Split;
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::OptimizeeSource;
use crate::episodes::Batch;

/// y = A sin(x − φ) at `batch` points a step: inputs `[batch, 1]`, targets `[batch, 1]`.
///
/// # Derivation
///
/// A and φ from stream `Function`, as in a few-shot episode; the x of a step from its minibatch's stream, each `uniform` in
/// its range. All splits are the same distribution.
#[derive(Clone, Debug)]
pub(super) struct Waves {
    config: SinusoidConfig,
    batch: usize,
}

impl Waves {
    pub(super) fn new(config: &SinusoidConfig, batch: usize) -> Self {
        Self { config: config.clone(), batch }
    }
}

impl OptimizeeSource for Waves {
    fn examples(&self) -> usize {
        self.batch
    }

    fn minibatch(&self, seed: Seed<OfEpisode>, _: Split, step: usize, batch: &mut Batch) {
        let SinusoidConfig { amplitude, phase, domain } = self.config;
        let mut function = seed.stream(Purpose::Function);
        let amplitude = function.uniform(amplitude[0], amplitude[1]);
        let phase = function.uniform(phase[0], phase[1]);
        let mut generator = seed.minibatch(step as u64);
        batch.clear();
        for _ in 0..self.batch {
            let x = generator.uniform(domain[0], domain[1]);
            let y = f64::from(amplitude) * libm::sin(f64::from(x) - f64::from(phase));
            batch.inputs.push(x);
            batch.targets.push(y as f32);
        }
    }
}
