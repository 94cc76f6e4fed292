//! Sums of outer products of numbers rounded to [bfloat16](super::super::bfloat16), of a depth and a width that are
//! multiples of sixteen.
//!
//! The naive algorithm, whose order of sums this keeps for every output; the rows of a block that have a tap are counted
//! from 0, and beyond the last of an odd number of them there is a row of zeros:
//!
//! ```text
//! for tap, c, n:
//!     for block of the rows, (input, cotangent) in terms:
//!         sum = 0
//!         for row in 0, 2, … of those of the block that have this tap:
//!             sum = fma(round(input[row + 1 + tap + c]), round(cotangent[row + 1 + n]), sum)
//!             sum = fma(round(input[row + tap + c]), round(cotangent[row + n]), sum)
//!         output[tap, c, n] = sum in the first block's first term, then output[tap, c, n] + sum
//! ```
//!
//! Two rows become one of pairs as they are rounded: the cotangents once for all taps that all rows of a block have.

use super::super::bfloat16::{PairKernel, PairSums, Rounded, run_pairs, with_rounded};
use super::super::gather::tiles;
use super::super::lanes::LANES;
use super::super::{GatherRow, InstructionSet};
use super::Product;
use super::plan::{COLUMNS, Chunk, ROWS, STRIDE};
use super::tile::{TILE, Target};

/// Columns of the cotangents that are rounded at a time.
const SPAN: usize = 64;

/// Rows of pairs that a block has at most.
const PAIRS: usize = ROWS / 2;

/// What rows beyond the last one hold.
static ZEROS: [f32; COLUMNS] = [0.0; COLUMNS];

impl Product<'_, f32> {
    /// Block by block and tap by tap, from rounded copies.
    pub(super) fn rounded(&self) {
        let set = self.instruction_set;
        let (depth, width) = (self.outer.gather.depth(), self.outer.gather.width());
        assert!(depth.is_multiple_of(LANES) && width.is_multiple_of(LANES), "whole vectors");
        with_rounded(|Rounded { inputs, weights }| {
            let input_pairs = inputs[0].room(PAIRS * STRIDE);
            let cotangent_pairs = weights[0].room(PAIRS * SPAN);
            for first in (0..width).step_by(SPAN) {
                let columns = SPAN.min(width - first);
                self.each_block(|block, part, _, target| {
                    for (term, (input, cotangent)) in self.terms.iter().enumerate() {
                        let target = target.after(term);
                        let (input, cotangent) = (&input[part.input..], &cotangent[part.output..]);
                        // How many rows the rounded cotangents are of: those of all taps are the same.
                        let mut there = 0;
                        for chunk in &block.chunks {
                            let Chunk { rows, depth, weight, .. } = chunk;
                            // What is blank is written even where nothing is summed.
                            if rows.is_empty() && !target.is_blank() {
                                continue;
                            }
                            let all = rows.len() == block.cotangents.len();
                            if !(all && there == rows.len()) {
                                let (pairs, stride) = (cotangent_pairs, SPAN);
                                let numbers = &cotangent[first..];
                                let at = |row: &GatherRow| row.output as usize;
                                run_pairs(
                                    set,
                                    RoundRows { numbers, rows, at, columns, pairs, stride },
                                );
                                there = if all { rows.len() } else { 0 };
                            }
                            let (pairs, stride, numbers) = (input_pairs, STRIDE, input);
                            let at = |row: &GatherRow| row.input as usize;
                            run_pairs(
                                set,
                                RoundRows { numbers, rows, at, columns: *depth, pairs, stride },
                            );
                            let sums = Sums {
                                inputs: input_pairs,
                                cotangents: cotangent_pairs,
                                rows: rows.len().div_ceil(2),
                                columns,
                                target,
                                weight: *weight,
                                first,
                            };
                            sums.add(set, *depth);
                        }
                    }
                });
            }
        });
    }
}

/// Rounds some columns of rows, two of which become one of pairs, `stride` pairs apart.
struct RoundRows<'a, F> {
    numbers: &'a [f32],
    rows: &'a [GatherRow],
    at: F,
    columns: usize,
    pairs: *mut u32,
    stride: usize,
}

impl<F: Fn(&GatherRow) -> usize> PairKernel for RoundRows<'_, F> {
    #[inline(always)]
    unsafe fn run<S: PairSums>(self) {
        let row = |row: &GatherRow| self.numbers.as_ptr().wrapping_add((self.at)(row));
        for (i, two) in self.rows.chunks(2).enumerate() {
            let first = row(&two[0]);
            let second = two.get(1).map_or(ZEROS.as_ptr(), row);
            // The last sixteen may be some of those before them: there are sixteen at least.
            for column in (0..self.columns).step_by(LANES) {
                let column = column.min(self.columns - LANES);
                // SAFETY: `outer_product` has checked the rows' lengths, and there is room for a block's.
                unsafe {
                    let to = self.pairs.add(i * self.stride + column);
                    S::round_rows(first.add(column), second.add(column), to);
                }
            }
        }
    }
}

/// The outer products of a chunk's rows with some columns of their cotangents.
#[derive(Clone, Copy)]
struct Sums {
    /// `[rows, STRIDE]` pairs.
    inputs: *const u32,
    /// `[rows, SPAN]` pairs.
    cotangents: *const u32,
    rows: usize,
    columns: usize,
    target: Target<f32>,
    /// The first input column's place among the rows of the weights, and the first cotangent's among their columns.
    weight: usize,
    first: usize,
}

