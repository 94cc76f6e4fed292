//! Sums of outer products: the gradient of a gathered product by its weights.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for tap, c, n:
//!     for block of 64 of the rows that have this tap:
//!         sum = 0
//!         for (input, cotangent) in terms, row in block:
//!             sum = fma(input[row + tap + c], cotangent[row + n], sum)
//!         output[tap + c · width + n] += sum             (= at the first block)
//! ```
//!
//! Blocks keep both operands in the cache, and long sums from losing digits.

use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::{Gather, InstructionSet, Kernel};

/// Rows summed in registers before they are added to what is there.
const BLOCK: usize = 64;

/// One row of one tap: where the input and the cotangent begin.
#[derive(Clone, Copy, Debug)]
struct Pair {
    input: u32,
    cotangent: u32,
}

/// The gradient of a [`Gather`] by its weights: for each tap, the rows that have it.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    /// (where the tap's weights begin, its rows in ascending order)
    taps: Vec<(usize, Vec<Pair>)>,
    depth: usize,
    width: usize,
    input_len: usize,
    cotangent_len: usize,
    output_len: usize,
}

impl Outer {
    /// The gradient by the weights of `gather`, whose output's cotangent lies as the output does.
    pub(crate) fn of(gather: &Gather) -> Self {
        let (depth, width) = (gather.depth(), gather.width());
        let mut taps = std::collections::BTreeMap::<u32, Vec<Pair>>::new();
        for group in gather.groups() {
            for tap in &group.taps {
                let pair = |row: &super::GatherRow| Pair {
                    input: row.input + tap.input,
                    cotangent: row.output,
                };
                taps.entry(tap.weight).or_default().extend(group.rows.iter().map(pair));
            }
        }
        let mut outer =
            Self { taps: Vec::new(), depth, width, input_len: 0, cotangent_len: 0, output_len: 0 };
        for (weight, mut pairs) in taps {
            pairs.sort_unstable_by_key(|pair| pair.cotangent);
            for pair in &pairs {
                outer.input_len = outer.input_len.max(pair.input as usize + depth);
                outer.cotangent_len = outer.cotangent_len.max(pair.cotangent as usize + width);
            }
            outer.output_len = outer.output_len.max(weight as usize + depth * width);
            outer.taps.push((weight as usize, pairs));
        }
        outer
    }
}

/// `output = Σ over terms of inputᵀ · cotangent`, tap by tap. Each term is `(input, cotangent)`.
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
        assert!(input.len() >= outer.input_len, "the input is long enough");
        assert!(cotangent.len() >= outer.cotangent_len, "the cotangent is long enough");
    }
    assert!(output.len() >= outer.output_len, "the output is long enough");
    T::dispatch(instruction_set, OuterProduct { outer, terms, output: output.as_mut_ptr() });
}

struct OuterProduct<'a, T> {
    outer: &'a Outer,
    terms: &'a [(&'a [T], &'a [T])],
    output: *mut T,
}

