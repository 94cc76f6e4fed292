//! Reptile, as both sides know it.

use serde::{Deserialize, Serialize};

use super::{Definition, steps};
use crate::config::validate::{MANY, positive, within};
use crate::config::{AdamConfig, ConfigError, RunConfig};
use crate::layout::{Initialisation, Layout, Role};

/// Reptile (Nichol et al. 2018): moves towards the adapted parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReptileConfig {
    /// What takes the inner steps.
    pub inner_optimizer: InnerOptimizer,
    /// The inner rate.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
    /// Support examples a class that the inner loop trains on; the episode's shots where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_shots: Option<usize>,
    /// Examples an inner step in training; the whole support set where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_batch: Option<usize>,
    /// Examples an inner step in evaluation; the whole support set where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_batch: Option<usize>,
    /// Whether Adam's running mean of squares goes on from one meta-step to the next, as in the published code, and through
    /// evaluation; else it begins anew in every episode, and first steps are as long as the rate for every parameter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carry_squares: bool,
}

/// What takes Reptile's inner steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InnerOptimizer {
    /// Plain gradient descent.
    Sgd,
    /// Adam.
    Adam(AdamConfig),
}

impl Definition for ReptileConfig {
    fn validate(&self, run: &RunConfig) -> Result<(), ConfigError> {
        let episode = &run.episode;
        positive("learner.reptile.inner_rate", self.inner_rate)?;
        steps("learner.reptile", self.inner_steps, self.evaluation_steps)?;
        let training_shots = self.training_shots.unwrap_or(episode.shots);
        within("learner.reptile.training_shots", training_shots, 1, MANY)?;
        let batch = |key: &str, batch: Option<usize>, shots: usize| {
            let support = episode.ways * shots;
            within(&format!("learner.reptile.{key}"), batch.unwrap_or(support), 1, support)
        };
        batch("inner_batch", self.inner_batch, training_shots)?;
        batch("evaluation_batch", self.evaluation_batch, episode.shots_in_evaluation())?;
        match self.inner_optimizer {
            InnerOptimizer::Sgd if self.carry_squares => {
                let problem = "is Adam's: use learner.reptile.inner_optimizer.adam";
                Err(ConfigError::new("learner.reptile.carry_squares", problem))
            }
            InnerOptimizer::Sgd => Ok(()),
            InnerOptimizer::Adam(adam) => adam.validate("learner.reptile.inner_optimizer.adam"),
        }
    }

    /// Behind the network's parameters, where they are carried, Adam's mean of squares for each of them, and one less what
    /// is left in it of its beginning at zero.
    fn layout(&self, network: &Layout) -> Layout {
        let mut layout = network.clone();
        if self.carry_squares {
            let zero = Initialisation::Constant(0.0);
            for entry in network.entries() {
                let name = format!("inner_square.{}", entry.name);
                layout.push(name, &entry.shape, Role::Buffer, zero);
            }
            layout.push("inner_squares_weight", &[1], Role::Buffer, zero);
        }
        layout
    }

    fn training_shots(&self) -> Option<usize> {
        self.training_shots
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}