impl Sums {
    fn add(self, set: InstructionSet, depth: usize) {
        for (start, end, length) in tiles(depth, TILE) {
            let columns = (start, end);
            match length {
                _ if start == end => {}
                6 => run_pairs(set, Tiles::<6> { sums: self, columns }),
                5 => run_pairs(set, Tiles::<5> { sums: self, columns }),
                4 => run_pairs(set, Tiles::<4> { sums: self, columns }),
                3 => run_pairs(set, Tiles::<3> { sums: self, columns }),
                2 => run_pairs(set, Tiles::<2> { sums: self, columns }),
                _ => run_pairs(set, Tiles::<1> { sums: self, columns }),
            }
        }
    }
}

/// Tiles of `WIDTH` input columns, of those from the first to before the second of `columns`.
struct Tiles<const WIDTH: usize> {
    sums: Sums,
    columns: (usize, usize),
}

impl<const WIDTH: usize> PairKernel for Tiles<WIDTH> {
    #[inline(always)]
    unsafe fn run<S: PairSums>(self) {
        let width = self.sums.columns;
        let mut column = 0;
        // SAFETY: `outer_product` has checked every length.
        unsafe {
            while column + 4 * LANES <= width && S::IS_WIDE {
                self.panels::<S, 4>(column);
                column += 4 * LANES;
            }
            while column + 2 * LANES <= width && S::IS_WIDE {
                self.panels::<S, 2>(column);
                column += 2 * LANES;
            }
            while column < width {
                self.panels::<S, 1>(column);
                column += LANES;
            }
        }
    }
}

impl<const WIDTH: usize> Tiles<WIDTH> {
    /// All tiles of the `COLUMNS` panels from `column` on.
    #[inline(always)]
    unsafe fn panels<S: PairSums, const COLUMNS: usize>(&self, column: usize) {
        let Sums { inputs, cotangents, rows, target, weight, first, .. } = self.sums;
        let mut start = self.columns.0;
        // SAFETY: rows and columns lie within what was rounded, and within the weights.
        unsafe {
            while start < self.columns.1 {
                let mut sums = [[S::zero(); COLUMNS]; WIDTH];
                let mut x = inputs.add(start);
                let mut dy = cotangents.add(column);
                for _ in 0..rows {
                    let mut d = [S::splat(0); COLUMNS];
                    for j in 0..COLUMNS {
                        d[j] = S::load_pairs(dy.add(j * LANES));
                    }
                    for i in 0..WIDTH {
                        let x = S::splat(*x.add(i));
                        for j in 0..COLUMNS {
                            sums[i][j] = sums[i][j].add_products(x, d[j]);
                        }
                    }
                    x = x.add(STRIDE);
                    dy = dy.add(SPAN);
                }
                for i in 0..WIDTH {
                    for j in 0..COLUMNS {
                        let to = target.panel(first + column + j * LANES);
                        let to = to.add((weight + start + i) * LANES);
                        if !target.is_blank() {
                            sums[i][j] = S::load(to).add(sums[i][j]);
                        }
                        sums[i][j].store(to);
                    }
                }
                start += WIDTH;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{add_outer_product, outer_product};
    use super::*;
    use crate::kernels::bfloat16::tests::rounded;
    use crate::kernels::gather::{evenly, panels};
    use crate::kernels::test_support::{numbers, same_bits};
    use crate::kernels::{Gather, Outer};
    use proptest::prelude::*;

    /// The pseudo-code above, for a matrix product.
    fn naive(
        (rows, depth, width): (usize, usize, usize),
        terms: &[(&[f32], &[f32])],
        output: &mut [f32],
    ) {
        for (place, plain) in panels(depth, width).enumerate() {
            let (c, n) = (plain / width, plain % width);
            for (start, length) in evenly(rows, ROWS) {
                for (term, (input, cotangent)) in terms.iter().enumerate() {
                    let mut sum = 0.0f32;
                    let pairs = (start..start + length).step_by(2).flat_map(|row| [row + 1, row]);
                    for row in pairs.filter(|&row| row < start + length) {
                        let x = rounded(input[row * depth + c]);
                        sum = x.mul_add(rounded(cotangent[row * width + n]), sum);
                    }
                    let is_first = start == 0 && term == 0;
                    output[place] = if is_first { sum } else { output[place] + sum };
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 1usize..300, depth in 1usize..6, width in 1usize..8, terms in 1usize..3, seed: u64,
        ) {
            let (depth, width) = (16 * depth, 16 * width);
            let outer = Outer::of(&Gather::matrix(rows, depth, width).rounding(true));
            let data = numbers(seed, rows * (depth + width) + 16);
            let (input, cotangent) = data.split_at(rows * depth + 7);
            let all = [(input, cotangent), (&input[7..], &cotangent[3..])];
            let mut expected = vec![f32::NAN; depth * width];
            naive((rows, depth, width), &all[..terms], &mut expected);
            for instruction_set in InstructionSet::available() {
                let mut output = vec![f32::NAN; depth * width];
                outer_product(instruction_set, &outer, &all[..terms], &mut output);
                prop_assert!(same_bits(&output, &expected), "{instruction_set}");
                // One block is a sum that is added as it is.
                if rows <= ROWS && terms == 1 {
                    add_outer_product(instruction_set, &outer, &all[..1], &mut output);
                    let doubled: Vec<f32> = expected.iter().map(|sum| sum + sum).collect();
                    prop_assert!(same_bits(&output, &doubled), "{instruction_set}");
                }
            }
        }
    }
}
