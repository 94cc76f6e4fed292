//! Gathered products: convolutions, their gradients by the input, and matrix products.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for row, n:
//!     sum = start[n]
//!     for (input, weight) in terms, tap in taps of row, c in 0..depth:
//!         sum = fma(input[row + tap + c], weight[tap, c, n], sum)
//!     output[row + n] = sum
//! ```
//!
//! A tile computes up to six rows times up to four panels of outputs, all of its sums in registers. Tiles go down the
//! rows of a group while a slice of the panel's weights stays in the first-level cache; sums wait in the output for the
//! next slice, which rounds nothing.

use super::bfloat16::{as_f32, as_f32_mut, terms_as_f32};
use super::gather::{Part, tiles};
use super::lanes::{LANES, Lanes, load, store};
use super::prefetch::Ahead;
use super::real::Real;
use super::{Gather, GatherRow, InstructionSet, Kernel, Tap};

mod rounded;

/// Numbers of the depth that a loop takes at a time.
const UNROLL: usize = 4;

/// Rows of a tile.
const TILE: usize = 6;

/// Weights of a slice, in numbers: half of the first-level cache.
const SLICE: usize = 4096;

/// `output = start + Σ over terms of input · weight`, gathered as `gather` says.
///
/// `start` is `[width]`, added to every row; zero where absent. Each term is `(input, weight)`.
///
/// # Panics
/// Where a slice is shorter than the gather's furthest offset, or there are no terms.
pub(crate) fn product<T: Real>(
    instruction_set: InstructionSet,
    gather: &Gather,
    start: Option<&[T]>,
    terms: &[(&[T], &[T])],
    output: &mut [T],
) {
    assert!(!terms.is_empty(), "a product has terms");
    for (input, weight) in terms {
        gather.check(input.len(), weight.len(), output.len());
    }
    if let Some(start) = start {
        assert!(start.len() >= gather.width(), "the sums start from a row of outputs");
    }
    if gather.is_rounding()
        && let Some(output) = as_f32_mut(output)
    {
        let (count, terms) = (terms.len(), terms_as_f32(terms));
        let start = start.and_then(as_f32);
        return rounded::product(instruction_set, gather, start, &terms[..count], output);
    }
    let output = output.as_mut_ptr();
    for part in gather.parts() {
        let ahead = Ahead::new(terms[0].0, gather.inputs_behind(&part), tiles_of(&part));
        let product = Product { gather, start, terms, output, ahead };
        for group in part.groups {
            for (start, end, length) in tiles(group.rows.len(), TILE) {
                let rows = &group.rows[start..end];
                let at = At { product: &product, part, taps: &group.taps, rows };
                match length {
                    _ if rows.is_empty() => {}
                    6 => at.run::<6>(instruction_set),
                    5 => at.run::<5>(instruction_set),
                    4 => at.run::<4>(instruction_set),
                    3 => at.run::<3>(instruction_set),
                    2 => at.run::<2>(instruction_set),
                    _ => at.run::<1>(instruction_set),
                }
            }
        }
    }
}

/// How many tiles of rows a part has.
fn tiles_of(part: &Part<'_>) -> usize {
    part.groups.iter().map(|group| group.rows.len().div_ceil(TILE)).sum()
}

struct Product<'a, T> {
    gather: &'a Gather,
    start: Option<&'a [T]>,
    terms: &'a [(&'a [T], &'a [T])],
    output: *mut T,
    /// The next part's inputs, whose rows are too scattered for the machine to foresee.
    ahead: Ahead<T>,
}

/// Rows of a group, to be worked off in tiles of the same size.
#[derive(Clone, Copy)]
struct At<'a, T> {
    product: &'a Product<'a, T>,
    part: Part<'a>,
    taps: &'a [Tap],
    rows: &'a [GatherRow],
}

impl<T: Real> At<'_, T> {
    fn run<const ROWS: usize>(self, instruction_set: InstructionSet) {
        let width = self.product.gather.width();
        if width >= LANES {
            T::dispatch(instruction_set, Tiles::<T, ROWS, true>(self));
        }
        if !width.is_multiple_of(LANES) {
            T::dispatch(instruction_set, Tiles::<T, ROWS, false>(self));
        }
    }
}

/// Tiles of `ROWS` rows, over all whole panels or over the narrow last one. Each is a function of its own, small enough
/// that the compiler keeps the sums in registers.
struct Tiles<'a, T, const ROWS: usize, const WHOLE: bool>(At<'a, T>);

impl<T: Real, const ROWS: usize, const WHOLE: bool> Kernel<T> for Tiles<'_, T, ROWS, WHOLE> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let width = self.0.product.gather.width();
        let whole = width / LANES * LANES;
        // SAFETY: `product` has checked every length, and the caller has the instructions.
        unsafe {
            if WHOLE {
                let mut column = 0;
                while column + 4 * LANES <= whole && 4 * (TILE + 1) < L::REGISTERS {
                    self.panels::<L, 4>(column, LANES);
                    column += 4 * LANES;
                }
                while column < whole {
                    self.panels::<L, 1>(column, LANES);
                    column += LANES;
                }
            } else {
                self.panels::<L, 1>(whole, width - whole);
            }
        }
    }
}

/// A slice of the sum, and whether it is the first one.
struct Slice<'s, T> {
    terms: &'s [(&'s [T], &'s [T])],
    taps: &'s [Tap],
    first: bool,
}

