//! How many episodes a compute thread takes at once. The coordinator cuts assignments by it, and workers compute by it.

use crate::config::{LearnerConfig, NetworkConfig, Precision, RunConfig};
use crate::layout::Layout;
use crate::model::network_layout;

/// Episodes that are computed side by side: the lanes of a vector.
pub const ABREAST: usize = 16;

/// The most meta-parameters of a network that is computed so. A vector for each of 4,096 is 256 KiB, of which a core's
/// second-level cache holds a few.
const PARAMETERS: usize = 4096;

/// How many episodes of a run are computed side by side: sixteen where the inner loop moves a small perceptron on a
/// regression, one elsewhere. This follows from the configuration alone, never from how many episodes there are.
#[must_use]
pub fn episodes_abreast(config: &RunConfig) -> usize {
    // The tree that sums sixteen at once does not round.
    if config.data.is_classification() || config.training.sums == Precision::Bfloat16 {
        return 1;
    }
    let head = config.learner.head(config.outputs());
    let layout = network_layout(&config.network, config.data.shape(), head);
    layout.map_or(1, |layout| regressions_abreast(&config.learner, &config.network, &layout))
}

/// The same of a regression, given the network's layout.
#[must_use]
pub fn regressions_abreast(
    learner: &LearnerConfig,
    network: &NetworkConfig,
    layout: &Layout,
) -> usize {
    let moves = match learner {
        LearnerConfig::Maml(maml) => maml.is_plain(),
        LearnerConfig::MetaSgd(_) => true,
        _ => false,
    };
    let is_perceptron = matches!(network, NetworkConfig::Mlp(_));
    if moves && is_perceptron && layout.len() <= PARAMETERS { ABREAST } else { 1 }
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
        assert_eq!(of("sinusoid-maml", "training.sums=bfloat16"), 1);
        assert_eq!(of("omniglot-maml-5w1s", "seed=1"), 1);
        assert_eq!(of("quadratics-learned-optimizer", "seed=1"), 1);
    }
}