impl<T: Real> Kernel<T> for OuterProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let Outer { depth, .. } = *self.outer;
        for (weight, pairs) in &self.outer.taps {
            for (block, pairs) in pairs.chunks(BLOCK).enumerate() {
                let at = Tile { weight: *weight, pairs, first: block == 0 };
                let mut c = 0;
                // SAFETY: `outer_product` has checked every length, and the caller has the instructions.
                unsafe {
                    while c + 6 <= depth {
                        row_block::<L, 6>(&self, &at, c);
                        c += 6;
                    }
                    match depth - c {
                        5 => row_block::<L, 5>(&self, &at, c),
                        4 => row_block::<L, 4>(&self, &at, c),
                        3 => row_block::<L, 3>(&self, &at, c),
                        2 => row_block::<L, 2>(&self, &at, c),
                        1 => row_block::<L, 1>(&self, &at, c),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// What all tiles of one block of one tap share.
struct Tile<'a> {
    weight: usize,
    pairs: &'a [Pair],
    first: bool,
}

#[inline(always)]
unsafe fn row_block<L: Lanes, const ROWS: usize>(
    product: &OuterProduct<'_, L::Scalar>,
    at: &Tile<'_>,
    c: usize,
) {
    let width = product.outer.width;
    let whole = width / LANES * LANES;
    let mut column = 0;
    // SAFETY: as in `run`; columns stay below the width.
    unsafe {
        while column + 4 * LANES <= whole && 4 * (ROWS + 1) < L::REGISTERS.max(9) {
            tile::<L, ROWS, 4>(product, at, c, column, LANES);
            column += 4 * LANES;
        }
        while column + 2 * LANES <= whole && 2 * (ROWS + 1) < L::REGISTERS {
            tile::<L, ROWS, 2>(product, at, c, column, LANES);
            column += 2 * LANES;
        }
        while column < whole {
            tile::<L, ROWS, 1>(product, at, c, column, LANES);
            column += LANES;
        }
        if column < width {
            tile::<L, ROWS, 1>(product, at, c, column, width - column);
        }
    }
}

/// `ROWS` input channels × `COLUMNS` vectors of outputs; of the last vector the first `last` lanes.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &OuterProduct<'_, L::Scalar>,
    at: &Tile<'_>,
    c: usize,
    column: usize,
    last: usize,
) {
    // SAFETY: offsets were checked against the slices' lengths; a partial vector touches its first lanes alone.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); COLUMNS]; ROWS];
        for (input, cotangent) in product.terms {
            let (input, cotangent) = (input.as_ptr().add(c), cotangent.as_ptr().add(column));
            for pair in at.pairs {
                let (x, dy) =
                    (input.add(pair.input as usize), cotangent.add(pair.cotangent as usize));
                let mut d = [L::splat(L::Scalar::ZERO); COLUMNS];
                for (j, d) in d.iter_mut().enumerate() {
                    *d = load::<L>(dy.add(j * LANES), last);
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let x = L::splat(*x.add(i));
                    for (sum, d) in sums.iter_mut().zip(d) {
                        *sum = sum.mul_add(x, d);
                    }
                }
            }
        }
        let output = product.output.add(at.weight + column);
        for (i, sum) in sums.iter().enumerate() {
            for (j, value) in sum.iter().enumerate() {
                let to = output.add((c + i) * product.outer.width + j * LANES);
                let value = if at.first { *value } else { load::<L>(to, last).add(*value) };
                store(value, to, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    /// The pseudo-code above, for a matrix product.
    fn naive(
        rows: usize,
        depth: usize,
        width: usize,
        terms: &[(&[f32], &[f32])],
        output: &mut [f32],
    ) {
        for c in 0..depth {
            for n in 0..width {
                let all: Vec<usize> = (0..rows).collect();
                for (block, rows) in all.chunks(BLOCK).enumerate() {
                    let mut sum = 0.0f32;
                    for (input, cotangent) in terms {
                        for row in rows {
                            sum = input[row * depth + c].mul_add(cotangent[row * width + n], sum);
                        }
                    }
                    let place = &mut output[c * width + n];
                    *place = if block == 0 { sum } else { *place + sum };
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 1usize..150, depth in 1usize..14, width in 1usize..90, terms in 1usize..3, seed: u64,
        ) {
            let outer = Outer::of(&Gather::matrix(rows, depth, width));
            let data = numbers(seed, 4096 + 16384);
            let (input, cotangent) = data.split_at(4096);
            let all = [(input, cotangent), (&input[7..], &cotangent[3..])];
            let mut expected = vec![f32::NAN; depth * width];
            naive(rows, depth, width, &all[..terms], &mut expected);
            for instruction_set in InstructionSet::available() {
                let mut output = vec![f32::NAN; depth * width];
                outer_product(instruction_set, &outer, &all[..terms], &mut output);
                prop_assert!(same_bits(&output, &expected), "{instruction_set}");
            }
        }
    }
}
