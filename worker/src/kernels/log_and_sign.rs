//! How a learned optimizer reads a gradient.

use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::transcendental::ln;
use super::{InstructionSet, Kernel};

/// A gradient as a learned optimizer reads it (Andrychowicz et al. 2016, appendix A): two numbers of moderate size,
/// `(ln |g| / p, sign g)` where |g| ≥ e⁻ᵖ, else `(−1, eᵖ g)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogAndSign<T> {
    p: T,
    /// e⁻ᵖ.
    smallest: T,
    /// eᵖ.
    largest: T,
}

impl<T: Real> LogAndSign<T> {
    pub(crate) fn new(p: f64) -> Self {
        let [p, smallest, largest] = [p, libm::exp(-p), libm::exp(p)].map(T::from_f64);
        Self { p, smallest, largest }
    }

    /// Two rows of `out` for every sixteen gradients; zero beyond them.
    pub(crate) fn read(&self, instruction_set: InstructionSet, gradient: &[T], out: &mut [T]) {
        assert_eq!(out.len(), gradient.len().div_ceil(LANES) * 2 * LANES, "two rows for sixteen");
        T::dispatch(instruction_set, Read { by: *self, gradient, out });
    }

    /// The cotangents of up to sixteen gradients from those of the two rows.
    pub(crate) fn read_backward(
        &self,
        instruction_set: InstructionSet,
        gradient: &[T],
        cotangent: &[T],
        out: &mut [T],
    ) {
        assert!((1..=LANES).contains(&gradient.len()), "a row of gradients");
        assert_eq!(gradient.len(), out.len(), "a cotangent for every gradient");
        assert_eq!(cotangent.len(), 2 * LANES, "two rows");
        T::dispatch(instruction_set, ReadBackward { by: *self, gradient, cotangent, out });
    }
}

/// |g|.
#[inline(always)]
unsafe fn magnitude<L: Lanes>(g: L) -> L {
    // SAFETY: the caller's.
    unsafe { g.max(L::splat(L::Scalar::ZERO).sub(g)) }
}

struct Read<'a, T> {
    by: LogAndSign<T>,
    gradient: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for Read<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        // SAFETY: `read` has settled the lengths, and the caller has the instructions.
        unsafe {
            let LogAndSign { p, smallest, largest } = self.by;
            let (one, zero) = (L::splat(T::ONE), L::splat(T::ZERO));
            let smallest = L::splat(smallest);
            for (gradient, out) in
                self.gradient.chunks(LANES).zip(self.out.chunks_exact_mut(2 * LANES))
            {
                let g = load::<L>(gradient.as_ptr(), gradient.len());
                let size = magnitude(g);
                let logarithm = ln(size.max(smallest)).div(L::splat(p));
                // What is not a number has no sign, and stays what it is.
                let sign = g.if_greater(zero, one, zero.if_greater(g, zero.sub(one), g));
                let small = smallest.if_greater(size, one, zero);
                small.if_greater(zero, zero.sub(one), logarithm).store(out.as_mut_ptr());
                let second = small.if_greater(zero, g.mul(L::splat(largest)), sign);
                second.store(out.as_mut_ptr().add(LANES));
            }
        }
    }
}

struct ReadBackward<'a, T> {
    by: LogAndSign<T>,
    gradient: &'a [T],
    cotangent: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for ReadBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        // SAFETY: `read_backward` has settled the lengths, and the caller has the instructions.
        unsafe {
            let LogAndSign { p, smallest, largest } = self.by;
            let count = self.gradient.len();
            let one = L::splat(T::ONE);
            let g = load::<L>(self.gradient.as_ptr(), count);
            let (first, second) =
                (L::load(self.cotangent.as_ptr()), L::load(self.cotangent.as_ptr().add(LANES)));
            let (size, smallest) = (magnitude(g), L::splat(smallest));
            // Where it is small, the divisor is none of the result: one keeps it from being zero.
            let divisor = smallest.if_greater(size, one, g.mul(L::splat(p)));
            let large = first.div(divisor);
            let out = smallest.if_greater(size, second.mul(L::splat(largest)), large);
            store(out, self.out.as_mut_ptr(), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};

    #[test]
    fn gradients_are_read_as_their_logarithm_and_sign() {
        let by = LogAndSign::<f64>::new(10.0);
        let mut diverged = [0.0; 2 * LANES];
        by.read(InstructionSet::PORTABLE, &[f64::NAN], &mut diverged);
        assert!(diverged[LANES].is_nan(), "and not an ordinary gradient");
        let gradients = [1.0, -1.0, 250.0, -1e-3, 5e-5, 4e-5, -1e-9, 0.0, 1e20];
        // Behind a whole row of others.
        let mut out = [f64::NAN; 4 * LANES];
        let all: Vec<f64> = std::iter::repeat_n(-3.0, LANES).chain(gradients).collect();
        by.read(InstructionSet::PORTABLE, &all, &mut out);
        let out = &out[2 * LANES..];
        let exact = |g: f64| {
            let big = g.abs() >= (-10.0f64).exp();
            if big { (g.abs().ln() / 10.0, g.signum()) } else { (-1.0, 10.0f64.exp() * g) }
        };
        let mut backward = [f64::NAN; 9];
        let cotangent: Vec<f64> = numbers(1, 2 * LANES).into_iter().map(f64::from).collect();
        by.read_backward(InstructionSet::PORTABLE, &gradients, &cotangent, &mut backward);
        for (at, &g) in gradients.iter().enumerate() {
            let (first, second) = exact(g);
            assert!((out[at] - first).abs() < 1e-12, "{g}");
            assert!((out[LANES + at] - second).abs() < 1e-12, "{g}");
            let step = 1e-6 * g.abs().max(1e-9);
            let along = |g: f64| cotangent[at] * exact(g).0 + cotangent[LANES + at] * exact(g).1;
            let difference = (along(g + step) - along(g - step)) / (2.0 * step);
            assert!((backward[at] - difference).abs() < 1e-5 * difference.abs().max(1e-6), "{g}");
        }
    }

    #[test]
    fn every_instruction_set_agrees_to_the_bit() {
        let (gradient, cotangent) = (numbers(8, LANES + 11), numbers(9, 2 * LANES));
        let by = LogAndSign::new(1.0);
        let all = |set: InstructionSet| {
            let (mut read, mut backward) = (vec![0.0f32; 4 * LANES], vec![0.0; 11]);
            by.read(set, &gradient, &mut read);
            by.read_backward(set, &gradient[LANES..], &cotangent, &mut backward);
            read.extend(backward);
            read
        };
        let expected = all(InstructionSet::PORTABLE);
        assert!(expected.iter().all(|value| value.is_finite()));
        for set in InstructionSet::available() {
            assert!(same_bits(&all(set), &expected), "{set}");
        }
    }
}
