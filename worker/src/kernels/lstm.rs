//! What an LSTM cell does element by element, forward and backward. Rows are sixteen examples, as in `lane_product`.

use super::lanes::{LANES, Lanes, STREAM_ALIGNMENT};
use super::real::Real;
use super::transcendental::tanh;
use super::{InstructionSet, Kernel};

/// What a step of a cell leaves for [`lstm_cell_backward`]: a row of each gate and of the c behind them, `[5 · hidden]`.
pub(crate) struct Kept<'a, T> {
    /// Begins at a cache line. Empty where nothing is kept.
    pub(crate) rows: &'a mut [T],
    /// Whether they are written past the caches, so that [`streamed`](super::streamed) is to be behind it before another
    /// thread reads.
    pub(crate) past_caches: bool,
}

/// The state of a cell behind its gates, in place: `c = f ∘ c_before + i ∘ g`, `h = o ∘ tanh c`.
///
/// Gates are `[4 · hidden]` rows in the order i, f, g, o; the others `[hidden]` rows.
pub(crate) fn lstm_cell<T: Real>(
    instruction_set: InstructionSet,
    gates: &[T],
    c: &mut [T],
    h: &mut [T],
    kept: Kept<'_, T>,
) {
    let len = h.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert_eq!(gates.len(), 4 * len, "four gates");
    assert_eq!(c.len(), len, "rows of one number");
    let cell = Cell { gates, c, h };
    let Kept { rows, past_caches } = kept;
    if rows.is_empty() {
        return T::dispatch(instruction_set, cell);
    }
    assert_eq!(rows.len(), 5 * len, "four gates and c");
    assert_eq!(rows.as_ptr().align_offset(STREAM_ALIGNMENT), 0, "kept rows begin at a cache line");
    if past_caches {
        T::dispatch(instruction_set, KeptCell::<_, true> { cell, rows });
    } else {
        T::dispatch(instruction_set, KeptCell::<_, false> { cell, rows });
    }
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
    /// Goes on with the row at `at`, and returns its c.
    #[inline(always)]
    unsafe fn advance<L: Lanes<Scalar = T>>(&mut self, at: usize, [i, f, g, o]: [L; 4]) -> L {
        // SAFETY: `lstm_cell` has settled the lengths, and the caller has the instructions.
        unsafe {
            let c = f.mul(L::load(self.c.as_ptr().add(at))).mul_add(i, g);
            c.store(self.c.as_mut_ptr().add(at));
            o.mul(tanh(c)).store(self.h.as_mut_ptr().add(at));
            c
        }
    }
}

impl<T: Real> Kernel<T> for Cell<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        for at in (0..self.h.len()).step_by(LANES) {
            // SAFETY: `at` is a row, and the caller has the instructions.
            unsafe { self.advance(at, gates_at::<L>(self.gates, at)) };
        }
    }
}

struct KeptCell<'a, T, const PAST_CACHES: bool> {
    cell: Cell<'a, T>,
    rows: &'a mut [T],
}

impl<T: Real, const PAST_CACHES: bool> Kernel<T> for KeptCell<'_, T, PAST_CACHES> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        let len = self.cell.h.len();
        // SAFETY: `at` is a row, `rows` has as many as the gates and c, and the caller has the instructions.
        unsafe {
            for at in (0..len).step_by(LANES) {
                let gates @ [i, f, g, o] = gates_at::<L>(self.cell.gates, at);
                let c = self.cell.advance(at, gates);
                for (which, row) in [i, f, g, o, c].into_iter().enumerate() {
                    let place = self.rows.as_mut_ptr().add(which * len + at);
                    if PAST_CACHES {
                        row.stream(place);
                    } else {
                        row.store(place);
                    }
                }
            }
        }
    }
}

/// What [`lstm_cell_backward`] reads of the forward pass: what the step kept, and the c of the step before it.
#[derive(Clone, Copy)]
pub(crate) struct CellValues<'a, T> {
    pub(crate) kept: &'a [T],
    pub(crate) c_before: &'a [T],
}

