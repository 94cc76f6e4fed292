//! What an LSTM cell does element by element, forward and backward. Rows are sixteen examples, as in `lane_product`.

use super::lanes::{LANES, Lanes, STREAM_ALIGNMENT};
use super::real::Real;
use super::transcendental::tanh;
use super::{InstructionSet, Kernel};

/// The state of a cell behind its gates, in place: `c = f ∘ c_before + i ∘ g`, `h = o ∘ tanh c`.
///
/// Gates are `[4 · hidden]` rows in the order i, f, g, o; the others `[hidden]` rows. Unless `kept` is empty, the gates are
/// copied there, past the caches: it is to begin at a cache line, and [`streamed`](super::streamed) to be behind it before another thread reads.
pub(crate) fn lstm_cell<T: Real>(
    instruction_set: InstructionSet,
    gates: &[T],
    c: &mut [T],
    h: &mut [T],
    kept: &mut [T],
) {
    let len = h.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert_eq!(gates.len(), 4 * len, "four gates");
    assert_eq!(c.len(), len, "rows of one number");
    let cell = Cell { gates, c, h };
    if kept.is_empty() {
        return T::dispatch(instruction_set, cell);
    }
    assert_eq!(kept.len(), gates.len(), "four gates");
    assert_eq!(kept.as_ptr().align_offset(STREAM_ALIGNMENT), 0, "kept gates begin at a cache line");
    T::dispatch(instruction_set, KeptCell { cell, kept });
}

struct Cell<'a, T> {
    gates: &'a [T],
    c: &'a mut [T],
    h: &'a mut [T],
}

/// The row at `at` of the gates i, f, g, o.
#[inline(always)]
unsafe fn gates_at<L: Lanes>(gates: &[L::Scalar], at: usize) -> [L; 4] {
    let (from, len) = (gates.as_ptr(), gates.len() / 4);
    // SAFETY: the caller's, and `at` is a row of a quarter of the gates.
    unsafe {
        [
            L::load(from.add(at)),
            L::load(from.add(len + at)),
            L::load(from.add(2 * len + at)),
            L::load(from.add(3 * len + at)),
        ]
    }
}

impl<T: Real> Cell<'_, T> {
    /// Goes on with the row at `at`.
    #[inline(always)]
    unsafe fn advance<L: Lanes<Scalar = T>>(&mut self, at: usize, [i, f, g, o]: [L; 4]) {
        // SAFETY: `lstm_cell` has settled the lengths, and the caller has the instructions.
        unsafe {
            let c = f.mul(L::load(self.c.as_ptr().add(at))).mul_add(i, g);
            c.store(self.c.as_mut_ptr().add(at));
            o.mul(tanh(c)).store(self.h.as_mut_ptr().add(at));
        }
    }
}

impl<T: Real> Kernel<T> for Cell<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        for at in (0..self.h.len()).step_by(LANES) {
            // SAFETY: `at` is a row, and the caller has the instructions.
            unsafe { self.advance(at, gates_at::<L>(self.gates, at)) }
        }
    }
}

struct KeptCell<'a, T> {
    cell: Cell<'a, T>,
    kept: &'a mut [T],
}

impl<T: Real> Kernel<T> for KeptCell<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        let len = self.cell.h.len();
        // SAFETY: `at` is a row, `kept` has as many as the gates, and the caller has the instructions.
        unsafe {
            for at in (0..len).step_by(LANES) {
                let gates = gates_at::<L>(self.cell.gates, at);
                for which in 0..4 {
                    gates[which].stream(self.kept.as_mut_ptr().add(which * len + at));
                }
                self.cell.advance(at, gates);
            }
        }
    }
}

