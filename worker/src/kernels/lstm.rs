//! What an LSTM cell does element by element, forward and backward; and how a learned optimizer reads a gradient. Rows are
//! sixteen examples, as in `lane_product`.

use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::transcendental::{ln, tanh};
use super::{InstructionSet, Kernel};

/// The state of a cell behind its gates: `c = f ∘ c_before + i ∘ g`, `tanh_c = tanh c`, `h = o ∘ tanh_c`.
///
/// Gates are `[4 · hidden]` rows in the order i, f, g, o; the others `[hidden]` rows.
pub(crate) fn lstm_cell<T: Real>(
    instruction_set: InstructionSet,
    gates: &[T],
    c_before: &[T],
    c: &mut [T],
    tanh_c: &mut [T],
    h: &mut [T],
) {
    let len = h.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert_eq!(gates.len(), 4 * len, "four gates");
    assert!([c_before.len(), c.len(), tanh_c.len()] == [len; 3], "rows of one number");
    T::dispatch(instruction_set, Cell { gates, c_before, c, tanh_c, h });
}

struct Cell<'a, T> {
    gates: &'a [T],
    c_before: &'a [T],
    c: &'a mut [T],
    tanh_c: &'a mut [T],
    h: &'a mut [T],
}

impl<T: Real> Kernel<T> for Cell<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let len = self.h.len();
        let gates = self.gates.as_ptr();
        for at in (0..len).step_by(LANES) {
            // SAFETY: `lstm_cell` has settled the lengths, and the caller has the instructions.
            unsafe {
                let gate = |which: usize| gates.add(which * len + at);
                let (i, f) = (L::load(gate(0)), L::load(gate(1)));
                let (g, o) = (L::load(gate(2)), L::load(gate(3)));
                let c = f.mul(L::load(self.c_before.as_ptr().add(at))).mul_add(i, g);
                let tanh_c = tanh(c);
                c.store(self.c.as_mut_ptr().add(at));
                tanh_c.store(self.tanh_c.as_mut_ptr().add(at));
                o.mul(tanh_c).store(self.h.as_mut_ptr().add(at));
            }
        }
    }
}

/// What [`lstm_cell_backward`] reads of the forward pass.
#[derive(Clone, Copy)]
pub(crate) struct CellValues<'a, T> {
    pub(crate) gates: &'a [T],
    pub(crate) c_before: &'a [T],
    pub(crate) tanh_c: &'a [T],
}

/// The cotangents of the gates' sums from those of the state. The cotangent of h comes in two parts, from above and from
/// the time after; `dc` goes in as that of c from the time after and comes out as that of `c_before`.
pub(crate) fn lstm_cell_backward<T: Real>(
    instruction_set: InstructionSet,
    values: CellValues<'_, T>,
    dh: [&[T]; 2],
    dc: &mut [T],
    dz: &mut [T],
) {
    let len = dc.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert!([values.gates.len(), dz.len()] == [4 * len; 2], "four gates");
    let others = [values.c_before.len(), values.tanh_c.len(), dh[0].len(), dh[1].len()];
    assert!(others == [len; 4], "rows of one number");
    T::dispatch(instruction_set, CellBackward { values, dh, dc, dz });
}

struct CellBackward<'a, T> {
    values: CellValues<'a, T>,
    dh: [&'a [T]; 2],
    dc: &'a mut [T],
    dz: &'a mut [T],
}

