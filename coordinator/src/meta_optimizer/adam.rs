//! Adam (Kingma and Ba 2015) and decoupled weight decay (Loshchilov and Hutter 2019).

use lyceum_common::config::AdamConfig;
use lyceum_common::ids::MetaStep;

use super::power;

/// m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; the update is m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and
/// v̂ = v / (1 − β₂ᵗ). As in PyTorch, ε stands outside the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adam {
    config: AdamConfig,
    /// 1 / (1 − β₁ᵗ)
    first_scale: f32,
    /// 1 / √(1 − β₂ᵗ)
    second_scale: f32,
}

impl Adam {
    /// The rule in this meta-step, counted from 0.
    pub(super) fn at(config: AdamConfig, step: MetaStep) -> Self {
        let t = step.0 + 1;
        let first_scale = (1.0 / (1.0 - power(f64::from(config.beta1), t))) as f32;
        let second_scale = (1.0 / (1.0 - power(f64::from(config.beta2), t)).sqrt()) as f32;
        Self { config, first_scale, second_scale }
    }

    /// Turns a gradient into an update.
    #[inline(always)]
    pub(super) fn update(&self, update: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        let AdamConfig { beta1, beta2, epsilon } = self.config;
        let moments = first.iter_mut().zip(second);
        for (g, (m, v)) in update.iter_mut().zip(moments) {
            *m = beta1 * *m + (1.0 - beta1) * *g;
            *v = beta2 * *v + (1.0 - beta2) * (*g * *g);
            *g = (*m * self.first_scale) / (v.sqrt() * self.second_scale + epsilon);
        }
    }
}

/// u ← u + λ θ, behind Adam's scaling and ahead of the rate: AdamW's decay.
#[inline(always)]
pub(super) fn add_decayed_values(decay: f32, theta: &[f32], update: &mut [f32]) {
    for (u, theta) in update.iter_mut().zip(theta) {
        *u += decay * theta;
    }
}
