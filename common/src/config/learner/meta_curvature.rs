//! Meta-curvature, as both sides know it.

use serde::{Deserialize, Serialize};

use super::{Definition, steps};
use crate::config::validate::positive;
use crate::config::{ConfigError, RunConfig};
use crate::layout::{Entry, Initialisation, Layout, Role};

/// Meta-curvature (Park and Oliva 2019): the initialisation, and matrices that transform the gradient of each weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaCurvatureConfig {
    /// What transformed gradients are multiplied by in a step.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
}

impl MetaCurvatureConfig {
    /// The matrices of a weight `[out, in, …]`, one behind the other: their names and their rows and columns, which are as
    /// many. Nothing else has any.
    pub fn matrices(entry: &Entry) -> impl Iterator<Item = (String, usize)> {
        let extents = match *entry.shape {
            [out, input] => vec![("out", out), ("in", input)],
            [out, input, ref taps @ ..] if !taps.is_empty() => {
                vec![("out", out), ("in", input), ("taps", taps.iter().product())]
            }
            _ => Vec::new(),
        };
        let name = entry.name.clone();
        extents.into_iter().map(move |(mode, extent)| (format!("{name}.curvature_{mode}"), extent))
    }
}

impl Definition for MetaCurvatureConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        positive("learner.meta_curvature.inner_rate", self.inner_rate)?;
        steps("learner.meta_curvature", self.inner_steps, self.evaluation_steps)
    }

    /// Behind the network's parameters, the matrices of its weights, which begin as identities.
    fn layout(&self, network: &Layout) -> Layout {
        let mut layout = network.clone();
        for (name, extent) in network.entries().iter().flat_map(Self::matrices) {
            let shape = [extent, extent];
            layout.push(name, &shape, Role::Trained, Initialisation::Identity(extent));
        }
        layout
    }

    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        Some(&mut self.evaluation_steps)
    }
}
