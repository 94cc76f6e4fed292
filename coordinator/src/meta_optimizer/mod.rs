//! How a meta-gradient becomes an update of the meta-parameters: the mean, clipping, the rule, the rate, and the sum with the
//! parameters, as in optax, in one pass over memory. Each is a loop of its own over a block that stays in the first-level
//! cache.
//!
//! All sums have a fixed order, and no power or cosine is the platform's, so an update is the same bits everywhere.

mod adam;
mod clip;
mod momentum;
mod part;
mod schedule;

use std::collections::BTreeMap;
use std::ops::Range;

use lyceum_common::config::{MetaOptimizerConfig, Rule};
use lyceum_common::ids::MetaStep;
use lyceum_common::layout::{Layout, Role};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use adam::Adam;
pub use part::MeanGradient;
use part::{Part, parts};
use schedule::Rate;

/// Parameters from which it pays to update on several threads.
const MANY: usize = 1 << 18;

/// What a meta-optimizer keeps between steps, by name: tensors over the trained entries, one behind the other.
pub type State = BTreeMap<String, Vec<f32>>;

/// The state is not of this meta-optimizer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A tensor is not there.
    #[error("the meta-optimizer's `{0}` is missing")]
    Missing(&'static str),
    /// A tensor is of another length.
    #[error("the meta-optimizer's `{name}` has {found} elements and not {expected}")]
    Length {
        /// The tensor's name.
        name: &'static str,
        /// How many trained parameters there are.
        expected: usize,
        /// The tensor's length.
        found: usize,
    },
    /// A tensor that this rule does not have.
    #[error("the meta-optimizer has no `{0}`")]
    Surplus(String),
}

/// A step of a configuration's rule: what it does to every number.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// What brings the gradient's norm within its limit, where it is beyond.
    clip_scale: Option<f32>,
    clip_value: Option<f32>,
    rule: RuleStep,
    /// u ← scale · u at the end: the negative rate.
    scale: f32,
}

#[derive(Clone, Copy, Debug)]
enum RuleStep {
    Sgd,
    Momentum(f32),
    Adam { adam: Adam, weight_decay: Option<f32> },
}

impl Step {
    /// Turns a block of the mean gradient into one of the update.
    #[inline(always)]
    fn update(&self, theta: &[f32], update: &mut [f32], state: [&mut [f32]; 2]) {
        if let Some(scale) = self.clip_scale {
            clip::scale(update, scale);
        }
        if let Some(limit) = self.clip_value {
            clip::to_value(update, limit);
        }
        let [first, second] = state;
        match self.rule {
            RuleStep::Sgd => {}
            RuleStep::Momentum(momentum) => momentum::update(momentum, update, first),
            RuleStep::Adam { adam, weight_decay } => {
                adam.update(update, first, second);
                if let Some(decay) = weight_decay {
                    adam::add_decayed_values(decay, theta, update);
                }
            }
        }
        clip::scale(update, self.scale);
    }
}

/// Applies mean meta-gradients to the meta-parameters of a layout.
#[derive(Debug)]
pub struct MetaOptimizer {
    config: MetaOptimizerConfig,
    rate: Rate,
    /// The layout's entries, in order, and whether they are trained.
    entries: Vec<(Range<usize>, bool)>,
    /// Over the trained entries, one behind the other.
    state: [Tensor; 2],
    /// The mean gradient of the trained entries, where its norm is asked for.
    trained: Vec<f32>,
}

/// A tensor of the rule's state; one that the rule does not have is empty and has no name.
#[derive(Debug, Default)]
struct Tensor {
    name: Option<&'static str>,
    values: Vec<f32>,
}

