//! Binary cross-entropy on logits: the mean over all outputs, and its gradient.

use super::{Nonlinear, inputs};
use crate::kernels::pointwise::sigmoid_of;
use crate::kernels::{InstructionSet, Real, log_sum_exp};

/// ln(1 + eˢ) − t s of a logit s and its target t. Where s is large and t is one, all that is left is what ln has beyond s.
pub(super) fn binary_cross_entropy<T: Real>(set: InstructionSet, logit: T, target: T) -> T {
    let [maximum, rest] = log_sum_exp(set, &[T::ZERO, logit]);
    (maximum - target * logit) + rest
}

/// (logits s, targets t) → mean of ln(1 + eˢ) − t s.
pub(crate) struct BinaryCrossEntropy;

impl<T: Real> Nonlinear<T> for BinaryCrossEntropy {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        let mut total = T::ZERO;
        for (&logit, &target) in logits.iter().zip(targets) {
            total = total + binary_cross_entropy(set, logit, target);
        }
        out[0] = total / T::from_f64(logits.len() as f64);
    }
}

/// (logits, targets) → ∂logits = (σ(s) − t) / n.
pub(crate) struct BinaryCrossEntropyBackward;

impl<T: Real> Nonlinear<T> for BinaryCrossEntropyBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        sigmoid_of(set, logits, out);
        let share = T::ONE / T::from_f64(logits.len() as f64);
        for (out, &target) in out.iter_mut().zip(targets) {
            *out = (*out - target) * share;
        }
    }
}
