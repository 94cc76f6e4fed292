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
//! Tiles of the first keep as many sums in registers as there are. Where those are 32 they are of two blocks of sixteen
//! examples, so that a weight that all lanes share is loaded for two sums: a processor that starts two such products a cycle
//! loads no more than that. Tiles of the second are sums for several r and d at once, so that every load serves several.

use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::prefetch::Ahead;
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Rows of a cotangent that pass over all operands together: at twenty times 20 KiB, which stay in the nearest cache.
const ROW_BLOCK: usize = 16;

/// `out = matrixᵀ · (1, operands)` of each of `BLOCKS` blocks: matrix `[1 + depth, columns]`, operands of `depth` rows together,
/// out a row for each of the first columns. Asks for a line of `ahead` with every row of every tile's operands.
pub(crate) fn lane_product<T: Real, const BLOCKS: usize>(
    instruction_set: InstructionSet,
    matrix: &[T],
    operands: &[[&[T]; BLOCKS]],
    out: [&mut [T]; BLOCKS],
    ahead: &Ahead<T>,
) {
    let mut depth = 0;
    for operand in operands {
        let len = operand[0].len();
        assert!(operand.iter().all(|block| block.len() == len), "as many rows of every block");
        assert!(len.is_multiple_of(LANES), "whole rows");
        depth += len / LANES;
    }
    let (len, columns) = (out[0].len(), matrix.len() / (1 + depth));
    assert!(out.iter().all(|block| block.len() == len), "as many rows of every block");
    assert!(len.is_multiple_of(LANES) && len / LANES <= columns, "whole rows, of columns");
    assert_eq!(matrix.len(), (1 + depth) * columns, "a weight for every row in and out");
    let rows = len / LANES;
    T::dispatch(instruction_set, Product { matrix, operands, out, ahead, columns, rows });
}

struct Product<'a, T, const BLOCKS: usize> {
    matrix: &'a [T],
    operands: &'a [[&'a [T]; BLOCKS]],
    out: [&'a mut [T]; BLOCKS],
    ahead: &'a Ahead<T>,
    columns: usize,
    rows: usize,
}

impl<T: Real, const BLOCKS: usize> Kernel<T> for Product<'_, T, BLOCKS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        // SAFETY: `lane_product` has settled the lengths, and the caller has the instructions.
        unsafe {
            if L::REGISTERS > 24 && BLOCKS == 2 {
                return self.tiles::<L, 2>(0);
            }
            for block in 0..BLOCKS {
                self.tiles::<L, 1>(block);
            }
        }
    }
}

impl<T: Real, const BLOCKS: usize> Product<'_, T, BLOCKS> {
    /// All rows of `ABREAST` blocks, from `block` on.
    #[inline(always)]
    unsafe fn tiles<L: Lanes<Scalar = T>, const ABREAST: usize>(&mut self, block: usize) {
        let (mut row, rows) = (0, self.rows);
        // SAFETY: the caller's.
        unsafe {
            while L::REGISTERS > 24 && ABREAST == 1 && row + 20 <= rows {
                self.tile::<L, ABREAST, 20>(block, row);
                row += 20;
            }
            while L::REGISTERS > 16 && row + 10 <= rows {
                self.tile::<L, ABREAST, 10>(block, row);
                row += 10;
            }
            while row + 5 <= rows {
                self.tile::<L, ABREAST, 5>(block, row);
                row += 5;
            }
            match rows - row {
                4 => self.tile::<L, ABREAST, 4>(block, row),
                3 => self.tile::<L, ABREAST, 3>(block, row),
                2 => self.tile::<L, ABREAST, 2>(block, row),
                1 => self.tile::<L, ABREAST, 1>(block, row),
                _ => {}
            }
        }
    }

    /// `ABREAST` × `ROWS` sums in registers.
    #[inline(always)]
    unsafe fn tile<L: Lanes<Scalar = T>, const ABREAST: usize, const ROWS: usize>(
        &mut self,
        block: usize,
        row: usize,
    ) {
        // SAFETY: columns up to `row + ROWS` and all of the depth are within the slices.
        unsafe {
            let mut weights = self.matrix.as_ptr().add(row);
            let mut sums = [[L::splat(T::ZERO); ROWS]; ABREAST];
            for i in 0..ROWS {
                let weight = L::splat(*weights.add(i));
                for j in 0..ABREAST {
                    sums[j][i] = weight;
                }
            }
            for operand in self.operands {
                let mut from = [operand[block].as_ptr(); ABREAST];
                for j in 1..ABREAST {
                    from[j] = operand[block + j].as_ptr();
                }
                for _ in 0..operand[block].len() / LANES {
                    self.ahead.ask_line::<L>();
                    weights = weights.wrapping_add(self.columns);
                    let mut x = [L::load(from[0]); ABREAST];
                    for j in 1..ABREAST {
                        x[j] = L::load(from[j]);
                    }
                    for i in 0..ROWS {
                        let weight = L::splat(*weights.add(i));
                        for j in 0..ABREAST {
                            sums[j][i] = sums[j][i].mul_add(x[j], weight);
                        }
                    }
                    for from in &mut from {
                        *from = from.wrapping_add(LANES);
                    }
                }
            }
            for (j, sums) in sums.into_iter().enumerate() {
                let out = self.out[block + j].as_mut_ptr().add(row * LANES);
                for (i, sum) in sums.into_iter().enumerate() {
                    sum.store(out.add(i * LANES));
                }
            }
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
