//! How a meta-gradient becomes an update of the meta-parameters: a chain of transforms, each a step of the rule, as in
//! optax. `Adam` is `ScaleByAdam` and `ScaleByRate`, one behind the other.
//!
//! All sums have a fixed order, and no power or cosine is the platform's, so an update is the same bits everywhere.

mod adam;
mod clip;
mod momentum;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use lyceum_common::config::{MetaOptimizerConfig, Rule};
use lyceum_common::ids::MetaStep;
use lyceum_common::layout::{Layout, Role};

use adam::{AddDecayedValues, ScaleByAdam};
use clip::{ClipByGlobalNorm, ClipByValue};
use momentum::Trace;
use schedule::ScaleByRate;

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

/// A step of an update rule: turns an update (at first the meta-gradient) into another, in place.
trait Transform: fmt::Debug + Send {
    /// Transforms `update`, given the step (from 0) and the parameters before it.
    fn update(&mut self, step: MetaStep, values: &[f32], update: &mut [f32]);

    /// The tensors that are kept between steps.
    fn state(&self) -> Vec<(&'static str, &[f32])> {
        Vec::new()
    }

    /// The same, to be overwritten.
    fn state_mut(&mut self) -> Vec<(&'static str, &mut [f32])> {
        Vec::new()
    }
}

/// Transforms one after the other.
#[derive(Debug)]
struct Chain(Vec<Box<dyn Transform>>);

impl Chain {
    /// The chain of a configuration: clipping, the rule, the rate. `meta_steps` is the schedules' length, `length` the number
    /// of trained parameters.
    fn new(config: &MetaOptimizerConfig, meta_steps: u64, length: usize) -> Self {
        let mut chain: Vec<Box<dyn Transform>> = Vec::new();
        if let Some(limit) = config.clip_norm {
            chain.push(Box::new(ClipByGlobalNorm { limit }));
        }
        if let Some(limit) = config.clip_value {
            chain.push(Box::new(ClipByValue { limit }));
        }
        match config.rule {
            Rule::Sgd { momentum: 0.0 } => {}
            Rule::Sgd { momentum } => chain.push(Box::new(Trace::new(momentum, length))),
            Rule::Adam(adam) => chain.push(Box::new(ScaleByAdam::new(adam, length))),
            Rule::AdamW { adam, weight_decay } => {
                chain.push(Box::new(ScaleByAdam::new(adam, length)));
                chain.push(Box::new(AddDecayedValues { decay: weight_decay }));
            }
        }
        chain.push(Box::new(ScaleByRate::new(config.rate, config.schedule, meta_steps)));
        Self(chain)
    }

    fn update(&mut self, step: MetaStep, values: &[f32], update: &mut [f32]) {
        for transform in &mut self.0 {
            transform.update(step, values, update);
        }
    }
}

/// Applies mean meta-gradients to the meta-parameters of a layout.
#[derive(Debug)]
pub struct MetaOptimizer {
    chain: Chain,
    trained: Vec<Range<usize>>,
    buffers: Vec<Range<usize>>,
    values: Vec<f32>,
    update: Vec<f32>,
}

impl MetaOptimizer {
    /// The meta-optimizer of a run of `meta_steps` meta-steps, at its beginning.
    #[must_use]
    pub fn new(config: &MetaOptimizerConfig, meta_steps: u64, layout: &Layout) -> Self {
        let ranges = |role| {
            let entries = layout.entries().iter().filter(move |entry| entry.role == role);
            entries.map(|entry| entry.range()).collect::<Vec<_>>()
        };
        let trained = ranges(Role::Trained);
        let length = trained.iter().map(ExactSizeIterator::len).sum();
        Self {
            chain: Chain::new(config, meta_steps, length),
            trained,
            buffers: ranges(Role::Buffer),
            values: Vec::with_capacity(length),
            update: Vec::with_capacity(length),
        }
    }

    /// The parameters after meta-step `step`: trained entries moved by the rule, buffers by their mean change.
    ///
    /// # Panics
    /// Where `values` and `gradient` are not of the layout's length.
    #[must_use]
    pub fn apply(&mut self, step: MetaStep, values: &[f32], gradient: &[f32]) -> Vec<f32> {
        assert_eq!(values.len(), gradient.len(), "a gradient is as long as the parameters");
        self.values.clear();
        self.update.clear();
        for range in &self.trained {
            self.values.extend_from_slice(&values[range.clone()]);
            self.update.extend_from_slice(&gradient[range.clone()]);
        }
        self.chain.update(step, &self.values, &mut self.update);

        let mut moved = values.to_vec();
        let mut update = self.update.as_slice();
        for range in &self.trained {
            let (here, rest) = update.split_at(range.len());
            add(&mut moved[range.clone()], here);
            update = rest;
        }
        for range in &self.buffers {
            add(&mut moved[range.clone()], &gradient[range.clone()]);
        }
        moved
    }

    /// What it keeps between steps.
    #[must_use]
    pub fn state(&self) -> State {
        let tensors = self.chain.0.iter().flat_map(|transform| transform.state());
        tensors.map(|(name, values)| (name.to_owned(), values.to_vec())).collect()
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// Where it is the state of another rule, or of another number of parameters.
    pub fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let mut surplus: Vec<&String> = state.keys().collect();
        for (name, values) in self.chain.0.iter_mut().flat_map(|transform| transform.state_mut()) {
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

fn add(values: &mut [f32], update: &[f32]) {
    for (value, change) in values.iter_mut().zip(update) {
        *value += change;
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
