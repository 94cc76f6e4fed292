//! iMAML, as both sides know it.

use serde::{Deserialize, Serialize};

use super::{Definition, steps};
use crate::config::run::is_zero;
use crate::config::validate::{MANY, positive, within};
use crate::config::{ConfigError, RunConfig};

/// Meta-learning with implicit gradients (Rajeswaran et al. 2019): the inner loop is held near the initialisation, and the
/// meta-gradient follows from where it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImamlConfig {
    /// λ: the inner loop minimises the mean loss over the support set plus λ/2 times the squared distance from the
    /// initialisation.
    #[serde(default = "regularisation")]
    pub regularisation: f32,
    /// What conjugate gradients add to λ, as the authors' code does: they solve (I + H/(λ + damping)) x = ∇L_query. Where λ is
    /// small beside H's negative eigenvalues the exact problem has no minimum, and its solution is no direction to go.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damping: f32,
    /// The inner rate.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
    /// Steps of conjugate gradients, a Hessian-vector product each.
    #[serde(default = "conjugate_gradient_steps")]
    pub conjugate_gradient_steps: usize,
}

fn regularisation() -> f32 {
    2.0
}

fn conjugate_gradient_steps() -> usize {
    5
}

impl Definition for ImamlConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        positive("learner.imaml.regularisation", self.regularisation)?;
        within("learner.imaml.damping", self.damping, 0.0, f32::MAX)?;
        positive("learner.imaml.inner_rate", self.inner_rate)?;
        steps("learner.imaml", self.inner_steps, self.evaluation_steps)?;
        let key = "learner.imaml.conjugate_gradient_steps";
        within(key, self.conjugate_gradient_steps, 1, MANY)
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}