/// The cotangents of the gates' sums from those of the state, and the state's h once more. The cotangent of h comes in two
/// parts, from above and from the time after; `dc` goes in as that of c from the time after and comes out as that of
/// `c_before`.
pub(crate) fn lstm_cell_backward<T: Real>(
    instruction_set: InstructionSet,
    values: CellValues<'_, T>,
    dh: [&[T]; 2],
    dc: &mut [T],
    dz: &mut [T],
    h: &mut [T],
) {
    let len = dc.len();
    assert!(len.is_multiple_of(LANES), "whole rows");
    assert!(values.kept.len() == 5 * len && dz.len() == 4 * len, "four gates, and c");
    let others = [values.c_before.len(), dh[0].len(), dh[1].len(), h.len()];
    assert!(others == [len; 4], "rows of one number");
    let (gates, c) = values.kept.split_at(4 * len);
    T::dispatch(
        instruction_set,
        CellBackward { gates, c, c_before: values.c_before, dh, dc, dz, h },
    );
}

struct CellBackward<'a, T> {
    gates: &'a [T],
    c: &'a [T],
    c_before: &'a [T],
    dh: [&'a [T]; 2],
    dc: &'a mut [T],
    dz: &'a mut [T],
    h: &'a mut [T],
}

impl<T: Real> Kernel<T> for CellBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let len = self.dc.len();
        for at in (0..len).step_by(LANES) {
            // SAFETY: `lstm_cell_backward` has settled the lengths, and the caller has the instructions.
            unsafe {
                let one = L::splat(T::ONE);
                let zero = L::splat(T::ZERO);
                let [i, f, g, o] = gates_at::<L>(self.gates, at);
                let before = L::load(self.c_before.as_ptr().add(at));
                let tanh_c = tanh(L::load(self.c.as_ptr().add(at)));
                o.mul(tanh_c).store(self.h.as_mut_ptr().add(at));
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

    /// The first `len` numbers that begin at a cache line.
    fn aligned<T>(numbers: &mut [T], len: usize) -> &mut [T] {
        let start = numbers.as_ptr().align_offset(STREAM_ALIGNMENT);
        &mut numbers[start..start + len]
    }

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
        let (mut c, mut h) = (before.clone(), vec![f64::NAN; len]);
        let mut kept = vec![f64::NAN; 5 * len + LANES];
        let kept = aligned(&mut kept, 5 * len);
        let keep = Kept { rows: kept, past_caches: false };
        lstm_cell(InstructionSet::PORTABLE, &gates, &mut c, &mut h, keep);
        assert!(kept[..4 * len] == gates && kept[4 * len..] == c);
        let [mut dc, mut dz, mut h_again] =
            [dc_after.clone(), vec![f64::NAN; 4 * len], vec![f64::NAN; len]];
        let values = CellValues { kept, c_before: &before };
        let dh = [&above[..], &after];
        lstm_cell_backward(InstructionSet::PORTABLE, values, dh, &mut dc, &mut dz, &mut h_again);
        assert_eq!(h_again, h);
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
        let all = |set: InstructionSet, past_caches: bool| {
            let (mut c, mut c_alone) = (data[5..5 + len].to_vec(), data[5..5 + len].to_vec());
            let (mut h, mut h_alone) = (vec![0.0; len], vec![0.0; len]);
            let mut kept = vec![0.0; 5 * len + LANES];
            let kept = aligned(&mut kept, 5 * len);
            lstm_cell(set, &data, &mut c, &mut h, Kept { rows: kept, past_caches });
            let nothing = Kept { rows: &mut [], past_caches };
            lstm_cell(set, &data, &mut c_alone, &mut h_alone, nothing);
            streamed();
            assert!(same_bits(&kept[..4 * len], &data) && same_bits(&kept[4 * len..], &c), "{set}");
            assert!(same_bits(&c_alone, &c) && same_bits(&h_alone, &h), "{set}");
            let values = CellValues { kept, c_before: &data[5..5 + len] };
            let (mut dc, mut dz) = (vec![0.0; len], vec![0.0; 4 * len]);
            lstm_cell_backward(set, values, [&h, &c], &mut dc, &mut dz, &mut h_alone);
            assert!(same_bits(&h_alone, &h), "{set}");
            [c, h, dc, dz].concat()
        };
        let expected = all(InstructionSet::PORTABLE, false);
        assert!(expected.iter().all(|value| value.is_finite()));
        for set in InstructionSet::available() {
            for past_caches in [false, true] {
                assert!(same_bits(&all(set, past_caches), &expected), "{set}");
            }
        }
    }
}
