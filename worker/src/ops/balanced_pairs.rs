//! Binary cross-entropy on logits of pairs, over as many pairs of one class as of two.

use super::binary_cross_entropy::binary_cross_entropy;
use super::{Nonlinear, inputs};
use crate::kernels::pointwise::sigmoid_of;
use crate::kernels::{InstructionSet, Real};

/// Which pairs count: each row has `classes` classes of `examples` examples, one class being the row's own; those with
/// that class do, and those with the next one, the first coming after the last.
#[derive(Clone, Copy)]
pub(crate) struct Balance {
    pub(crate) classes: usize,
    pub(crate) examples: usize,
}

impl Balance {
    fn width(self) -> usize {
        self.classes * self.examples
    }

    /// Whether a row with these targets counts its pair at `column`.
    fn counts<T: Real>(self, targets: &[T], column: usize) -> bool {
        let before = (column + self.width() - self.examples) % self.width();
        targets[column] > T::ZERO || targets[before] > T::ZERO
    }

    /// One over how many pairs of so many rows count.
    fn share<T: Real>(self, rows: usize) -> T {
        T::ONE / T::from_f64((2 * self.examples * rows) as f64)
    }
}

/// (logits s, targets t) → mean of ln(1 + eˢ) − t s over the pairs that count.
pub(crate) struct BalancedCrossEntropy(pub(crate) Balance);

impl<T: Real> Nonlinear<T> for BalancedCrossEntropy {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        let width = self.0.width();
        let mut total = T::ZERO;
        for (logits, targets) in logits.chunks_exact(width).zip(targets.chunks_exact(width)) {
            for column in (0..width).filter(|&column| self.0.counts(targets, column)) {
                total = total + binary_cross_entropy(set, logits[column], targets[column]);
            }
        }
        out[0] = total * self.0.share(logits.len() / width);
    }
}

/// (logits, targets) → ∂logits = (σ(s) − t) / n where a pair counts, and zero elsewhere.
pub(crate) struct BalancedCrossEntropyBackward(pub(crate) Balance);

impl<T: Real> Nonlinear<T> for BalancedCrossEntropyBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        let width = self.0.width();
        sigmoid_of(set, logits, out);
        let share: T = self.0.share(logits.len() / width);
        for (out, targets) in out.chunks_exact_mut(width).zip(targets.chunks_exact(width)) {
            for (column, out) in out.iter_mut().enumerate() {
                let slope = (*out - targets[column]) * share;
                *out = if self.0.counts(targets, column) { slope } else { T::ZERO };
            }
        }
    }
}
