//! Learned optimizers, as both sides know them.

use serde::{Deserialize, Serialize};

use super::{Definition, Order, steps};
use crate::config::validate::{MANY, positive, within};
use crate::config::{ConfigError, RunConfig};
use crate::layout::{Initialisation, Layout, Role};
use crate::model::{OPTIMIZER_LAYERS, OPTIMIZER_READS, linear};

/// Learning to learn by gradient descent by gradient descent (Andrychowicz et al. 2016): a coordinatewise LSTM of two
/// layers reads an optimizee's gradient and says how to change its parameters. The network is the optimizee's, and an
/// episode is the training of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedOptimizerConfig {
    /// Size of each layer's state.
    #[serde(default = "hidden")]
    pub hidden: usize,
    /// Steps that an optimizee is trained for in training.
    pub inner_steps: usize,
    /// Steps that an optimizee is trained for in evaluation.
    pub evaluation_steps: usize,
    /// Steps that the meta-gradient goes back through: the trajectory's segments.
    #[serde(default = "unroll")]
    pub unroll: usize,
    /// What the LSTM's output is multiplied by.
    #[serde(default = "output_scale")]
    pub output_scale: f32,
    /// The constant p of the preprocessing of gradients: those from e⁻ᵖ on are read as logarithm and sign, those below as they
    /// are, times eᵖ.
    #[serde(default = "preprocess_p")]
    pub preprocess_p: f32,
    /// Pairs of a step and the change of the gradient over it that are remembered of all coordinates together: the LSTM then
    /// also reads what limited-memory BFGS makes of these and the gradient, and says by which share of it a step departs from
    /// that. None, as in the paper's coordinatewise optimizer, where it is 0. It is for functions whose gradients
    /// have no noise: a minibatch's differ for other reasons than a step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory: usize,
    /// Examples in a step's minibatch; a quadratic has examples of its own.
    #[serde(default = "batch")]
    pub batch: usize,
    /// The optimizee's parameters begin normal with this deviation; as the network has them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_deviation: Option<f32>,
    /// The loss after step t of T counts (t / T) to this power in the meta-loss: 0, as in the paper, counts all alike; more
    /// looks at where trainings end.
    #[serde(default)]
    pub loss_power: f32,
    /// `first` holds the optimizee's gradients constant, as the paper does; `second` is exact within a segment.
    #[serde(default = "first_order")]
    pub order: Order,
    /// Where the meta-gradient comes from.
    #[serde(default)]
    pub estimator: Estimator,
}

/// Where a learned optimizer's meta-gradient comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Estimator {
    /// Back-propagation through each of the trajectory's segments.
    #[default]
    BackPropagation,
    /// Persistent evolution strategies (Vicol et al. 2021): unbiased over the whole trajectory.
    Pes {
        /// The standard deviation σ of the perturbations.
        deviation: f32,
        /// Antithetic pairs an episode.
        #[serde(default = "pairs")]
        pairs: usize,
    },
}

fn hidden() -> usize {
    20
}

fn unroll() -> usize {
    20
}

fn output_scale() -> f32 {
    0.1
}

fn preprocess_p() -> f32 {
    10.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(pairs: &usize) -> bool {
    *pairs == 0
}

fn batch() -> usize {
    128
}

fn first_order() -> Order {
    Order::First
}

fn pairs() -> usize {
    1
}

impl LearnedOptimizerConfig {
    /// Numbers that the LSTM reads of each coordinate.
    #[must_use]
    pub fn inputs(&self) -> usize {
        if self.memory == 0 { OPTIMIZER_READS } else { 2 * OPTIMIZER_READS }
    }
}

impl Definition for LearnedOptimizerConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        let key = |name: &str| format!("learner.learned_optimizer.{name}");
        within(&key("hidden"), self.hidden, 1, 1024)?;
        steps("learner.learned_optimizer", self.inner_steps, self.evaluation_steps)?;
        within(&key("evaluation_steps"), self.evaluation_steps, 1, MANY)?;
        within(&key("unroll"), self.unroll, 1, MANY)?;
        positive(&key("output_scale"), self.output_scale)?;
        // e to this and to minus this are numbers of single precision, with digits to spare.
        within(&key("preprocess_p"), self.preprocess_p, 0.1, 60.0)?;
        within(&key("memory"), self.memory, 0, 1000)?;
        if self.memory > 0 && self.order == Order::Second {
            let problem = "must be \"first\" with a memory, whose pairs are held constant";
            return Err(ConfigError::new(key("order"), problem));
        }
        within(&key("batch"), self.batch, 1, 1_000_000)?;
        within(&key("loss_power"), self.loss_power, 0.0, 100.0)?;
        let deviation = self.initial_deviation;
        deviation.map_or(Ok(()), |deviation| positive(&key("initial_deviation"), deviation))?;
        match self.estimator {
            Estimator::BackPropagation => Ok(()),
            Estimator::Pes { .. } if self.order == Order::Second => Err(ConfigError::new(
                key("order"),
                "must be \"first\" with PES, which takes no derivatives",
            )),
            Estimator::Pes { deviation, pairs } => {
                positive(&key("estimator.pes.deviation"), deviation)?;
                within(&key("estimator.pes.pairs"), pairs, 1, MANY)
            }
        }
    }

    /// An LSTM's layers as PyTorch's `LSTMCell` has them, uniform within ± 1/√hidden, and the layer that reads them out:
    /// its own, whatever network it trains.
    fn layout(&self, _: &Layout) -> Layout {
        let mut layout = Layout::new();
        let hidden = self.hidden;
        let bound = 1.0 / (hidden as f32).sqrt();
        for layer in 0..OPTIMIZER_LAYERS {
            let inputs = if layer == 0 { self.inputs() } else { hidden };
            let shapes = [
                ("weight_ih", vec![4 * hidden, inputs]),
                ("weight_hh", vec![4 * hidden, hidden]),
                ("bias_ih", vec![4 * hidden]),
                ("bias_hh", vec![4 * hidden]),
            ];
            for (name, shape) in shapes {
                let initialisation = Initialisation::Uniform(-bound, bound);
                layout.push(format!("lstm.{layer}.{name}"), &shape, Role::Trained, initialisation);
            }
        }
        linear(&mut layout, "output", hidden, 1);
        layout
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    #[test]
    fn pes_with_second_order_is_refused() {
        let pes = "learner.learned_optimizer.estimator.pes.deviation=0.01".to_owned();
        let mut overrides = vec![pes];
        let error = load("mnist-learned-optimizer", &overrides).unwrap_err();
        assert_eq!(error.key(), Some("learner.learned_optimizer.order"), "{error}");
        overrides.push("learner.learned_optimizer.order=first".to_owned());
        load("mnist-learned-optimizer", &overrides).unwrap();
    }

    #[test]
    fn a_memory_with_second_order_is_refused() {
        let overrides =
            ["memory=5", "order=second"].map(|set| format!("learner.learned_optimizer.{set}"));
        let error = load("quadratics-learned-optimizer", &overrides).unwrap_err();
        assert_eq!(error.key(), Some("learner.learned_optimizer.order"), "{error}");
        load("quadratics-learned-optimizer", &overrides[..1]).unwrap();
    }
}
