//! Matrix products whose batch is the lanes: sixteen examples side by side, such as a learned optimizer's coordinates.
//!
//! A *row* is one quantity of sixteen examples, and every array but the matrices is rows. So nothing is lost at the edge
//! of a hidden layer, whatever its size, and what follows element by element fills the lanes. The naive algorithms,
//! whose order of sums this keeps for every lane:
//!
//! ```text
//! product:          out[r] = Σ_d operand[d] · matrix[d · rows + r], from d = 0 on
//! weight_gradient:  sums[d · rows + r] += (Σ_t operand[t][d] · cotangent[t][r], from t = 0 on)
//! ```
//!
//! Tiles of the first keep as many sums in registers as there are, each step with one load of sixteen lanes and a weight a
//! sum that all lanes share. Tiles of the second are sums for several r and d at once, so that every load serves several.

use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::transcendental::{sigmoid, tanh};
use super::{InstructionSet, Kernel};

/// Rows of a cotangent that pass over the whole operand together: at twenty times 20 KiB, which stay in the nearest cache.
const ROW_BLOCK: usize = 16;

/// `out = matrixᵀ · operand`: matrix `[depth, rows]`, operand `[depth]` rows, out `[rows]` rows.
pub(crate) fn lane_product<T: Real>(
    instruction_set: InstructionSet,
    matrix: &[T],
    operand: &[T],
    out: &mut [T],
) {
    let product = Product::new(matrix, operand, out, false);
    T::dispatch(instruction_set, product);
}

/// The gates of an LSTM cell in PyTorch's order, input, forget, cell and output: as [`lane_product`], with σ, σ, tanh and σ
/// of a quarter of the rows each.
pub(crate) fn lane_gates<T: Real>(
    instruction_set: InstructionSet,
    matrix: &[T],
    operand: &[T],
    out: &mut [T],
) {
    let product = Product::new(matrix, operand, out, true);
    assert_eq!(product.rows % 4, 0, "four gates of one size");
    T::dispatch(instruction_set, product);
}

struct Product<'a, T> {
    matrix: &'a [T],
    operand: &'a [T],
    out: &'a mut [T],
    rows: usize,
    gates: bool,
}

impl<'a, T> Product<'a, T> {
    fn new(matrix: &'a [T], operand: &'a [T], out: &'a mut [T], gates: bool) -> Self {
        let (depth, rows) = (operand.len() / LANES, out.len() / LANES);
        assert_eq!((depth * LANES, rows * LANES), (operand.len(), out.len()), "whole rows");
        assert_eq!(matrix.len(), depth * rows, "a weight for every row in and out");
        Self { matrix, operand, out, rows, gates }
    }
}

impl<T: Real> Kernel<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        let rows = self.rows;
        // SAFETY: `new` has settled the lengths, and the caller has the instructions.
        unsafe {
            if self.gates {
                let hidden = rows / 4;
                tiles::<L, Sigmoid>(&mut self, 0, 2 * hidden);
                tiles::<L, Tanh>(&mut self, 2 * hidden, 3 * hidden);
                tiles::<L, Sigmoid>(&mut self, 3 * hidden, rows);
            } else {
                tiles::<L, Identity>(&mut self, 0, rows);
            }
        }
    }
}

/// What becomes of a sum.
trait Finish {
    unsafe fn of<L: Lanes>(sum: L) -> L;
}

struct Identity;
struct Sigmoid;
struct Tanh;

impl Finish for Identity {
    #[inline(always)]
    unsafe fn of<L: Lanes>(sum: L) -> L {
        sum
    }
}

impl Finish for Sigmoid {
    #[inline(always)]
    unsafe fn of<L: Lanes>(sum: L) -> L {
        // SAFETY: the caller's.
        unsafe { sigmoid(sum) }
    }
}

impl Finish for Tanh {
    #[inline(always)]
    unsafe fn of<L: Lanes>(sum: L) -> L {
        // SAFETY: the caller's.
        unsafe { tanh(sum) }
    }
}

/// The rows `from..to`.
#[inline(always)]
unsafe fn tiles<L: Lanes, F: Finish>(product: &mut Product<'_, L::Scalar>, from: usize, to: usize) {
    let mut row = from;
    // SAFETY: the caller's.
    unsafe {
        while L::REGISTERS > 16 && row + 10 <= to {
            tile::<L, F, 10>(product, row);
            row += 10;
        }
        while row + 5 <= to {
            tile::<L, F, 5>(product, row);
            row += 5;
        }
        match to - row {
            4 => tile::<L, F, 4>(product, row),
            3 => tile::<L, F, 3>(product, row),
            2 => tile::<L, F, 2>(product, row),
            1 => tile::<L, F, 1>(product, row),
            _ => {}
        }
    }
}

