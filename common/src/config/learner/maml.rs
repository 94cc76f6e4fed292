//! MAML, first-order MAML and ANIL, with the switches of MAML++ and Proto-MAML, as both sides know them.

use serde::{Deserialize, Serialize};

use super::{Definition, steps};
use crate::config::validate::{LARGE, positive, within};
use crate::config::{ConfigError, NetworkConfig, RunConfig};
use crate::layout::{Entry, Initialisation, Layout, Role};

/// Model-agnostic meta-learning (Finn et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MamlConfig {
    /// `second` is exact; `first` leaves the Hessian out.
    #[serde(default)]
    pub order: Order,
    /// What the inner loop changes: `all`, or the `head` alone (ANIL, Raghu et al. 2020).
    #[serde(default)]
    pub adapt: Adapt,
    /// The inner rate α, on the mean loss over the support set.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
    /// Meta-steps that are first-order before those that are exact begin, as in MAML++.
    #[serde(default, skip_serializing_if = "are_none")]
    pub first_order_meta_steps: u64,
    /// Clipping of inner gradients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_clip: Option<InnerClip>,
    /// What the head begins an episode with: a `learned` initialisation, or the support set's `prototypes` (Proto-MAML,
    /// Triantafillou et al. 2020).
    #[serde(default)]
    pub initial_head: InitialHead,
    /// MAML++: the query loss after every inner step counts, and not after the last alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_step_loss: Option<MultiStepLoss>,
    /// MAML++: a rate for each of a layer's tensors and each step is learned, `inner_rate` being where they begin. Steps
    /// beyond those of training take the last one's.
    #[serde(default)]
    pub learned_rates: bool,
    /// MAML++: after each number of inner steps, batch norm has a weight and a bias of its own, which the inner loop does
    /// not change, and running statistics of its own, for evaluation that lets no query example see another.
    #[serde(default)]
    pub batch_norm_per_step: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn are_none(meta_steps: &u64) -> bool {
    *meta_steps == 0
}

impl MamlConfig {
    /// Exact MAML of Finn et al. with as many inner steps in evaluation as in training, and none of the switches.
    #[must_use]
    pub fn plain(inner_rate: f32, inner_steps: usize) -> Self {
        Self {
            order: Order::Second,
            adapt: Adapt::All,
            inner_rate,
            inner_steps,
            evaluation_steps: inner_steps,
            first_order_meta_steps: 0,
            inner_clip: None,
            initial_head: InitialHead::Learned,
            multi_step_loss: None,
            learned_rates: false,
            batch_norm_per_step: false,
        }
    }

    /// Whether it is MAML, first-order MAML or ANIL, with nothing beside.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let per_step = self.learned_rates || self.batch_norm_per_step;
        self.initial_head == InitialHead::Learned && self.multi_step_loss.is_none() && !per_step
    }

    /// The entries of a network that the inner loop changes.
    pub fn adapted<'n>(&self, network: &'n Layout) -> impl Iterator<Item = &'n Entry> + use<'n> {
        let entries = network.entries();
        // The head is the last layer: a weight and a bias.
        let head = entries.len().saturating_sub(2);
        let first = if self.adapt == Adapt::Head { head } else { 0 };
        let fixed = self.batch_norm_per_step || self.adapt == Adapt::AllButNorms;
        entries[first..].iter().filter(move |entry| !(fixed && is_norm(entry)))
    }
}

/// What the head begins an episode with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialHead {
    /// Meta-parameters.
    #[default]
    Learned,
    /// Weights 2cₖ and biases −‖cₖ‖² of the means cₖ of each class's embedded support examples: at first it is a
    /// prototypical network.
    Prototypes,
}

/// MAML++'s multi-step loss: at first the query loss after every inner step counts the same; the shares of all but the last
/// fall to nothing along a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiStepLoss {
    /// Meta-steps after which the last inner step's loss counts alone.
    pub meta_steps: u64,
}

/// How much of the meta-gradient is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// First-order: the inner loop's Jacobian is taken for the identity.
    First,
    /// Exact.
    #[default]
    Second,
}

/// Which parameters the inner loop changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adapt {
    /// All.
    #[default]
    All,
    /// All but batch norm's weights and biases, as in the code that Finn et al. published.
    AllButNorms,
    /// The head's: "almost no inner loop".
    Head,
}

