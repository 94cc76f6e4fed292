//! Gathered products of numbers rounded to [bfloat16](super::super::bfloat16), whose depth is a multiple of sixteen, and
//! their width too.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for row, n:
//!     sum = start[n]
//!     for (input, weight) in terms, tap in taps of row, c in 0, 2, … below depth:
//!         sum = fma(round(input[row + tap + c + 1]), round(weight[tap, c + 1, n]), sum)
//!         sum = fma(round(input[row + tap + c]), round(weight[tap, c, n]), sum)
//!     output[row + n] = sum
//! ```
//!
//! Weights are rounded once, and a part's inputs ahead of it; a tile is up to six rows times up to four panels.

use super::super::bfloat16::{PairKernel, PairSums, Rounded, run_pairs, with_rounded};
use super::super::gather::{Part, tiles};
use super::super::lanes::LANES;
use super::super::{Gather, GatherRow, InstructionSet, Tap};
use super::TILE;

/// Pairs of the depth that a loop takes at a time.
const UNROLL: usize = 4;

/// As [`product`](super::product), of rounded numbers.
pub(super) fn product(
    instruction_set: InstructionSet,
    gather: &Gather,
    start: Option<&[f32]>,
    terms: &[(&[f32], &[f32])],
    output: &mut [f32],
) {
    assert!(terms.len() <= 2, "a tangent has two terms");
    let (depth, width) = (gather.depth(), gather.width());
    assert!(depth.is_multiple_of(LANES) && width.is_multiple_of(LANES), "whole vectors");
    with_rounded(|Rounded { inputs, weights }| {
        let mut operands = [(std::ptr::null(), std::ptr::null()); 2];
        for (term, (_, weight)) in terms.iter().enumerate() {
            let numbers = &weight[..gather.weight_len()];
            let pairs = weights[term].room(numbers.len() / 2);
            run_pairs(instruction_set, RoundWeights { numbers, pairs });
            operands[term].1 = pairs.cast_const();
        }
        for part in gather.parts() {
            for (term, (input, _)) in terms.iter().enumerate() {
                let numbers = &input[gather.inputs_of(&part)];
                let pairs = inputs[term].room(numbers.len().div_ceil(2));
                run_pairs(instruction_set, RoundInputs { numbers, pairs });
                operands[term].0 = pairs.cast_const();
            }
            let terms = &operands[..terms.len()];
            let product = Product { gather, start, terms, output: output.as_mut_ptr() };
            for group in part.groups {
                for (start, end, length) in tiles(group.rows.len(), TILE) {
                    let rows = &group.rows[start..end];
                    let at = At { product: &product, part, taps: &group.taps, rows };
                    match length {
                        _ if rows.is_empty() => {}
                        6 => run_pairs(instruction_set, Tiles::<6>(at)),
                        5 => run_pairs(instruction_set, Tiles::<5>(at)),
                        4 => run_pairs(instruction_set, Tiles::<4>(at)),
                        3 => run_pairs(instruction_set, Tiles::<3>(at)),
                        2 => run_pairs(instruction_set, Tiles::<2>(at)),
                        _ => run_pairs(instruction_set, Tiles::<1>(at)),
                    }
                }
            }
        }
    });
}

/// Rounds rows of weights, two of which become pairs.
struct RoundWeights<'a> {
    numbers: &'a [f32],
    pairs: *mut u32,
}

impl PairKernel for RoundWeights<'_> {
    #[inline(always)]
    unsafe fn run<S: PairSums>(self) {
        for (i, rows) in self.numbers.chunks_exact(2 * LANES).enumerate() {
            // SAFETY: there is room for half as many pairs as there are numbers.
            unsafe {
                S::round_rows(rows.as_ptr(), rows[LANES..].as_ptr(), self.pairs.add(i * LANES));
            }
        }
    }
}

/// Rounds inputs, of which neighbours become pairs.
struct RoundInputs<'a> {
    numbers: &'a [f32],
    pairs: *mut u32,
}

impl PairKernel for RoundInputs<'_> {
    #[inline(always)]
    unsafe fn run<S: PairSums>(self) {
        let (whole, rest) = self.numbers.as_chunks::<{ 2 * LANES }>();
        // SAFETY: there is room for half as many pairs as there are numbers, in whole lines.
        unsafe {
            for (i, numbers) in whole.iter().enumerate() {
                S::round_neighbours(numbers.as_ptr(), self.pairs.add(i * LANES));
            }
            if !rest.is_empty() {
                let mut last = [0.0; 2 * LANES];
                last[..rest.len()].copy_from_slice(rest);
                S::round_neighbours(last.as_ptr(), self.pairs.add(whole.len() * LANES));
            }
        }
    }
}

struct Product<'a> {
    gather: &'a Gather,
    start: Option<&'a [f32]>,
    /// Pairs of a part's inputs, and of all weights.
    terms: &'a [(*const u32, *const u32)],
    output: *mut f32,
}

/// Rows of a group, to be worked off in tiles of the same size.
#[derive(Clone, Copy)]
struct At<'a> {
    product: &'a Product<'a>,
    part: Part<'a>,
    taps: &'a [Tap],
    rows: &'a [GatherRow],
}

/// Tiles of `ROWS` rows, over all panels.
struct Tiles<'a, const ROWS: usize>(At<'a>);

