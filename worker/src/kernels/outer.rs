//! Sums of outer products: the gradient of a gathered product by its weights.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for tap, c, n:
//!     for block of the rows that have this tap, (input, cotangent) in terms:
//!         sum = 0
//!         for row in block:
//!             sum = fma(input[row + tap + c], cotangent[row + n], sum)
//!         output[tap, c, n] = sum in the first block's first term, then output[tap, c, n] + sum
//! ```
//!
//! Blocks keep both operands in the cache, and long sums from losing digits. Where registers are many, a tile spans a
//! whole row of cotangents, and both operands are read where they lie; where they are few, a block's operands are
//! packed side by side first, as their lines would compete for the same places of the cache. The blocks of a deep input
//! are rows in the order that they lie in; those of a shallow one are rows of one group, whose taps make one tile.

mod packed;
mod plan;
mod rounded;
mod tile;

pub(crate) use plan::Outer;

use std::mem::MaybeUninit;
use std::ops::Range;

use super::bfloat16::{as_f32_mut, terms_as_f32};
use super::gather::{Part, evenly};
use super::lanes::{LANES, Lanes};
use super::prefetch::Ahead;
use super::real::Real;
use super::{InstructionSet, Kernel};
use packed::{PackCotangents, PackInputs, Packed};
use plan::{Block, Chunk, ROWS};
use tile::TILE;
pub(super) use tile::{Columns, ONE_TAP, Operands, Sums, Target};

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
    if outer.is_shallow() {
        // A group does not have all taps.
        output[..outer.gather.weight_len()].fill(T::ZERO);
        add_outer_product(instruction_set, outer, terms, output);
    } else {
        sum_up(instruction_set, outer, terms, (output, true));
    }
}

/// As [`outer_product`], added to what `output` holds.
pub(crate) fn add_outer_product<T: Real>(
    instruction_set: InstructionSet,
    outer: &Outer,
    terms: &[(&[T], &[T])],
    output: &mut [T],
) {
    sum_up(instruction_set, outer, terms, (output, false));
}

fn sum_up<T: Real>(
    instruction_set: InstructionSet,
    outer: &Outer,
    terms: &[(&[T], &[T])],
    (output, is_blank): (&mut [T], bool),
) {
    for (input, cotangent) in terms {
        outer.gather.check(input.len(), output.len(), cotangent.len());
    }
    if outer.gather.is_rounding()
        && let Some(output) = as_f32_mut(output)
    {
        let (count, terms) = (terms.len(), terms_as_f32(terms));
        let target = Target::new(outer.rows(), output, is_blank);
        return Product { instruction_set, outer, terms: &terms[..count], target }.rounded();
    }
    let target = Target::new(outer.rows(), output, is_blank);
    let product = Product { instruction_set, outer, terms, target };
    if outer.is_shallow() {
        product.of_shallow();
    } else if T::dispatch(instruction_set, ManyRegisters) {
        product.in_place();
    } else {
        product.packed();
    }
}

/// Whether a tile may span several panels.
struct ManyRegisters;

impl<T: Real> Kernel<T> for ManyRegisters {
    type Output = bool;

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) -> bool {
        tile::spans_panels::<L>()
    }
}

struct Product<'a, T> {
    instruction_set: InstructionSet,
    outer: &'a Outer,
    terms: &'a [(&'a [T], &'a [T])],
    target: Target<T>,
}

