//! Adam (Kingma and Ba 2015) and decoupled weight decay (Loshchilov and Hutter 2019).

use lyceum_common::config::AdamConfig;
use lyceum_common::ids::MetaStep;

use super::{Transform, power};

/// m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; the update is m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and
/// v̂ = v / (1 − β₂ᵗ). As in PyTorch, ε stands outside the root.
#[derive(Debug)]
pub(super) struct ScaleByAdam {
    config: AdamConfig,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
}

impl ScaleByAdam {
    pub(super) fn new(config: AdamConfig, length: usize) -> Self {
        Self { config, first_moment: vec![0.0; length], second_moment: vec![0.0; length] }
    }
}

impl Transform for ScaleByAdam {
    fn update(&mut self, step: MetaStep, _: &[f32], update: &mut [f32]) {
        let AdamConfig { beta1, beta2, epsilon } = self.config;
        let t = step.0 + 1;
        let first_scale = (1.0 / (1.0 - power(f64::from(beta1), t))) as f32;
        let second_scale = (1.0 / (1.0 - power(f64::from(beta2), t)).sqrt()) as f32;
        let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
        for (g, (m, v)) in update.iter_mut().zip(moments) {
            *m = beta1 * *m + (1.0 - beta1) * *g;
            *v = beta2 * *v + (1.0 - beta2) * (*g * *g);
            *g = (*m * first_scale) / (v.sqrt() * second_scale + epsilon);
        }
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        vec![("adam.first_moment", &self.first_moment), ("adam.second_moment", &self.second_moment)]
    }

    fn state_mut(&mut self) -> Vec<(&'static str, &mut [f32])> {
        vec![
            ("adam.first_moment", &mut self.first_moment),
            ("adam.second_moment", &mut self.second_moment),
        ]
    }
}

/// u ← u + λ θ, behind Adam's scaling and ahead of the rate: AdamW's decay.
#[derive(Debug)]
pub(super) struct AddDecayedValues {
    pub(super) decay: f32,
}

impl Transform for AddDecayedValues {
    fn update(&mut self, _: MetaStep, values: &[f32], update: &mut [f32]) {
        for (u, theta) in update.iter_mut().zip(values) {
            *u += self.decay * theta;
        }
    }
}
