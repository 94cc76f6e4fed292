//! Meta-SGD, as both sides know it.

use serde::{Deserialize, Serialize};

use super::{Definition, steps};
use crate::config::array;
use crate::config::validate::range;
use crate::config::{ConfigError, RunConfig};
use crate::layout::{Initialisation, Layout};

/// Meta-SGD (Li et al. 2017): the initialisation and a rate per parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSgdConfig {
    /// The rates begin uniform in this range.
    #[serde(default = "initial_rates", deserialize_with = "array::of_length")]
    pub initial_rates: [f32; 2],
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
}

fn initial_rates() -> [f32; 2] {
    [0.005, 0.1]
}

impl Definition for MetaSgdConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        range("learner.meta_sgd.initial_rates", self.initial_rates)?;
        steps("learner.meta_sgd", self.inner_steps, self.evaluation_steps)
    }

    /// Behind the network's parameters, a rate for each of them.
    fn layout(&self, network: &Layout) -> Layout {
        let mut layout = network.clone();
        let [low, high] = self.initial_rates;
        for entry in network.entries() {
            let initialisation = Initialisation::Uniform(low, high);
            layout.push(format!("rate.{}", entry.name), &entry.shape, entry.role, initialisation);
        }
        layout
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}