impl<T: Real> Product<'_, T> {
    /// Group by group: all taps of a block's rows at once.
    fn of_shallow(&self) {
        let gather = &self.outer.gather;
        let ahead = Ahead::none();
        for part in gather.parts() {
            for group in part.groups {
                for (start, length) in evenly(group.rows.len(), ROWS) {
                    for (input, cotangent) in self.terms {
                        let operands = Operands {
                            input: input[part.input..].as_ptr(),
                            cotangent: cotangent[part.output..].as_ptr(),
                            rows: &group.rows[start..start + length],
                            panel: LANES,
                            padded: false,
                        };
                        let columns =
                            Columns { taps: &group.taps, depth: gather.depth(), weight: 0 };
                        let width = 0..gather.width();
                        let sums = Sums { operands, columns, width, target: self.target };
                        sums.add(self.instruction_set, &ahead);
                    }
                }
            }
        }
    }

    /// Block by block and tap by tap, from where the operands lie.
    fn in_place(&self) {
        let width = self.outer.gather.width();
        self.each_block(|block, part, next, target| {
            for (term, (input, cotangent)) in self.terms.iter().enumerate() {
                let target = target.after(term);
                let ahead = Ahead::new(input, next.clone(), 1);
                for chunk in &block.chunks {
                    let operands = Operands {
                        input: input[part.input..].as_ptr(),
                        cotangent: cotangent[part.output..].as_ptr(),
                        rows: &chunk.rows,
                        panel: LANES,
                        padded: false,
                    };
                    self.add(chunk, operands, 0..width, (target, &ahead));
                }
            }
        });
    }

    /// Block by block and tap by tap, from copies side by side.
    fn packed(&self) {
        let mut packed = MaybeUninit::<Packed<T>>::uninit();
        // SAFETY: both fields are arrays of `MaybeUninit`, which may hold anything.
        let packed = unsafe { packed.assume_init_mut() };
        let width = self.outer.gather.width();
        for first in (0..width).step_by(packed::SPAN) {
            let columns = first..width.min(first + packed::SPAN);
            self.each_block(|block, part, next, target| {
                for (term, (input, cotangent)) in self.terms.iter().enumerate() {
                    let target = target.after(term);
                    let ahead = Ahead::new(input, next.clone(), tiles(block));
                    let (input, cotangent) = (&input[part.input..], &cotangent[part.output..]);
                    let (rows, columns) = (&block.cotangents, columns.clone());
                    let pack = PackCotangents { packed, rows, cotangent, columns: columns.clone() };
                    T::dispatch(self.instruction_set, pack);
                    for chunk in &block.chunks {
                        T::dispatch(self.instruction_set, PackInputs { packed, chunk, input });
                        let operands = packed.operands(chunk);
                        self.add(chunk, operands, columns.clone(), (target, &ahead));
                    }
                }
            });
        }
    }

    /// Every block with its part, where the next block's inputs lie, and the target: the first block has all taps, and
    /// writes where the others add.
    fn each_block(&self, mut work: impl FnMut(&Block, Part<'_>, Range<usize>, Target<T>)) {
        let mut target = self.target;
        let blocks_of = |part: Part<'_>| &self.outer.blocks[usize::from(part.last)];
        let parts = self.outer.gather.parts();
        let mut blocks =
            parts.flat_map(|part| blocks_of(part).iter().map(move |block| (part, block)));
        let mut next = blocks.next();
        while let Some((part, block)) = next {
            next = blocks.next();
            let inputs = next.map_or(0..0, |(part, block)| {
                part.input + block.inputs.start..part.input + block.inputs.end
            });
            work(block, part, inputs, target);
            target = target.after(1);
        }
    }

    fn add(
        &self,
        chunk: &Chunk,
        operands: Operands<'_, T>,
        width: Range<usize>,
        (target, ahead): (Target<T>, &Ahead<T>),
    ) {
        let columns = Columns { taps: ONE_TAP, depth: chunk.depth, weight: chunk.weight };
        Sums { operands, columns, width, target }.add(self.instruction_set, ahead);
    }
}

/// How many tiles of inputs a block takes.
fn tiles(block: &Block) -> usize {
    block.chunks.iter().map(|chunk| chunk.depth.div_ceil(TILE)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Gather;
    use crate::kernels::gather::panels;
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
            for (start, length) in evenly(rows, ROWS) {
                for (term, (input, cotangent)) in terms.iter().enumerate() {
                    let mut sum = 0.0f32;
                    for row in start..start + length {
                        sum = input[row * depth + c].mul_add(cotangent[row * width + n], sum);
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
