//! Softmax and its logarithm's normaliser, row by row over `[rows, ways]`.

use super::InstructionSet;
use super::Kernel;
use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::transcendental::{exp, ln};

/// `out = softmax(logits)` along the ways. Both are `[rows, ways]`.
pub(crate) fn softmax<T: Real>(
    instruction_set: InstructionSet,
    ways: usize,
    logits: &[T],
    out: &mut [T],
) {
    assert_eq!(logits.len(), out.len(), "a probability for every logit");
    for (logits, out) in logits.chunks_exact(ways).zip(out.chunks_exact_mut(ways)) {
        let maximum = maximum(logits);
        let total =
            T::dispatch(instruction_set, Exponentials { maximum, logits, out: Some(&mut *out) });
        for probability in out {
            *probability = *probability / total;
        }
    }
}

/// ln Σ exp(logits) of a row in two parts, the largest logit and what comes on top of it. Their sum is rounded at the largest
/// one's magnitude: what a logit is subtracted from is the largest one first, and the small rest stays whole.
pub(crate) fn log_sum_exp<T: Real>(instruction_set: InstructionSet, logits: &[T]) -> [T; 2] {
    let maximum = maximum(logits);
    let total = T::dispatch(instruction_set, Exponentials { maximum, logits, out: None });
    [maximum, T::dispatch(instruction_set, Logarithm(total))]
}

fn maximum<T: Real>(values: &[T]) -> T {
    values.iter().skip(1).fold(values[0], |maximum, &value| maximum.max(value))
}

/// exp(logits − maximum) into `out`, where given; their sum, sixteen at a time.
struct Exponentials<'a, T> {
    maximum: T,
    logits: &'a [T],
    out: Option<&'a mut [T]>,
}

impl<T: Real> Kernel<T> for Exponentials<'_, T> {
    type Output = T;

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) -> T {
        let mut total = T::ZERO;
        let mut at = 0;
        while at < self.logits.len() {
            let count = LANES.min(self.logits.len() - at);
            let mut exponentials = [T::ZERO; LANES];
            // SAFETY: `count` numbers are left in both slices, which are equally long.
            unsafe {
                let value =
                    exp(load::<L>(self.logits.as_ptr().add(at), count).sub(L::splat(self.maximum)));
                store(value, exponentials.as_mut_ptr(), count);
                total = total + L::load(exponentials.as_ptr()).sum();
            }
            if let Some(out) = &mut self.out {
                out[at..at + count].copy_from_slice(&exponentials[..count]);
            }
            at += LANES;
        }
        total
    }
}

struct Logarithm<T>(T);

impl<T: Real> Kernel<T> for Logarithm<T> {
    type Output = T;

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) -> T {
        let mut lanes = [T::ZERO; LANES];
        // SAFETY: the array has sixteen places.
        unsafe { ln(L::splat(self.0)).store(lanes.as_mut_ptr()) };
        lanes[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};

    #[test]
    fn rows_are_distributions_and_every_instruction_set_agrees() {
        for ways in [1, 5, 16, 23] {
            let logits = numbers(ways as u64, 7 * ways);
            let mut expected = vec![0.0; logits.len()];
            softmax(InstructionSet::PORTABLE, ways, &logits, &mut expected);
            for (row, logits) in expected.chunks(ways).zip(logits.chunks(ways)) {
                let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
                for (&p, &x) in row.iter().zip(logits) {
                    assert!((f64::from(p) - f64::from(x).exp() / total).abs() < 1e-6);
                }
                let [maximum, rest] = log_sum_exp(InstructionSet::best(), logits);
                assert!((f64::from(maximum + rest) - total.ln()).abs() < 1e-6);
            }
            for set in InstructionSet::available() {
                let mut out = vec![0.0; logits.len()];
                softmax(set, ways, &logits, &mut out);
                assert!(same_bits(&out, &expected), "{set}");
            }
        }
    }
}