impl MetaOptimizer {
    /// The meta-optimizer of a run of `meta_steps` meta-steps, at its beginning.
    #[must_use]
    pub fn new(config: &MetaOptimizerConfig, meta_steps: u64, layout: &Layout) -> Self {
        let entries: Vec<_> = layout
            .entries()
            .iter()
            .map(|entry| (entry.range(), entry.role == Role::Trained))
            .collect();
        let trained = entries.iter().filter(|(_, trained)| *trained);
        let length = trained.map(|(range, _)| range.len()).sum();
        let tensor = |name| Tensor { name: Some(name), values: vec![0.0; length] };
        let state = match config.rule {
            Rule::Sgd { momentum: 0.0 } => Default::default(),
            Rule::Sgd { .. } => [tensor("momentum.trace"), Tensor::default()],
            Rule::Adam(_) | Rule::AdamW { .. } => {
                [tensor("adam.first_moment"), tensor("adam.second_moment")]
            }
        };
        let rate = Rate::new(config.rate, config.schedule, meta_steps);
        Self { config: config.clone(), rate, entries, state, trained: Vec::new() }
    }

    /// Writes the parameters after meta-step `step` to `moved`, whatever its length: trained entries moved by the rule,
    /// buffers by their mean change. Returns whether all of them are finite.
    ///
    /// # Panics
    /// Where `values` and `gradient` are not of the layout's length.
    #[must_use]
    pub fn apply(
        &mut self,
        step: MetaStep,
        values: &[f32],
        gradient: MeanGradient<'_>,
        moved: &mut Vec<f32>,
    ) -> bool {
        assert!(gradient.has_length(values.len()), "a gradient is as long as the parameters");
        moved.resize(values.len(), 0.0);
        let step = self.step(step, gradient);
        let [first, second] = &mut self.state;
        let state = [&mut first.values[..], &mut second.values[..]];
        let parts = parts(&self.entries, values, gradient, moved, state);
        let update = |mut part: Part<'_>| part::update(&mut part, step);
        if values.len() < MANY {
            parts.into_iter().map(update).fold(true, |all, finite| all & finite)
        } else {
            parts.into_par_iter().map(update).reduce(|| true, |one, other| one & other)
        }
    }

    /// What is done to every number in this step.
    fn step(&mut self, step: MetaStep, gradient: MeanGradient<'_>) -> Step {
        let MetaOptimizerConfig { rule, clip_norm, clip_value, .. } = self.config;
        let clip_scale = clip_norm.and_then(|limit| {
            self.trained.clear();
            for (range, _) in self.entries.iter().filter(|(_, trained)| *trained) {
                self.trained.extend(gradient.numbers(range.clone()));
            }
            clip::norm_scale(&self.trained, limit)
        });
        let rule = match rule {
            Rule::Sgd { momentum: 0.0 } => RuleStep::Sgd,
            Rule::Sgd { momentum } => RuleStep::Momentum(momentum),
            Rule::Adam(adam) => RuleStep::Adam { adam: Adam::at(adam, step), weight_decay: None },
            Rule::AdamW { adam, weight_decay } => {
                RuleStep::Adam { adam: Adam::at(adam, step), weight_decay: Some(weight_decay) }
            }
        };
        Step { clip_scale, clip_value, rule, scale: -self.rate.at(step) }
    }

    /// What it keeps between steps.
    #[must_use]
    pub fn state(&self) -> State {
        let tensors = self.state.iter();
        tensors
            .filter_map(|Tensor { name, values }| Some(((*name)?.to_owned(), values.clone())))
            .collect()
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// Where it is the state of another rule, or of another number of parameters.
    pub fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let mut surplus: Vec<&String> = state.keys().collect();
        for Tensor { name, values } in &mut self.state {
            let Some(name) = *name else { continue };
            let saved = state.get(name).ok_or(StateError::Missing(name))?;
            if saved.len() != values.len() {
                let (expected, found) = (values.len(), saved.len());
                return Err(StateError::Length { name, expected, found });
            }
            values.copy_from_slice(saved);
            surplus.retain(|other| *other != name);
        }
        surplus.first().map_or(Ok(()), |name| Err(StateError::Surplus((*name).clone())))
    }
}

/// `base` to the power of `exponent` by repeated squaring: the same bits on every platform.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

#[cfg(test)]
mod tests;
