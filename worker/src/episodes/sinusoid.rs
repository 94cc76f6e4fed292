//! Regression of sine waves (Finn et al. 2017, section 5.1).

use lyceum_common::config::SinusoidConfig;
use lyceum_common::ids::Split;
use lyceum_common::seed::{Generator, OfEpisode, Purpose, Seed};

use super::sine::wave;
use super::{Batch, Episode, EpisodeError, EpisodeSize, EpisodeSource};

/// Draws y = A sin(x − φ): inputs `[n, 1]`, targets `[n, 1]`.
///
/// # Derivation
///
/// From stream `Function`, in this order: A, φ, then the x of every support point, then of every query point, each
/// `uniform` in its range. y is computed in f64 from the f32 values, with a sine that is correct to the last place of
/// f64 or so, and rounded to f32. All splits are the same distribution.
#[derive(Clone, Debug)]
pub struct SinusoidSource {
    config: SinusoidConfig,
}

impl SinusoidSource {
    /// Waves in the ranges of `config`.
    #[must_use]
    pub fn new(config: &SinusoidConfig) -> Self {
        Self { config: config.clone() }
    }
}

fn uniform(range: [f32; 2], generator: &mut Generator) -> f32 {
    generator.uniform(range[0], range[1])
}

impl EpisodeSource for SinusoidSource {
    fn sample(&self, seed: Seed<OfEpisode>, _: Split, size: EpisodeSize, episode: &mut Episode) {
        let mut generator = seed.stream(Purpose::Function);
        let amplitude = uniform(self.config.amplitude, &mut generator);
        let phase = uniform(self.config.phase, &mut generator);
        let mut fill = |batch: &mut Batch, points: usize| {
            batch.clear();
            let draws = (0..points).map(|_| uniform(self.config.domain, &mut generator));
            batch.inputs.extend(draws);
            wave(amplitude, phase, &batch.inputs, &mut batch.targets);
        };
        fill(&mut episode.support, size.shots);
        fill(&mut episode.query, size.queries);
    }

    fn check(&self, _: Split, size: EpisodeSize) -> Result<(), EpisodeError> {
        if size.ways == 1 { Ok(()) } else { Err(EpisodeError::NotOneWay { ways: size.ways }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_common::ids::{EpisodeIndex, MetaStep};
    use proptest::prelude::*;

    fn draw(run: u64, index: u64, size: EpisodeSize) -> Episode {
        let source = SinusoidSource::new(&SinusoidConfig::default());
        let seed = Seed::of_run(run).step(MetaStep(0)).episode(EpisodeIndex(index));
        let mut episode = Episode::default();
        source.sample(seed, Split::Train, size, &mut episode);
        episode
    }

    #[test]
    fn a_regression_episode_has_one_way() {
        let source = SinusoidSource::new(&SinusoidConfig::default());
        let check = |ways| source.check(Split::Train, EpisodeSize { ways, shots: 1, queries: 1 });
        assert_eq!(check(1), Ok(()));
        assert_eq!(check(5), Err(EpisodeError::NotOneWay { ways: 5 }));
    }

    proptest! {
        #[test]
        fn points_lie_on_one_wave_in_range(run: u64, shots in 1_usize..20, queries in 1_usize..20) {
            let episode = draw(run, 3, EpisodeSize { ways: 1, shots, queries });
            prop_assert_eq!(episode.support.inputs.len(), shots);
            prop_assert_eq!(episode.query.targets.len(), queries);
            let mut generator = Seed::of_run(run).step(MetaStep(0)).episode(EpisodeIndex(3)).stream(Purpose::Function);
            let amplitude = generator.uniform(0.1, 5.0);
            let phase = generator.uniform(0.0, std::f32::consts::PI);
            for batch in [&episode.support, &episode.query] {
                for (&x, &y) in batch.inputs.iter().zip(&batch.targets) {
                    prop_assert!((-5.0..=5.0).contains(&x));
                    prop_assert!((y - amplitude * (x - phase).sin()).abs() < 1e-5);
                }
            }
        }

        #[test]
        fn an_episode_is_its_seed(run: u64, index in 0_u64..1000) {
            let size = EpisodeSize { ways: 1, shots: 5, queries: 5 };
            prop_assert_eq!(draw(run, index, size), draw(run, index, size));
            prop_assert_ne!(draw(run, index, size), draw(run, index + 1, size));
        }
    }
}
