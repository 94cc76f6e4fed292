//! Matrix products whose batch is the lanes: sixteen examples side by side, such as a learned optimizer's coordinates.
//!
//! A *row* is one quantity of sixteen examples, and every array but the matrices is rows. So nothing is lost at the edge
//! of a hidden layer, whatever its size, and what follows element by element fills the lanes. The naive algorithms,
//! whose order of sums this keeps for every lane:
//!
//! ```text
//! product:          out[r] = matrix[0, r] + Σ_d operand[d] · matrix[1 + d, r], from the first of the operands on
//! weight_gradient:  sums[d, r] += (Σ_t operands[t][d] · cotangent[t][r], from t = 0 on)
//! ```
//!
//! Tiles of the first keep as many sums in registers as there are, each step with one load of sixteen lanes and a weight a
//! sum that all lanes share. Tiles of the second are sums for several r and d at once, so that every load serves several.

use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::prefetch::Ahead;
use super::real::Real;
use super::transcendental::{sigmoid, tanh};
use super::{InstructionSet, Kernel};

/// Rows of a cotangent that pass over all operands together: at twenty times 20 KiB, which stay in the nearest cache.
const ROW_BLOCK: usize = 16;

/// `out = matrixᵀ · (1, operands)`: matrix `[1 + depth, columns]`, operands of `depth` rows together, out a row for each of the
/// first columns. Asks for a line of `ahead`, which is read once, with every row of every tile's operands.
pub(crate) fn lane_product<T: Real>(
    instruction_set: InstructionSet,
    matrix: &[T],
    operands: &[&[T]],
    out: &mut [T],
    ahead: &Ahead<T>,
) {
    let product = Product::new(matrix, operands, out, ahead, false);
    T::dispatch(instruction_set, product);
}

/// The gates of an LSTM cell in PyTorch's order, input, forget, cell and output: as [`lane_product`], with σ, σ, tanh and σ
/// of a quarter of the rows each.
pub(crate) fn lane_gates<T: Real>(
    instruction_set: InstructionSet,
    matrix: &[T],
    operands: &[&[T]],
    out: &mut [T],
) {
    let ahead = Ahead::none();
    let product = Product::new(matrix, operands, out, &ahead, true);
    assert_eq!(product.rows % 4, 0, "four gates of one size");
    T::dispatch(instruction_set, product);
}

struct Product<'a, T> {
    matrix: &'a [T],
    operands: &'a [&'a [T]],
    out: &'a mut [T],
    ahead: &'a Ahead<T>,
    columns: usize,
    rows: usize,
    gates: bool,
}

impl<'a, T> Product<'a, T> {
    fn new(
        matrix: &'a [T],
        operands: &'a [&'a [T]],
        out: &'a mut [T],
        ahead: &'a Ahead<T>,
        gates: bool,
    ) -> Self {
        let mut depth = 0;
        for operand in operands {
            assert!(operand.len().is_multiple_of(LANES), "whole rows");
            depth += operand.len() / LANES;
        }
        let (rows, columns) = (out.len() / LANES, matrix.len() / (1 + depth));
        assert!(out.len().is_multiple_of(LANES) && rows <= columns, "whole rows, of columns");
        assert_eq!(matrix.len(), (1 + depth) * columns, "a weight for every row in and out");
        Self { matrix, operands, out, ahead, columns, rows, gates }
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
        while L::REGISTERS > 24 && row + 20 <= to {
            tile::<L, F, 20>(product, row);
            row += 20;
        }
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
    // SAFETY: columns up to `row + ROWS` and all of the depth are within the slices.
    unsafe {
        let mut weights = product.matrix.as_ptr().add(row);
        let mut sums = [L::splat(L::Scalar::ZERO); ROWS];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = L::splat(*weights.add(i));
        }
        for operand in product.operands {
            let mut from = operand.as_ptr();
            for _ in 0..operand.len() / LANES {
                product.ahead.ask_line_once::<L>();
                weights = weights.wrapping_add(product.columns);
                let x = L::load(from);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.mul_add(x, L::splat(*weights.add(i)));
                }
                from = from.wrapping_add(LANES);
            }
        }
        let out = product.out.as_mut_ptr().add(row * LANES);
        for (i, sum) in sums.into_iter().enumerate() {
            F::of(sum).store(out.add(i * LANES));
        }
    }
}