impl<const ROWS: usize> PairKernel for Tiles<'_, ROWS> {
    #[inline(always)]
    unsafe fn run<S: PairSums>(self) {
        let width = self.0.product.gather.width();
        let mut column = 0;
        // SAFETY: `product` of all numbers has checked every length.
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

impl<const ROWS: usize> Tiles<'_, ROWS> {
    #[inline(always)]
    unsafe fn panels<S: PairSums, const COLUMNS: usize>(&self, column: usize) {
        for rows in self.0.rows.as_chunks::<ROWS>().0 {
            // SAFETY: as in `run`.
            unsafe { self.tile::<S, COLUMNS>(rows, column) }
        }
    }

    /// The sums of `ROWS` rows × `COLUMNS` panels of outputs.
    #[inline(always)]
    unsafe fn tile<S: PairSums, const COLUMNS: usize>(
        &self,
        rows: &[GatherRow; ROWS],
        column: usize,
    ) {
        let At { product, part, taps, .. } = self.0;
        // In pairs.
        let depth = product.gather.depth() / 2;
        let panel = product.gather.taps() * depth * LANES;
        // SAFETY: offsets were checked against the slices' lengths, of which there are half as many pairs.
        unsafe {
            let output = product.output.add(part.output + column);
            let mut sums = [[S::zero(); COLUMNS]; ROWS];
            if let Some(start) = product.start {
                for j in 0..COLUMNS {
                    let value = S::load(start.as_ptr().add(column + j * LANES));
                    for i in 0..ROWS {
                        sums[i][j] = value;
                    }
                }
            }
            for &(input, weight) in product.terms {
                let mut inputs = [input; ROWS];
                for i in 0..ROWS {
                    inputs[i] = input.add(rows[i].input as usize / 2);
                }
                let weight = weight.add(column / LANES * panel);
                for tap in taps {
                    let mut weights = weight.add(tap.index as usize * depth * LANES);
                    let mut place = tap.input as usize / 2;
                    let end = place + depth;
                    while place < end {
                        for step in 0..UNROLL {
                            let mut w = [S::splat(0); COLUMNS];
                            for j in 0..COLUMNS {
                                w[j] = S::load_pairs(weights.add(step * LANES + j * panel));
                            }
                            for i in 0..ROWS {
                                let x = S::splat(*inputs[i].add(place + step));
                                for j in 0..COLUMNS {
                                    sums[i][j] = sums[i][j].add_products(x, w[j]);
                                }
                            }
                        }
                        weights = weights.wrapping_add(UNROLL * LANES);
                        place += UNROLL;
                    }
                }
            }
            for i in 0..ROWS {
                for j in 0..COLUMNS {
                    sums[i][j].store(output.add(rows[i].output as usize + j * LANES));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::bfloat16::tests::rounded;
    use crate::kernels::gather::{Blocks, panels};
    use crate::kernels::test_support::{numbers, same_bits};
    use crate::kernels::{Group, product};
    use proptest::prelude::*;

    /// The pseudo-code above, to the letter, with weights in panels.
    fn naive(
        gather: &Gather,
        start: Option<&[f32]>,
        terms: &[(&[f32], &[f32])],
        output: &mut [f32],
    ) {
        let (depth, width) = (gather.depth(), gather.width());
        let mut place_of = vec![0; gather.weight_len()];
        for (place, plain) in panels(gather.taps() * depth, width).enumerate() {
            place_of[plain] = place;
        }
        for part in gather.parts() {
            let rows =
                part.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
            for (group, row) in rows {
                for n in 0..width {
                    let mut sum = start.map_or(0.0, |start| start[n]);
                    for (input, weight) in terms {
                        for tap in &group.taps {
                            for c in (0..depth).step_by(2).flat_map(|c| [c + 1, c]) {
                                let x = input[part.input + (row.input + tap.input) as usize + c];
                                let w =
                                    weight[place_of[(tap.index as usize * depth + c) * width + n]];
                                sum = rounded(x).mul_add(rounded(w), sum);
                            }
                        }
                    }
                    output[part.output + row.output as usize + n] = sum;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 0usize..15, rest in 0usize..9, depth in 1usize..4, width in 1usize..8, taps in 1usize..4,
            terms in 1usize..3, started: bool, seed: u64,
        ) {
            let (depth, width) = (16 * depth, 16 * width);
            let plan = |rows: usize| {
                let taps: Vec<Tap> =
                    (0..taps).map(|t| Tap { input: (t * depth) as u32, index: (taps - 1 - t) as u32 }).collect();
                let row = |i: usize| GatherRow { input: (i * depth) as u32, output: ((rows - 1 - i) * width) as u32 };
                vec![Group { taps, rows: (0..rows).map(row).collect() }]
            };
            // Images of a block share no inputs.
            let blocks = Blocks { whole: 2, input: (rows + taps) * depth, output: rows * width };
            let gather = Gather::new(plan(rows), plan(rest), blocks, (taps, depth, width)).rounding(true);
            let (input_len, weight_len) = (gather.input_len() + 7, gather.weight_len() + 3);
            let data = numbers(seed, input_len + weight_len + width);
            let (input, others) = data.split_at(input_len);
            let (weight, start) = others.split_at(weight_len);
            let all = [(input, weight), (&input[7..], &weight[3..])];
            let start = started.then_some(start);
            let mut expected = vec![f32::NAN; gather.output_len()];
            naive(&gather, start, &all[..terms], &mut expected);
            for instruction_set in InstructionSet::available() {
                let mut output = vec![f32::NAN; gather.output_len()];
                product(instruction_set, &gather, start, &all[..terms], &mut output);
                prop_assert!(same_bits(&output, &expected), "{instruction_set}");
            }
        }
    }
}
