//! Momentum, as PyTorch's SGD has it.

use lyceum_common::ids::MetaStep;

use super::Transform;

/// b ← μ b + g, and b is the update. The rate comes behind it and is not part of what is kept.
#[derive(Debug)]
pub(super) struct Trace {
    momentum: f32,
    trace: Vec<f32>,
}

impl Trace {
    pub(super) fn new(momentum: f32, length: usize) -> Self {
        Self { momentum, trace: vec![0.0; length] }
    }
}

impl Transform for Trace {
    fn update(&mut self, _: MetaStep, _: &[f32], update: &mut [f32]) {
        for (g, b) in update.iter_mut().zip(&mut self.trace) {
            *b = self.momentum * *b + *g;
            *g = *b;
        }
    }

    fn state(&self) -> Vec<(&'static str, &[f32])> {
        vec![("momentum.trace", &self.trace)]
    }

    fn state_mut(&mut self) -> Vec<(&'static str, &mut [f32])> {
        vec![("momentum.trace", &mut self.trace)]
    }
}
