//! The logarithm of a sum of exponentials, and of a softmax; rows of `[rows, width]`, one by one.

use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real, log_sum_exp, softmax};

/// x → ln Σ eˣ of each row: `[rows, width]` → `[rows]`.
pub(crate) struct LogSumExp {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for LogSumExp {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        for (x, out) in x.chunks_exact(self.width).zip(out) {
            let [maximum, rest] = log_sum_exp(set, x);
            *out = maximum + rest;
        }
    }
}

/// (x, ∂y) → ∂x = softmax(x) ∂y.
pub(crate) struct LogSumExpBackward {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for LogSumExpBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x, dy] = inputs(x);
        softmax(set, self.width, x, out);
        for (out, &dy) in out.chunks_exact_mut(self.width).zip(dy) {
            for out in out {
                *out = *out * dy;
            }
        }
    }
}

/// x → x − ln Σ eˣ.
pub(crate) struct LogSoftmax {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for LogSoftmax {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
            let [maximum, rest] = log_sum_exp(set, x);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = (x - maximum) - rest;
            }
        }
    }
}

/// (x, ∂y) → ∂x = ∂y − softmax(x) Σ ∂y.
pub(crate) struct LogSoftmaxBackward {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for LogSoftmaxBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x, dy] = inputs(x);
        softmax(set, self.width, x, out);
        for (out, dy) in out.chunks_exact_mut(self.width).zip(dy.chunks_exact(self.width)) {
            let total = dy.iter().fold(T::ZERO, |total, &dy| total + dy);
            for (out, &dy) in out.iter_mut().zip(dy) {
                *out = dy - *out * total;
            }
        }
    }
}