impl<T: Real> Kernel<T> for CellBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let len = self.dc.len();
        let CellValues { gates, c_before, tanh_c } = self.values;
        for at in (0..len).step_by(LANES) {
            // SAFETY: `lstm_cell_backward` has settled the lengths, and the caller has the instructions.
            unsafe {
                let one = L::splat(T::ONE);
                let zero = L::splat(T::ZERO);
                let gate = |which: usize| gates.as_ptr().add(which * len + at);
                let (i, f) = (L::load(gate(0)), L::load(gate(1)));
                let (g, o) = (L::load(gate(2)), L::load(gate(3)));
                let before = L::load(c_before.as_ptr().add(at));
                let tanh_c = L::load(tanh_c.as_ptr().add(at));
                let [above, after] = self.dh.map(|dh| L::load(dh.as_ptr().add(at)));
                let dh = above.add(after);
                let slope = one.mul_add(zero.sub(tanh_c), tanh_c);
                let dc = L::load(self.dc.as_ptr().add(at)).mul_add(dh.mul(o), slope);
                let logistic = |y: L, dy: L| dy.mul(y.mul(one.sub(y)));
                let dz = [
                    logistic(i, dc.mul(g)),
                    logistic(f, dc.mul(before)),
                    dc.mul(i).mul(one.mul_add(zero.sub(g), g)),
                    logistic(o, dh.mul(tanh_c)),
                ];
                for (which, dz) in dz.into_iter().enumerate() {
                    dz.store(self.dz.as_mut_ptr().add(which * len + at));
                }
                dc.mul(f).store(self.dc.as_mut_ptr().add(at));
            }
        }
    }
}

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

    /// The two rows `out` of up to sixteen gradients; zero beyond them.
    pub(crate) fn read(&self, instruction_set: InstructionSet, gradient: &[T], out: &mut [T]) {
        assert!((1..=LANES).contains(&gradient.len()), "a row of gradients");
        assert_eq!(out.len(), 2 * LANES, "two rows");
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
            let g = load::<L>(self.gradient.as_ptr(), self.gradient.len());
            let (size, smallest) = (magnitude(g), L::splat(smallest));
            let logarithm = ln(size.max(smallest)).div(L::splat(p));
            let sign = g.if_greater(zero, one, zero.sub(one));
            let small = smallest.if_greater(size, one, zero);
            small.if_greater(zero, zero.sub(one), logarithm).store(self.out.as_mut_ptr());
            let second = small.if_greater(zero, g.mul(L::splat(largest)), sign);
            second.store(self.out.as_mut_ptr().add(LANES));
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

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Σ weight · (h, c) of one cell in f64, as a function of the gates' sums and of c before.
    fn naive(z: [f64; 4], before: f64, weights: [f64; 2]) -> f64 {
        let [i, f, g, o] = [sigmoid(z[0]), sigmoid(z[1]), z[2].tanh(), sigmoid(z[3])];
        let c = f * before + i * g;
        weights[0] * (o * c.tanh()) + weights[1] * c
    }

    #[test]
    fn a_cell_backward_is_the_derivative_of_the_cell() {
        const HIDDEN: usize = 2;
        let len = HIDDEN * LANES;
        let wide = |seed: u64, count: usize| -> Vec<f64> {
            numbers(seed, count).into_iter().map(f64::from).collect()
        };
        let (z, before) = (wide(1, 4 * len), wide(2, len));
        let (above, after, dc_after) = (wide(3, len), wide(4, len), wide(5, len));
        let gates: Vec<f64> = z
            .iter()
            .enumerate()
            .map(|(at, &z)| if at / len == 2 { z.tanh() } else { sigmoid(z) })
            .collect();
        let mut forward = vec![vec![f64::NAN; len]; 3];
        let [c, tanh_c, h] = &mut forward[..] else { unreachable!() };
        lstm_cell(InstructionSet::PORTABLE, &gates, &before, c, tanh_c, h);
        let (mut dc, mut dz) = (dc_after.clone(), vec![f64::NAN; 4 * len]);
        let values = CellValues { gates: &gates, c_before: &before, tanh_c };
        lstm_cell_backward(InstructionSet::PORTABLE, values, [&above, &after], &mut dc, &mut dz);
        for at in 0..len {
            let z_at = [0, 1, 2, 3].map(|gate| z[gate * len + at]);
            let weights = [above[at] + after[at], dc_after[at]];
            assert!((naive(z_at, before[at], [1.0, 0.0]) - h[at]).abs() < 1e-12);
            let step = 1e-6;
            for gate in 0..4 {
                let moved = |by: f64| {
                    let mut z = z_at;
                    z[gate] += by;
                    naive(z, before[at], weights)
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                assert!((dz[gate * len + at] - difference).abs() < 1e-8);
            }
            let moved = |by: f64| naive(z_at, before[at] + by, weights);
            assert!((dc[at] - (moved(step) - moved(-step)) / (2.0 * step)).abs() < 1e-8);
        }
    }

    #[test]
    fn gradients_are_read_as_their_logarithm_and_sign() {
        let by = LogAndSign::<f64>::new(10.0);
        let gradients = [1.0, -1.0, 250.0, -1e-3, 5e-5, 4e-5, -1e-9, 0.0, 1e20];
        let mut out = [f64::NAN; 2 * LANES];
        by.read(InstructionSet::PORTABLE, &gradients, &mut out);
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
        let len = 3 * LANES;
        let data = numbers(7, 4 * len);
        let gradient = &numbers(8, 11);
        let all = |set: InstructionSet| {
            let mut results = vec![0.0f32; 3 * len + 5 * len + 2 * LANES + 11];
            let (forward, rest) = results.split_at_mut(3 * len);
            let (backward, rest) = rest.split_at_mut(5 * len);
            let (read, read_backward) = rest.split_at_mut(2 * LANES);
            let (c, rest) = forward.split_at_mut(len);
            let (tanh_c, h) = rest.split_at_mut(len);
            lstm_cell(set, &data, &data[5..5 + len], c, tanh_c, h);
            let (dc, dz) = backward.split_at_mut(len);
            let values = CellValues { gates: &data, c_before: c, tanh_c };
            lstm_cell_backward(set, values, [h, c], dc, dz);
            let by = LogAndSign::new(1.0);
            by.read(set, gradient, read);
            by.read_backward(set, gradient, &data[..2 * LANES], read_backward);
            results
        };
        let expected = all(InstructionSet::PORTABLE);
        assert!(expected.iter().all(|value| value.is_finite()));
        for set in InstructionSet::available() {
            assert!(same_bits(&all(set), &expected), "{set}");
        }
    }
}
