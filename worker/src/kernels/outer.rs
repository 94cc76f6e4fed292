//! Sums of outer products: the gradient of a gathered product by its weights.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for tap, c, n:
//!     output[tap, c, n] = 0
//!     for block of the rows that have this tap, (input, cotangent) in terms:
//!         sum = 0
//!         for row in block:
//!             sum = fma(input[row + tap + c], cotangent[row + n], sum)
//!         output[tap, c, n] += sum
//! ```
//!
//! Blocks keep both operands in the cache, and long sums from losing digits. A block's operands are packed side by
//! side first, which costs a copy of each number for the sixty-four products that it is in. Taps of a shallow input
//! are packed together, zeros standing for what lies beyond the border, and make one deep tap.

mod plan;

pub(crate) use plan::Outer;

use std::mem::MaybeUninit;
use std::ops::Range;

use super::gather::{Part, tiles};
use super::lanes::{LANES, Lanes, load, store};
use super::prefetch::Ahead;
use super::real::Real;
use super::{Gather, InstructionSet, Kernel};
use plan::{BEYOND, Block, Chunk, ROWS, STRIDE};

/// Panels of sixteen output columns that are packed at a time.
const PANELS: usize = 4;

/// Input columns of a tile.
const TILE: usize = 6;

/// Cache lines of the next block that are asked for with each tile: so many that they are there in time.
const AHEAD: usize = 6;

/// `output = Σ over terms of inputᵀ · cotangent`, tap by tap, in panels as the weights are. Each term is
/// `(input, cotangent)`.
///
/// # Panics
/// Where a slice is shorter than the furthest offset.
pub(crate) fn outer_product<T: Real>(
    instruction_set: InstructionSet,
    outer: &Outer,
    terms: &[(&[T], &[T])],
    output: &mut [T],
) {
    for (input, cotangent) in terms {
        outer.gather.check(input.len(), output.len(), cotangent.len());
    }
    let Outer { gather, blocks } = outer;
    output[..gather.weight_len()].fill(T::ZERO);
    let mut packed = MaybeUninit::<Packed<T>>::uninit();
    // SAFETY: both fields are arrays of `MaybeUninit`, which may hold anything.
    let packed = unsafe { packed.assume_init_mut() };
    for first in (0..gather.width()).step_by(PANELS * LANES) {
        let columns = first..gather.width().min(first + PANELS * LANES);
        let of_part = |part: Part<'_>| (part.input, part.output, &blocks[usize::from(part.last)]);
        let mut all = gather.parts().map(of_part).flat_map(|(input, output, blocks)| {
            blocks.iter().map(move |block| (input, output, block))
        });
        let mut next = all.next();
        while let Some((part_input, part_output, block)) = next {
            next = all.next();
            let range = next.as_ref().map_or(0..0, |&(part_input, _, block)| {
                part_input + block.inputs.start..part_input + block.inputs.end
            });
            for (input, cotangent) in terms {
                let ahead = Ahead::new(input, range.clone());
                let cotangent = &cotangent[part_output..];
                let columns = columns.clone();
                let pack = PackCotangents { packed, block, cotangent, columns: columns.clone() };
                T::dispatch(instruction_set, pack);
                for chunk in &block.chunks {
                    packed.take_inputs(chunk, &input[part_input..]);
                    let columns = columns.clone();
                    let sums = Sums { packed, chunk, gather, columns, ahead: &ahead };
                    sums.add_to(instruction_set, output);
                }
            }
        }
    }
}

/// A block's operands side by side: `[rows, STRIDE]` of the inputs, `[panels, ROWS, 16]` of the cotangents.
struct Packed<T> {
    inputs: [MaybeUninit<T>; ROWS * STRIDE],
    cotangents: [MaybeUninit<T>; PANELS * ROWS * LANES],
}

impl<T: Real> Packed<T> {
    /// Copies the inputs of a chunk, row by row.
    fn take_inputs(&mut self, chunk: &Chunk, input: &[T]) {
        let Chunk { depth, taps, .. } = *chunk;
        let mut to: *mut T = self.inputs.as_mut_ptr().cast();
        for places in chunk.inputs.chunks_exact(taps) {
            for (tap, &place) in places.iter().enumerate() {
                // SAFETY: a chunk has at most `ROWS` rows of `taps · depth` ≤ `COLUMNS` numbers, and the inputs' length
                // was checked.
                unsafe {
                    let to = to.add(tap * depth);
                    if place == BEYOND {
                        std::slice::from_raw_parts_mut(to, depth).fill(T::ZERO);
                    } else {
                        to.copy_from_nonoverlapping(input.as_ptr().add(place as usize), depth);
                    }
                }
            }
            to = to.wrapping_add(STRIDE);
        }
    }
}

/// Copies some columns of a block's cotangents, panel by panel.
struct PackCotangents<'a, T> {
    packed: &'a mut Packed<T>,
    block: &'a Block,
    cotangent: &'a [T],
    columns: Range<usize>,
}

impl<T: Real> Kernel<T> for PackCotangents<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let to: *mut T = self.packed.cotangents.as_mut_ptr().cast();
        for (row, &place) in self.block.cotangents.iter().enumerate() {
            let mut panel = 0;
            while panel * LANES < self.columns.len() {
                let column = self.columns.start + panel * LANES;
                let count = LANES.min(self.columns.end - column);
                // SAFETY: a block has at most `ROWS` rows and `columns` spans at most `PANELS` panels; the cotangents'
                // length was checked.
                unsafe {
                    let from = self.cotangent.as_ptr().add(place as usize + column);
                    load::<L>(from, count).store(to.add((panel * ROWS + row) * LANES));
                }
                panel += 1;
            }
        }
    }
}