/// `sums += operand · cotangentᵀ` over the times of both, lane by lane: operands `[times, their depth]` rows, cotangent
/// `[times, rows]` rows, sums `[depth, rows]` rows of all operands together.
pub(crate) fn lane_weight_gradient<T: Real>(
    instruction_set: InstructionSet,
    times: usize,
    operands: &[&[T]],
    cotangent: &[T],
    sums: &mut [T],
) {
    if times == 0 {
        return;
    }
    let rows = cotangent.len() / times / LANES;
    assert_eq!(cotangent.len(), times * rows * LANES, "whole rows, of every time");
    let mut depth = 0;
    for operand in operands {
        assert!(operand.len().is_multiple_of(times * LANES), "whole rows, of every time");
        depth += operand.len() / times / LANES;
    }
    assert_eq!(sums.len(), depth * rows * LANES, "a sum for every row in and out");
    T::dispatch(instruction_set, WeightGradient { times, rows, operands, cotangent, sums });
}

struct WeightGradient<'a, T> {
    times: usize,
    rows: usize,
    operands: &'a [&'a [T]],
    cotangent: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for WeightGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let Self { times, rows, operands, cotangent, sums } = self;
        for from in (0..rows).step_by(ROW_BLOCK) {
            let block = from..rows.min(from + ROW_BLOCK);
            let mut behind = sums.as_mut_ptr_range().end;
            // The last operand has rows enough to hide that the cotangent comes from afar; the first may be biases'.
            for operand in operands.iter().rev() {
                let depth = operand.len() / times / LANES;
                behind = behind.wrapping_sub(depth * rows * LANES);
                let part = Part {
                    times,
                    depth,
                    rows,
                    operand: operand.as_ptr(),
                    cotangent: cotangent.as_ptr(),
                    sums: behind,
                };
                // SAFETY: `lane_weight_gradient` has settled the lengths, and the caller has the instructions.
                unsafe { part.add::<L>(block.clone()) };
            }
        }
    }
}

/// The sums of one operand.
struct Part<T> {
    times: usize,
    depth: usize,
    rows: usize,
    operand: *const T,
    cotangent: *const T,
    sums: *mut T,
}

impl<T: Real> Part<T> {
    /// Adds to the sums of `rows` of the cotangent.
    #[inline(always)]
    unsafe fn add<L: Lanes<Scalar = T>>(&self, rows: Range<usize>) {
        let mut d = 0;
        // SAFETY: the caller's.
        unsafe {
            while L::REGISTERS > 16 && d + 5 <= self.depth {
                column::<L, 5>(self, d, rows.clone());
                d += 5;
            }
            while d + 3 <= self.depth {
                column::<L, 3>(self, d, rows.clone());
                d += 3;
            }
            match self.depth - d {
                2 => column::<L, 2>(self, d, rows),
                1 => column::<L, 1>(self, d, rows),
                _ => {}
            }
        }
    }
}

/// `DEPTHS` of the operand's rows against `rows` of the cotangent's.
#[inline(always)]
unsafe fn column<L: Lanes, const DEPTHS: usize>(
    gradient: &Part<L::Scalar>,
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
    gradient: &Part<L::Scalar>,
    d: usize,
    row: usize,
) {
    let Part { times, depth, rows, .. } = *gradient;
    // SAFETY: `d + DEPTHS` and `row + ROWS` rows are there at every time.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); ROWS]; DEPTHS];
        let mut operand = gradient.operand.add(d * LANES);
        let mut cotangent = gradient.cotangent.add(row * LANES);
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
                let place = gradient.sums.add(((d + i) * rows + row + j) * LANES);
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
mod tests;
