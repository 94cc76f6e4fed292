//! Losses: means over the examples of a batch, and their gradients by the network's output.

use super::{Nonlinear, inputs};
use crate::kernels::pointwise::scaled_difference;
use crate::kernels::{InstructionSet, Real, log_sum_exp, softmax};

/// (logits, targets) → loss, the mean of −Σ t ln softmax(s) over rows. Targets are distributions, one-hot as a rule.
pub(crate) struct CrossEntropy {
    pub(crate) ways: usize,
}

impl<T: Real> Nonlinear<T> for CrossEntropy {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        let mut total = T::ZERO;
        let rows = logits.chunks_exact(self.ways).zip(targets.chunks_exact(self.ways));
        for (logits, targets) in rows {
            let [maximum, rest] = log_sum_exp(set, logits);
            for (&logit, &target) in logits.iter().zip(targets) {
                total = total + target * ((maximum - logit) + rest);
            }
        }
        out[0] = total / T::from_f64((logits.len() / self.ways) as f64);
    }

    fn tangent(&self, _: InstructionSet, _: &[&[T]], _: &[T], _: &[&[T]], _: &mut [T]) {
        // Nothing in a backward program reads the loss: its cotangent is one.
    }
}

/// (logits, targets) → ∂logits = (softmax − targets) / rows.
pub(crate) struct CrossEntropyBackward {
    pub(crate) ways: usize,
}

impl<T: Real> Nonlinear<T> for CrossEntropyBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [logits, targets] = inputs(x);
        softmax(set, self.ways, logits, out);
        let share = T::ONE / T::from_f64((out.len() / self.ways) as f64);
        for (out, &target) in out.iter_mut().zip(targets) {
            *out = (*out - target) * share;
        }
    }

    /// p ∘ (ṡ − Σ p ṡ) / rows, with p the softmax.
    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([logits, _], [logits_dot, _]) = (inputs(x), inputs(x_dot));
        softmax(set, self.ways, logits, out);
        let share = T::ONE / T::from_f64((out.len() / self.ways) as f64);
        for (p, s_dot) in out.chunks_exact_mut(self.ways).zip(logits_dot.chunks_exact(self.ways)) {
            let mut mean = T::ZERO;
            for (&p, &s_dot) in p.iter().zip(s_dot) {
                mean = mean + p * s_dot;
            }
            for (p, &s_dot) in p.iter_mut().zip(s_dot) {
                *p = *p * (s_dot - mean) * share;
            }
        }
    }
}

/// (output, targets) → Σ (output − target)² / divisor: of as many as there are outputs, the mean. Of problems side by
/// side, a sum each.
pub(crate) struct SquaredError {
    pub(crate) divisor: usize,
}

impl<T: Real> Nonlinear<T> for SquaredError {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [output, targets] = inputs(x);
        let lanes = out.len();
        out.fill(T::ZERO);
        for (output, targets) in output.chunks_exact(lanes).zip(targets.chunks_exact(lanes)) {
            for ((total, &output), &target) in out.iter_mut().zip(output).zip(targets) {
                let difference = output - target;
                *total = *total + difference * difference;
            }
        }
        for total in out {
            *total = *total / T::from_f64(self.divisor as f64);
        }
    }

    fn tangent(&self, _: InstructionSet, _: &[&[T]], _: &[T], _: &[&[T]], _: &mut [T]) {
        // As in the cross-entropy: nothing reads it.
    }
}

/// (output, targets) → ∂output = 2 (output − target) / divisor.
pub(crate) struct SquaredErrorBackward {
    pub(crate) divisor: usize,
}

impl<T: Real> Nonlinear<T> for SquaredErrorBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [output, targets] = inputs(x);
        scaled_difference(set, T::from_f64(2.0 / self.divisor as f64), output, targets, out);
    }

    fn tangent(&self, set: InstructionSet, _: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let [output_dot, targets_dot] = inputs(x_dot);
        scaled_difference(
            set,
            T::from_f64(2.0 / self.divisor as f64),
            output_dot,
            targets_dot,
            out,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{BinaryCrossEntropy, LogSoftmax};

    /// What is left of a loss where logits are large and right is as exact as where they are small.
    #[test]
    fn a_small_loss_of_large_logits_is_exact() {
        let set = InstructionSet::best();
        let found = |op: &dyn Nonlinear<f32>, logits: &[f32], targets: &[f32]| {
            let mut out = [0.0];
            op.value(set, &[logits, targets], &mut out);
            f64::from(out[0])
        };
        for (large, gap) in [(265.0_f32, 11.5_f32), (-1e4, 7.25), (3.0, 1.5)] {
            let expected = f64::from(-gap).exp().ln_1p();
            let logits = [large, large - gap];
            let entropy = found(&CrossEntropy { ways: 2 }, &logits, &[1.0, 0.0]);
            assert!((entropy / expected - 1.0).abs() < 0.02, "{large}: {entropy}, {expected}");
            let mut both = [0.0; 2];
            LogSoftmax { width: 2 }.value(set, &[&logits], &mut both);
            assert_eq!(f64::from(-both[0]), entropy, "{large}");
            let binary = found(&BinaryCrossEntropy, &[gap], &[1.0]);
            assert!((binary / expected - 1.0).abs() < 0.02, "{gap}: {binary}, {expected}");
        }
    }
}