/// The products of what was packed.
struct Sums<'a, T> {
    packed: &'a Packed<T>,
    chunk: &'a Chunk,
    gather: &'a Gather,
    columns: Range<usize>,
    /// The next block's inputs.
    ahead: &'a Ahead<T>,
}

impl<T: Real> Sums<'_, T> {
    fn add_to(&self, instruction_set: InstructionSet, output: &mut [T]) {
        let output = output.as_mut_ptr();
        for (start, end, length) in tiles(self.chunk.taps * self.chunk.depth, TILE) {
            let at = At { sums: self, columns: start..end, output };
            match length {
                _ if start == end => {}
                6 => T::dispatch(instruction_set, Tiles::<T, 6>(at)),
                5 => T::dispatch(instruction_set, Tiles::<T, 5>(at)),
                4 => T::dispatch(instruction_set, Tiles::<T, 4>(at)),
                3 => T::dispatch(instruction_set, Tiles::<T, 3>(at)),
                2 => T::dispatch(instruction_set, Tiles::<T, 2>(at)),
                _ => T::dispatch(instruction_set, Tiles::<T, 1>(at)),
            }
        }
    }
}

/// Some columns of the packed inputs, to be worked off in tiles of the same size.
struct At<'a, T> {
    sums: &'a Sums<'a, T>,
    columns: Range<usize>,
    output: *mut T,
}

/// Tiles of `WIDTH` input columns: each is a function of its own, small enough that the compiler keeps the sums in
/// registers.
struct Tiles<'a, T, const WIDTH: usize>(At<'a, T>);

impl<T: Real, const WIDTH: usize> Kernel<T> for Tiles<'_, T, WIDTH> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let panels = self.0.sums.columns.len().div_ceil(LANES);
        let mut panel = 0;
        // SAFETY: `outer_product` has checked every length, and the caller has the instructions.
        unsafe {
            while panel < panels {
                let whole = self.0.sums.columns.len() == PANELS * LANES;
                if whole && PANELS * (TILE + 1) < L::REGISTERS {
                    self.panels::<L, PANELS>(panel);
                    panel += PANELS;
                } else {
                    self.panels::<L, 1>(panel);
                    panel += 1;
                }
            }
        }
    }
}

impl<T: Real, const WIDTH: usize> Tiles<'_, T, WIDTH> {
    /// All tiles of the `COLUMNS` panels from `panel` on.
    #[inline(always)]
    unsafe fn panels<L: Lanes<Scalar = T>, const COLUMNS: usize>(&self, panel: usize) {
        let Sums { packed, chunk, gather, columns, ahead } = self.0.sums;
        let rows_of_weights = gather.taps() * gather.depth();
        let column = columns.start + panel * LANES;
        let width = LANES.min(columns.end - column);
        // SAFETY: the chunk's columns and the panels are those that were packed; a partial panel is stored in its first
        // lanes alone.
        unsafe {
            let to = self.0.output.add(column * rows_of_weights + chunk.weight * width);
            let cotangents: *const T = packed.cotangents.as_ptr().cast();
            let cotangents = cotangents.add(panel * ROWS * LANES);
            let mut start = self.0.columns.start;
            while start < self.0.columns.end {
                ahead.ask::<L>(AHEAD);
                let mut x: *const T = packed.inputs.as_ptr().cast::<T>().add(start);
                let mut sums = [[L::splat(T::ZERO); COLUMNS]; WIDTH];
                for &row in &chunk.rows {
                    let dy = cotangents.add(row as usize * LANES);
                    let mut d = [L::splat(T::ZERO); COLUMNS];
                    for (j, d) in d.iter_mut().enumerate() {
                        *d = L::load(dy.add(j * ROWS * LANES));
                    }
                    for i in 0..WIDTH {
                        let x = L::splat(*x.add(i));
                        for j in 0..COLUMNS {
                            sums[i][j] = sums[i][j].mul_add(x, d[j]);
                        }
                    }
                    x = x.wrapping_add(STRIDE);
                }
                let to = to.add(start * width);
                for (i, sums) in sums.iter().enumerate() {
                    for (j, sum) in sums.iter().enumerate() {
                        let to = to.add(j * rows_of_weights * LANES + i * width);
                        store(load::<L>(to, width).add(*sum), to, width);
                    }
                }
                start += WIDTH;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gather::{evenly, panels};
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    /// The pseudo-code above, for a matrix product.
    fn naive(
        (rows, depth, width): (usize, usize, usize),
        terms: &[(&[f32], &[f32])],
        output: &mut [f32],
    ) {
        for (place, plain) in panels(depth, width).enumerate() {
            let (c, n) = (plain / width, plain % width);
            output[place] = 0.0;
            for (start, length) in evenly(rows, ROWS) {
                for (input, cotangent) in terms {
                    let mut sum = 0.0f32;
                    for row in start..start + length {
                        sum = input[row * depth + c].mul_add(cotangent[row * width + n], sum);
                    }
                    output[place] += sum;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 1usize..300, depth in 1usize..90, width in 1usize..90, terms in 1usize..3, seed: u64,
        ) {
            let outer = Outer::of(&Gather::matrix(rows, depth, width));
            let data = numbers(seed, rows * (depth + width) + 16);
            let (input, cotangent) = data.split_at(rows * depth + 7);
            let all = [(input, cotangent), (&input[7..], &cotangent[3..])];
            let mut expected = vec![f32::NAN; depth * width];
            naive((rows, depth, width), &all[..terms], &mut expected);
            for instruction_set in InstructionSet::available() {
                let mut output = vec![f32::NAN; depth * width];
                outer_product(instruction_set, &outer, &all[..terms], &mut output);
                prop_assert!(same_bits(&output, &expected), "{instruction_set}");
            }
        }
    }
}
