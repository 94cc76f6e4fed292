//! How many episodes a compute thread takes at once. The coordinator cuts assignments by it, and workers compute by it.

use crate::config::{LearnerConfig, NetworkConfig, RunConfig};
use crate::model::run_layout;

/// Episodes that are computed side by side: the lanes of a vector.
pub const ABREAST: usize = 16;

/// The most meta-parameters of a network that is computed so. A vector for each of 4,096 is 256 KiB, of which a core's
/// second-level cache holds a few.
const PARAMETERS: usize = 4096;

/// How many episodes of a run are computed side by side: sixteen where the inner loop moves a small perceptron on a
/// regression, one elsewhere. This follows from the configuration alone, never from how many episodes there are.
#[must_use]
pub fn episodes_abreast(config: &RunConfig) -> usize {
    let moves = matches!(config.learner, LearnerConfig::Maml(_) | LearnerConfig::MetaSgd(_));
    let is_perceptron = matches!(config.network, NetworkConfig::Mlp(_));
    let is_small = run_layout(config).is_ok_and(|layout| layout.len() <= PARAMETERS);
    if moves && is_perceptron && is_small && !config.data.is_classification() {
        ABREAST
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn a_small_perceptron_on_a_regression_is_computed_side_by_side() {
        let of = |preset: &str, change: &str| {
            episodes_abreast(&load(preset, &[change.to_owned()]).unwrap())
        };
        assert_eq!(of("sinusoid-maml", "training.meta_batch=3"), ABREAST);
        let meta_sgd = "learner.meta_sgd={ inner_steps = 1, evaluation_steps = 1 }";
        assert_eq!(of("sinusoid-maml", meta_sgd), ABREAST);
        assert_eq!(of("sinusoid-maml", "network.mlp.hidden=[100, 100]"), 1);
        assert_eq!(of("omniglot-maml-5w1s", "seed=1"), 1);
        assert_eq!(of("quadratics-learned-optimizer", "seed=1"), 1);
    }
}