/// A bound on the inner gradient's elements. Where it clips, the exact meta-gradient passes nothing through.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerClip {
    /// Each element is kept within ± this.
    pub value: f32,
}

impl Definition for MamlConfig {
    fn validate(&self, run: &RunConfig) -> Result<(), ConfigError> {
        positive("learner.maml.inner_rate", self.inner_rate)?;
        steps("learner.maml", self.inner_steps, self.evaluation_steps)?;
        let clip = self.inner_clip;
        clip.map_or(Ok(()), |clip| positive("learner.maml.inner_clip.value", clip.value))?;
        if self.order == Order::First && self.first_order_meta_steps > 0 {
            let key = "learner.maml.first_order_meta_steps";
            return Err(ConfigError::new(key, "all are where `order` is \"first\": leave it out"));
        }
        within("learner.maml.first_order_meta_steps", self.first_order_meta_steps, 0, LARGE)?;
        let multi = self.multi_step_loss;
        multi.map_or(Ok(()), |multi| {
            within("learner.maml.multi_step_loss.meta_steps", multi.meta_steps, 1, LARGE)
        })?;
        let needs_encoder = [
            ("initial_head", self.initial_head == InitialHead::Prototypes),
            ("batch_norm_per_step", self.batch_norm_per_step),
        ];
        match needs_encoder.into_iter().find(|(_, switched)| *switched) {
            Some((key, _)) if !matches!(run.network, NetworkConfig::Conv4(_)) => {
                let problem = "needs an encoder with batch norm: use network.conv4";
                Err(ConfigError::new(format!("learner.maml.{key}"), problem))
            }
            _ => Ok(()),
        }
    }

    /// The network's, its head only where it is learned; a rate for each tensor that adapts and each step; batch norm's
    /// weights and biases after each step, the network's own being those before the first; and its running statistics.
    fn layout(&self, network: &Layout) -> Layout {
        let mut layout = Layout::new();
        let given = self.initial_head == InitialHead::Prototypes;
        for entry in network.entries() {
            if !(given && entry.name.starts_with("head.")) {
                layout.push(&*entry.name, &entry.shape, entry.role, entry.initialisation);
            }
        }
        if self.learned_rates {
            for entry in self.adapted(network) {
                let initial = Initialisation::Constant(self.inner_rate);
                let name = format!("inner_rate.{}", entry.name);
                layout.push(name, &[self.inner_steps], Role::Trained, initial);
            }
        }
        if self.batch_norm_per_step {
            let norms = || network.entries().iter().filter(|entry| is_norm(entry));
            for step in 1..=self.inner_steps {
                for entry in norms() {
                    let name = format!("step.{step}.{}", entry.name);
                    layout.push(name, &entry.shape, entry.role, entry.initialisation);
                }
            }
            for step in 0..=self.inner_steps {
                for (name, shape) in norms()
                    .filter_map(|entry| Some((entry.name.strip_suffix("weight")?, &entry.shape)))
                {
                    for (part, initial) in [("running_mean", 0.0), ("running_var", 1.0)] {
                        let initial = Initialisation::Constant(initial);
                        let name = format!("step.{step}.{name}{part}");
                        layout.push(name, shape, Role::Buffer, initial);
                    }
                }
            }
        }
        layout
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}

/// Whether this is batch norm's weight or bias.
fn is_norm(entry: &Entry) -> bool {
    entry.name.contains(".norm.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::model::run_layout;

    #[test]
    fn all_but_norms_is_all_but_norms() {
        let network = run_layout(&load("glyphs-maml", &[]).unwrap()).unwrap();
        let names = |adapt| -> Vec<String> {
            let config = MamlConfig { adapt, ..MamlConfig::plain(0.1, 1) };
            config.adapted(&network).map(|entry| entry.name.clone()).collect()
        };
        let (all, rest) = (names(Adapt::All), names(Adapt::AllButNorms));
        assert_eq!(all.len(), 4 * 4 + 2);
        assert_eq!(rest.len(), 4 * 2 + 2);
        assert!(rest.iter().all(|name| all.contains(name) && !name.contains("norm")), "{rest:?}");
    }
}
