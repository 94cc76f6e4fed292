//! Gathered products: convolutions, their gradients by the input, and matrix products.
//!
//! The naive algorithm, whose order of sums this keeps for every output:
//!
//! ```text
//! for row, n:
//!     sum = start[n]
//!     for (input, weight) in terms, tap in taps of row, c in 0..depth:
//!         sum = fma(input[row + tap + c], weight[tap + c · width + n], sum)
//!     output[row + n] = sum
//! ```
//!
//! The tile below computes up to six rows times up to four vectors of outputs at a time, all of its sums in registers.

use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::{Gather, GatherRow, Group, InstructionSet, Kernel};

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
    T::dispatch(instruction_set, Product { gather, start, terms, output: output.as_mut_ptr() });
}

struct Product<'a, T> {
    gather: &'a Gather,
    start: Option<&'a [T]>,
    terms: &'a [(&'a [T], &'a [T])],
    output: *mut T,
}

impl<T: Real> Kernel<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for group in self.gather.groups() {
            for rows in group.rows.chunks(6) {
                // SAFETY: `product` has checked every length, and the caller has the instructions.
                unsafe {
                    match rows.len() {
                        6 => row_block::<L, 6>(&self, group, rows),
                        5 => row_block::<L, 5>(&self, group, rows),
                        4 => row_block::<L, 4>(&self, group, rows),
                        3 => row_block::<L, 3>(&self, group, rows),
                        2 => row_block::<L, 2>(&self, group, rows),
                        _ => row_block::<L, 1>(&self, group, rows),
                    }
                }
            }
        }
    }
}

/// All columns of `ROWS` rows: in tiles as wide as the registers hold.
#[inline(always)]
unsafe fn row_block<L: Lanes, const ROWS: usize>(
    product: &Product<'_, L::Scalar>,
    group: &Group,
    rows: &[GatherRow],
) {
    let width = product.gather.width();
    let whole = width / LANES * LANES;
    let mut column = 0;
    // SAFETY: as in `run`; columns stay below the width.
    unsafe {
        while column + 4 * LANES <= whole && 4 * (ROWS + 1) < L::REGISTERS {
            tile::<L, ROWS, 4>(product, group, rows, column, LANES);
            column += 4 * LANES;
        }
        while column + 2 * LANES <= whole && 2 * (ROWS + 1) < L::REGISTERS {
            tile::<L, ROWS, 2>(product, group, rows, column, LANES);
            column += 2 * LANES;
        }
        while column < whole {
            tile::<L, ROWS, 1>(product, group, rows, column, LANES);
            column += LANES;
        }
        if column < width {
            tile::<L, ROWS, 1>(product, group, rows, column, width - column);
        }
    }
}

/// `ROWS` × `COLUMNS` vectors of outputs; of the last vector the first `last` lanes.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &Product<'_, L::Scalar>,
    group: &Group,
    rows: &[GatherRow],
    column: usize,
    last: usize,
) {
    let (depth, width) = (product.gather.depth(), product.gather.width());
    // SAFETY: offsets were checked against the slices' lengths; a partial vector touches its first lanes alone.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); COLUMNS]; ROWS];
        if let Some(start) = product.start {
            for j in 0..COLUMNS {
                let value = load::<L>(start.as_ptr().add(column + j * LANES), last);
                for sum in &mut sums {
                    sum[j] = value;
                }
            }
        }
        for (input, weight) in product.terms {
            for tap in &group.taps {
                let mut inputs = [input.as_ptr(); ROWS];
                for (place, row) in inputs.iter_mut().zip(rows) {
                    *place = place.add(row.input as usize + tap.input as usize);
                }
                let mut weights = weight.as_ptr().add(tap.weight as usize + column);
                for c in 0..depth {
                    let mut w = [L::splat(L::Scalar::ZERO); COLUMNS];
                    for (j, w) in w.iter_mut().enumerate() {
                        *w = load::<L>(weights.add(j * LANES), last);
                    }
                    for i in 0..ROWS {
                        let x = L::splat(*inputs[i].add(c));
                        for j in 0..COLUMNS {
                            sums[i][j] = sums[i][j].mul_add(x, w[j]);
                        }
                    }
                    weights = weights.wrapping_add(width);
                }
            }
        }
        let output = product.output;
        for (sum, row) in sums.iter().zip(rows) {
            for (j, value) in sum.iter().enumerate() {
                let to = output.add(row.output as usize + column + j * LANES);
                store(*value, to, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Tap;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    /// The pseudo-code above, to the letter.
    pub(crate) fn naive(
        gather: &Gather,
        start: Option<&[f32]>,
        terms: &[(&[f32], &[f32])],
        output: &mut [f32],
    ) {
        let (depth, width) = (gather.depth(), gather.width());
        for group in gather.groups() {
            for row in &group.rows {
                for n in 0..width {
                    let mut sum = start.map_or(0.0, |start| start[n]);
                    for (input, weight) in terms {
                        for tap in &group.taps {
                            for c in 0..depth {
                                let x = input[(row.input + tap.input) as usize + c];
                                sum = x.mul_add(weight[tap.weight as usize + c * width + n], sum);
                            }
                        }
                    }
                    output[row.output as usize + n] = sum;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_instruction_set_does_what_the_naive_one_does(
            rows in 0usize..15, depth in 1usize..9, width in 1usize..90, taps in 1usize..4, terms in 1usize..3,
            started: bool, seed: u64,
        ) {
            let taps: Vec<Tap> =
                (0..taps).map(|t| Tap { input: (t * depth) as u32, weight: (t * depth * width) as u32 }).collect();
            let row = |i: usize| GatherRow { input: (i * depth) as u32, output: ((rows - 1 - i) * width) as u32 };
            let group = Group { taps, rows: (0..rows).map(row).collect() };
            let gather = Gather::new(vec![group], depth, width);
            let data = numbers(seed, 8192 + 8192 + 128);
            let (input, rest) = data.split_at(4096);
            let (weight, start) = rest.split_at(8192);
            let all = [(input, weight), (&input[7..], &weight[3..])];
            let start = started.then_some(&start[..width]);
            let mut expected = vec![f32::NAN; rows * width];
            naive(&gather, start, &all[..terms], &mut expected);
            for instruction_set in InstructionSet::available() {
                let mut output = vec![f32::NAN; rows * width];
                product(instruction_set, &gather, start, &all[..terms], &mut output);
                prop_assert!(same_bits(&output, &expected), "{instruction_set}");
            }
        }
    }
}