/// `ROWS` sums in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, F: Finish, const ROWS: usize>(
    product: &mut Product<'_, L::Scalar>,
    row: usize,
) {
    let depth = product.operand.len() / LANES;
    // SAFETY: rows up to `row + ROWS` and all of the depth are within the slices.
    unsafe {
        let mut sums = [L::splat(L::Scalar::ZERO); ROWS];
        let mut weights = product.matrix.as_ptr().add(row);
        let mut operand = product.operand.as_ptr();
        for _ in 0..depth {
            let x = L::load(operand);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = sum.mul_add(x, L::splat(*weights.add(i)));
            }
            weights = weights.wrapping_add(product.rows);
            operand = operand.wrapping_add(LANES);
        }
        let out = product.out.as_mut_ptr().add(row * LANES);
        for (i, sum) in sums.into_iter().enumerate() {
            F::of(sum).store(out.add(i * LANES));
        }
    }
}

/// `sums += operand · cotangentᵀ` over the times of both, lane by lane: operand `[times, depth]` rows, cotangent
/// `[times, rows]` rows, sums `[depth, rows]` rows.
pub(crate) fn lane_weight_gradient<T: Real>(
    instruction_set: InstructionSet,
    times: usize,
    operand: &[T],
    cotangent: &[T],
    sums: &mut [T],
) {
    if times == 0 {
        return;
    }
    let (depth, rows) = (operand.len() / times / LANES, cotangent.len() / times / LANES);
    assert_eq!(operand.len(), times * depth * LANES, "whole rows, of every time");
    assert_eq!(cotangent.len(), times * rows * LANES, "whole rows, of every time");
    assert_eq!(sums.len(), depth * rows * LANES, "a sum for every row in and out");
    T::dispatch(instruction_set, WeightGradient { times, depth, rows, operand, cotangent, sums });
}

struct WeightGradient<'a, T> {
    times: usize,
    depth: usize,
    rows: usize,
    operand: &'a [T],
    cotangent: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for WeightGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        for from in (0..self.rows).step_by(ROW_BLOCK) {
            let rows = from..self.rows.min(from + ROW_BLOCK);
            let mut d = 0;
            // SAFETY: `lane_weight_gradient` has settled the lengths, and the caller has the instructions.
            unsafe {
                while L::REGISTERS > 16 && d + 5 <= self.depth {
                    column::<L, 5>(&mut self, d, rows.clone());
                    d += 5;
                }
                while d + 3 <= self.depth {
                    column::<L, 3>(&mut self, d, rows.clone());
                    d += 3;
                }
                match self.depth - d {
                    2 => column::<L, 2>(&mut self, d, rows),
                    1 => column::<L, 1>(&mut self, d, rows),
                    _ => {}
                }
            }
        }
    }
}

/// `DEPTHS` of the operand's rows against `rows` of the cotangent's.
#[inline(always)]
unsafe fn column<L: Lanes, const DEPTHS: usize>(
    gradient: &mut WeightGradient<'_, L::Scalar>,
    d: usize,
    rows: Range<usize>,
) {
    let mut row = rows.start;
    // SAFETY: the caller's.
    unsafe {
        while L::REGISTERS > 16 && row + 4 <= rows.end {
            gradient_tile::<L, DEPTHS, 4>(gradient, d, row);
            row += 4;
        }
        while row + 2 <= rows.end {
            gradient_tile::<L, DEPTHS, 2>(gradient, d, row);
            row += 2;
        }
        if row < rows.end {
            gradient_tile::<L, DEPTHS, 1>(gradient, d, row);
        }
    }
}