/// As [`lstm_cell`], with what [`lstm_cell_backward`] reads written: c, tanh c and h.
pub(crate) fn lstm_cell_again<T: Real>(
    instruction_set: InstructionSet,
    gates: &[T],
    c_before: &[T],
    [c, tanh_c, h]: [&mut [T]; 3],
) {
    let len = h.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert_eq!(gates.len(), 4 * len, "four gates");
    assert!([c_before.len(), c.len(), tanh_c.len()] == [len; 3], "rows of one number");
    T::dispatch(instruction_set, CellAgain { gates, c_before, c, tanh_c, h });
}

struct CellAgain<'a, T> {
    gates: &'a [T],
    c_before: &'a [T],
    c: &'a mut [T],
    tanh_c: &'a mut [T],
    h: &'a mut [T],
}

impl<T: Real> Kernel<T> for CellAgain<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for at in (0..self.h.len()).step_by(LANES) {
            // SAFETY: `lstm_cell_again` has settled the lengths, and the caller has the instructions.
            unsafe {
                let [i, f, g, o] = gates_at::<L>(self.gates, at);
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
                let [i, f, g, o] = gates_at::<L>(gates, at);
                let before = L::load(c_before.as_ptr().add(at));
                let tanh_c = L::load(tanh_c.as_ptr().add(at));
                let [above, after] = self.dh.map(|dh| L::load(dh.as_ptr().add(at)));
                let dh = above.add(after);
                let slope = one.mul_add(zero.sub(tanh_c), tanh_c);
                let by_o = dh.mul(o);
                let dc = L::load(self.dc.as_ptr().add(at)).mul_add(by_o, slope);
                let (by_i, by_f) = (dc.mul(i), dc.mul(f));
                let dz = [
                    by_i.mul(g).mul(one.sub(i)),
                    by_f.mul(before).mul(one.sub(f)),
                    by_i.mul(one.mul_add(zero.sub(g), g)),
                    by_o.mul(tanh_c).mul(one.sub(o)),
                ];
                for (which, dz) in dz.into_iter().enumerate() {
                    dz.store(self.dz.as_mut_ptr().add(which * len + at));
                }
                by_f.store(self.dc.as_mut_ptr().add(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::streamed;
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
        lstm_cell_again(InstructionSet::PORTABLE, &gates, &before, [c, tanh_c, h]);
        let (mut in_place, mut h_alone) = (before.clone(), vec![f64::NAN; len]);
        lstm_cell(InstructionSet::PORTABLE, &gates, &mut in_place, &mut h_alone, &mut []);
        assert!(in_place == *c && h_alone == *h);
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
    fn every_instruction_set_agrees_to_the_bit() {
        let len = 3 * LANES;
        let data = numbers(7, 4 * len);
        let all = |set: InstructionSet| {
            let mut results = vec![0.0f32; 3 * len + 5 * len];
            let (forward, rest) = results.split_at_mut(3 * len);
            let (dc, dz) = rest.split_at_mut(len);
            let (c, rest) = forward.split_at_mut(len);
            let (tanh_c, h) = rest.split_at_mut(len);
            lstm_cell_again(set, &data, &data[5..5 + len], [c, tanh_c, h]);
            let mut aligned = vec![0.0; 4 * len + LANES];
            let start = aligned.as_ptr().align_offset(STREAM_ALIGNMENT);
            let aligned = &mut aligned[start..start + 4 * len];
            let (mut in_place, mut h_alone) = (data[5..5 + len].to_vec(), vec![0.0; len]);
            lstm_cell(set, &data, &mut in_place, &mut h_alone, aligned);
            streamed();
            assert!(same_bits(aligned, &data), "{set}");
            assert!(same_bits(&in_place, c) && same_bits(&h_alone, h), "{set}");
            let values = CellValues { gates: &data, c_before: c, tanh_c };
            lstm_cell_backward(set, values, [h, c], dc, dz);
            results
        };
        let expected = all(InstructionSet::PORTABLE);
        assert!(expected.iter().all(|value| value.is_finite()));
        for set in InstructionSet::available() {
            assert!(same_bits(&all(set), &expected), "{set}");
        }
    }
}