impl<T: Real, const ROWS: usize, const WHOLE: bool> Tiles<'_, T, ROWS, WHOLE> {
    /// The `COLUMNS` panels from `column` on, of which the last has `last` columns, slice by slice.
    #[inline(always)]
    unsafe fn panels<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        column: usize,
        last: usize,
    ) {
        let At { product, taps, rows, .. } = self.0;
        let numbers = product.gather.depth() * COLUMNS * LANES;
        // One tile reads its weights once, and a wide one reads them slowly enough for the second-level cache; others share
        // slices.
        let alone = rows.len() == ROWS || taps.is_empty() || COLUMNS > 1;
        let (terms_a_slice, taps_a_slice) = if alone {
            (product.terms.len(), taps.len().max(1))
        } else {
            (1, (SLICE / numbers.max(1)).max(1))
        };
        let mut first = true;
        for terms in product.terms.chunks(terms_a_slice) {
            let mut begin = 0;
            while begin < taps.len() || first {
                let end = taps.len().min(begin + taps_a_slice);
                let slice = Slice { terms, taps: &taps[begin..end], first };
                for rows in rows.as_chunks::<ROWS>().0 {
                    // SAFETY: as in `run`.
                    unsafe {
                        // Wide tiles take long enough for the machine to foresee their rows.
                        if COLUMNS == 1 {
                            product.ahead.ask::<L>();
                        }
                        self.tile::<L, COLUMNS>(rows, &slice, column, last);
                    }
                }
                first = false;
                begin = end;
            }
        }
    }

    /// A slice of the sums of `ROWS` rows × `COLUMNS` panels of outputs.
    #[inline(always)]
    unsafe fn tile<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        rows: &[GatherRow; ROWS],
        slice: &Slice<'_, T>,
        column: usize,
        last: usize,
    ) {
        let At { product, part, .. } = self.0;
        let depth = product.gather.depth();
        let panel = product.gather.taps() * depth * LANES;
        let width = if WHOLE { LANES } else { last };
        // SAFETY: offsets were checked against the slices' lengths; a partial vector touches its first lanes alone.
        unsafe {
            let output = product.output.add(part.output + column);
            let mut sums = [[L::splat(T::ZERO); COLUMNS]; ROWS];
            if !slice.first {
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        let from = output.add(rows[i].output as usize + j * LANES);
                        sums[i][j] = load::<L>(from, width);
                    }
                }
            } else if let Some(start) = product.start {
                for j in 0..COLUMNS {
                    let value = load::<L>(start.as_ptr().add(column + j * LANES), width);
                    for i in 0..ROWS {
                        sums[i][j] = value;
                    }
                }
            }
            for (input, weight) in slice.terms {
                let mut inputs = [input.as_ptr(); ROWS];
                for i in 0..ROWS {
                    inputs[i] = inputs[i].add(part.input + rows[i].input as usize);
                }
                let weight = weight.as_ptr().add(column / LANES * panel);
                for tap in slice.taps {
                    let mut weights = weight.add(tap.index as usize * depth * width);
                    let mut place = tap.input as usize;
                    let end = place + depth;
                    while place + UNROLL <= end {
                        for step in 0..UNROLL {
                            let mut w = [L::splat(T::ZERO); COLUMNS];
                            for j in 0..COLUMNS {
                                w[j] = load::<L>(weights.add(step * width + j * panel), width);
                            }
                            for i in 0..ROWS {
                                let x = L::splat(*inputs[i].add(place + step));
                                for j in 0..COLUMNS {
                                    sums[i][j] = sums[i][j].mul_add(x, w[j]);
                                }
                            }
                        }
                        weights = weights.wrapping_add(UNROLL * width);
                        place += UNROLL;
                    }
                    while place < end {
                        let mut w = [L::splat(T::ZERO); COLUMNS];
                        for j in 0..COLUMNS {
                            w[j] = load::<L>(weights.add(j * panel), width);
                        }
                        for i in 0..ROWS {
                            let x = L::splat(*inputs[i].add(place));
                            for j in 0..COLUMNS {
                                sums[i][j] = sums[i][j].mul_add(x, w[j]);
                            }
                        }
                        weights = weights.wrapping_add(width);
                        place += 1;
                    }
                }
            }
            for i in 0..ROWS {
                for j in 0..COLUMNS {
                    store(sums[i][j], output.add(rows[i].output as usize + j * LANES), width);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Group;
    use crate::kernels::gather::{Blocks, panels};
    use crate::kernels::test_support::{numbers, same_bits};
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
            for group in part.groups {
                for row in &group.rows {
                    for n in 0..width {
                        let mut sum = start.map_or(0.0, |start| start[n]);
                        for (input, weight) in terms {
                            for tap in &group.taps {
                                for c in 0..depth {
                                    let x =
                                        input[part.input + (row.input + tap.input) as usize + c];
                                    let plain = (tap.index as usize * depth + c) * width + n;
                                    sum = x.mul_add(weight[place_of[plain]], sum);
                                }
                            }
                        }
                        output[part.output + row.output as usize + n] = sum;
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 0usize..15, rest in 0usize..9, depth in 1usize..9, width in 1usize..90, taps in 1usize..4,
            terms in 1usize..3, started: bool, seed: u64, wide: bool,
        ) {
            // A wide depth makes a sum of several slices.
            let depth = if wide { 40 * depth } else { depth };
            let plan = |rows: usize| {
                let taps: Vec<Tap> =
                    (0..taps).map(|t| Tap { input: (t * depth) as u32, index: (taps - 1 - t) as u32 }).collect();
                let row = |i: usize| GatherRow { input: (i * depth) as u32, output: ((rows - 1 - i) * width) as u32 };
                vec![Group { taps, rows: (0..rows).map(row).collect() }]
            };
            let blocks = Blocks { whole: 2, input: rows * depth, output: rows * width };
            let gather = Gather::new(plan(rows), plan(rest), blocks, (taps, depth, width));
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