/// `DEPTHS` × `ROWS` sums in registers.
#[inline(always)]
unsafe fn gradient_tile<L: Lanes, const DEPTHS: usize, const ROWS: usize>(
    gradient: &mut WeightGradient<'_, L::Scalar>,
    d: usize,
    row: usize,
) {
    let WeightGradient { times, depth, rows, .. } = *gradient;
    // SAFETY: `d + DEPTHS` and `row + ROWS` rows are there at every time.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); ROWS]; DEPTHS];
        let mut operand = gradient.operand.as_ptr().add(d * LANES);
        let mut cotangent = gradient.cotangent.as_ptr().add(row * LANES);
        for _ in 0..times {
            let mut dz = [L::splat(L::Scalar::ZERO); ROWS];
            for (j, dz) in dz.iter_mut().enumerate() {
                *dz = L::load(cotangent.add(j * LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::load(operand.add(i * LANES));
                for (sum, dz) in sums.iter_mut().zip(dz) {
                    *sum = sum.mul_add(x, dz);
                }
            }
            operand = operand.wrapping_add(depth * LANES);
            cotangent = cotangent.wrapping_add(rows * LANES);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                let place = gradient.sums.as_mut_ptr().add(((d + i) * rows + row + j) * LANES);
                L::load(place).add(sum).store(place);
            }
        }
    }
}

/// The sum over the lanes of every row: `[rows]` rows → `[rows]`.
pub(crate) fn sum_lanes<T: Real>(instruction_set: InstructionSet, rows: &[T], out: &mut [T]) {
    assert_eq!(rows.len(), out.len() * LANES, "a sum for every row");
    T::dispatch(instruction_set, SumLanes { rows, out });
}

struct SumLanes<'a, T> {
    rows: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for SumLanes<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for (row, out) in self.rows.chunks_exact(LANES).zip(self.out) {
            // SAFETY: a row has sixteen numbers.
            *out = unsafe { L::load(row.as_ptr()).sum() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    fn naive_product(matrix: &[f32], operand: &[f32], out: &mut [f32]) {
        let rows = out.len() / LANES;
        for (at, out) in out.iter_mut().enumerate() {
            let (row, lane) = (at / LANES, at % LANES);
            *out = operand
                .chunks(LANES)
                .zip(matrix.chunks(rows))
                .fold(0.0, |sum, (x, weights)| x[lane].mul_add(weights[row], sum));
        }
    }

    fn naive_gradient(times: usize, operand: &[f32], cotangent: &[f32], sums: &mut [f32]) {
        let (depth, rows) = (operand.len() / times, cotangent.len() / times);
        for (at, place) in sums.iter_mut().enumerate() {
            let (d, row, lane) = (at / rows, at % rows / LANES, at % LANES);
            let sum = (0..times).fold(0.0f32, |sum, t| {
                let x = operand[t * depth + d * LANES + lane];
                x.mul_add(cotangent[t * rows + row * LANES + lane], sum)
            });
            *place += sum;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            depth in 1usize..24, quarter in 1usize..24, times in 1usize..6, seed: u64,
        ) {
            let rows = 4 * quarter;
            let data = numbers(seed, depth * rows * (1 + LANES) + times * (depth + rows) * LANES);
            let (matrix, rest) = data.split_at(depth * rows);
            let (start, rest) = rest.split_at(depth * rows * LANES);
            let (operand, cotangent) = rest.split_at(times * depth * LANES);
            let once = &operand[..depth * LANES];
            let mut expected = vec![f32::NAN; rows * LANES];
            naive_product(matrix, once, &mut expected);
            let mut expected_sums = start.to_vec();
            naive_gradient(times, operand, cotangent, &mut expected_sums);
            let mut expected_gates = expected.clone();
            let (sigmoids, tanhs) = (0..rows * LANES).partition::<Vec<_>, _>(|at| at / LANES / quarter != 2);
            for set in InstructionSet::available() {
                let (mut out, mut sums, mut gates) =
                    (vec![f32::NAN; rows * LANES], start.to_vec(), vec![f32::NAN; rows * LANES]);
                lane_product(set, matrix, once, &mut out);
                prop_assert!(same_bits(&out, &expected), "{set}");
                lane_weight_gradient(set, times, operand, cotangent, &mut sums);
                prop_assert!(same_bits(&sums, &expected_sums), "{set}");
                lane_gates(set, matrix, once, &mut gates);
                for &at in &sigmoids {
                    prop_assert!((gates[at] - 1.0 / (1.0 + (-expected[at]).exp())).abs() < 1e-6);
                }
                for &at in &tanhs {
                    prop_assert!((gates[at] - expected[at].tanh()).abs() < 1e-6);
                }
                if set == InstructionSet::PORTABLE {
                    expected_gates.copy_from_slice(&gates);
                }
                prop_assert!(same_bits(&gates, &expected_gates), "{set}");
            }
        }
    }
}
