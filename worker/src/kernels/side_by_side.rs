//! Products of small matrices, of sixteen problems side by side: every number is a vector, a lane for each problem.
//!
//! The naive algorithm, whose order of sums this keeps for every lane:
//!
//! ```text
//! for m in 0..rows, n in 0..columns:
//!     sum = start[n]
//!     for (a, b) in terms, k in 0..depth:
//!         sum = fma(a[m, k], b[n, k], sum)
//!     out[m, n] = sum, or zero where the gate is shut
//! ```
//!
//! All numbers of a tile's sums are in registers. No lane meets another, so nothing is lost at an edge whatever the
//! sizes, and a lane's bits do not depend on what the others hold.

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Rows of a tile, where there are registers for its sums.
const TILE_ROWS: usize = 5;

/// Columns of such a tile.
const TILE_COLUMNS: usize = 4;

/// Bytes of `b` that stay near while rows go by: half of a small first-level cache.
const NEAR: usize = 16 << 10;

/// A product of matrices that lie in whatever direction: out `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SideBySide {
    rows: usize,
    columns: usize,
    depth: usize,
    /// Vectors from a row of `a` to the next, and from a k to the next.
    a: Steps,
    /// Vectors from a column of `b` to the next, and from a k to the next.
    b: Steps,
}

#[derive(Clone, Copy, Debug)]
struct Steps {
    across: usize,
    along: usize,
}

impl SideBySide {
    /// y = x Wᵀ: x `[rows, inputs]`, W `[outputs, inputs]`.
    pub(crate) fn forward(rows: usize, inputs: usize, outputs: usize) -> Self {
        let steps = Steps { across: inputs, along: 1 };
        Self { rows, columns: outputs, depth: inputs, a: steps, b: steps }
    }

    /// ∂x = ∂y W.
    pub(crate) fn input_gradient(rows: usize, inputs: usize, outputs: usize) -> Self {
        let a = Steps { across: outputs, along: 1 };
        let b = Steps { across: 1, along: inputs };
        Self { rows, columns: inputs, depth: outputs, a, b }
    }

    /// ∂W = ∂yᵀ x.
    pub(crate) fn weight_gradient(rows: usize, inputs: usize, outputs: usize) -> Self {
        let a = Steps { across: 1, along: outputs };
        let b = Steps { across: 1, along: inputs };
        Self { rows: outputs, columns: inputs, depth: rows, a, b }
    }

    /// Products, each with an addition, of one problem.
    pub(crate) fn products(&self) -> usize {
        self.rows * self.columns * self.depth
    }
}

/// Which sums stay as they are; the others become zero.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate<'a, T> {
    /// All.
    Open,
    /// Those that are positive.
    Sum,
    /// Those in whose place there is a positive number here.
    Number(&'a [T]),
}

/// `out = start + Σ over terms of a · b`, as far as `gate` lets it through: start `[columns]`, zero where absent; each term is `(a, b)`.
///
/// # Panics
/// Where a slice has another length than the sizes say.
pub(crate) fn side_by_side<T: Real>(
    instruction_set: InstructionSet,
    sizes: &SideBySide,
    start: Option<&[T]>,
    terms: &[(&[T], &[T])],
    gate: Gate<'_, T>,
    out: &mut [T],
) {
    let SideBySide { rows, columns, depth, .. } = *sizes;
    let is_whole = |numbers: usize, length: usize| numbers * LANES == length;
    assert!(is_whole(rows * columns, out.len()), "an output for every row and column");
    for (a, b) in terms {
        assert!(is_whole(rows * depth, a.len()), "as many numbers as the left matrix has");
        assert!(is_whole(columns * depth, b.len()), "as many numbers as the right matrix has");
    }
    if let Some(start) = start {
        assert!(is_whole(columns, start.len()), "the sums start from a row of outputs");
    }
    if let Gate::Number(gate) = gate {
        assert_eq!(gate.len(), out.len(), "a number for every output");
    }
    let mut product = Product { sizes, start, terms, gate, out, at: [0, 0], end: [0, 0] };
    let (whole_rows, whole_columns) = (rows - rows % TILE_ROWS, columns - columns % TILE_COLUMNS);
    for (column, end_column) in [(0, whole_columns), (whole_columns, columns)] {
        for (row, end_row) in [(0, whole_rows), (whole_rows, rows)] {
            (product.at, product.end) = ([row, column], [end_row, end_column]);
            let height = TILE_ROWS.min(end_row - row);
            match TILE_COLUMNS.min(end_column - column) {
                4 => product.run::<4>(instruction_set, height),
                3 => product.run::<3>(instruction_set, height),
                2 => product.run::<2>(instruction_set, height),
                1 => product.run::<1>(instruction_set, height),
                _ => {}
            }
        }
    }
}

struct Product<'a, T> {
    sizes: &'a SideBySide,
    start: Option<&'a [T]>,
    terms: &'a [(&'a [T], &'a [T])],
    gate: Gate<'a, T>,
    out: &'a mut [T],
    /// The first row and column that tiles are to cover, and those behind the last.
    at: [usize; 2],
    end: [usize; 2],
}

impl<T: Real> Product<'_, T> {
    /// How many columns go by before the next rows do. Where a few tiles' share of `b` stays near, it is read once and `a`
    /// as often as there are blocks; else `b` is read once for each tile's rows, which stay near themselves.
    fn columns_of_a_block(&self) -> usize {
        let column = self.sizes.depth * self.terms.len() * LANES * size_of::<T>();
        let columns = NEAR / column.max(1);
        if columns < 2 * TILE_COLUMNS { self.sizes.columns.max(TILE_COLUMNS) } else { columns }
    }

    fn run<const COLUMNS: usize>(&mut self, instruction_set: InstructionSet, height: usize) {
        match height {
            5 => T::dispatch(instruction_set, Tiles::<T, 5, COLUMNS>(self)),
            4 => T::dispatch(instruction_set, Tiles::<T, 4, COLUMNS>(self)),
            3 => T::dispatch(instruction_set, Tiles::<T, 3, COLUMNS>(self)),
            2 => T::dispatch(instruction_set, Tiles::<T, 2, COLUMNS>(self)),
            1 => T::dispatch(instruction_set, Tiles::<T, 1, COLUMNS>(self)),
            _ => {}
        }
    }
}

/// Tiles of one size over a part of the output that they cover exactly. Each size is a function of its own, small enough
/// that the compiler keeps the sums in registers.
struct Tiles<'p, 'a, T, const ROWS: usize, const COLUMNS: usize>(&'p mut Product<'a, T>);

impl<T: Real, const ROWS: usize, const COLUMNS: usize> Kernel<T>
    for Tiles<'_, '_, T, ROWS, COLUMNS>
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let product = self.0;
        // SAFETY: `side_by_side` has settled the lengths, and the caller has the instructions.
        unsafe {
            if L::REGISTERS > ROWS * COLUMNS + COLUMNS {
                tiles::<L, ROWS, COLUMNS>(product);
            } else {
                small_tiles::<L>(product);
            }
        }
    }
}

#[inline(always)]
unsafe fn tiles<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &mut Product<'_, L::Scalar>,
) {
    let ([first, mut column], [end_row, end_column]) = (product.at, product.end);
    let block = product.columns_of_a_block() / COLUMNS * COLUMNS;
    while column < end_column {
        let end_of_block = end_column.min(column + block);
        let mut row = first;
        while row < end_row {
            let mut at = column;
            while at < end_of_block {
                // SAFETY: the caller's.
                unsafe { tile::<L, ROWS, COLUMNS>(product, row, at) };
                at += COLUMNS;
            }
            row += ROWS;
        }
        column = end_of_block;
    }
}

/// Two by two, where there are few registers.
#[inline(always)]
unsafe fn small_tiles<L: Lanes>(product: &mut Product<'_, L::Scalar>) {
    let ([first, mut column], [end_row, end_column]) = (product.at, product.end);
    while column < end_column {
        let is_pair = column + 2 <= end_column;
        let mut row = first;
        while row < end_row {
            // SAFETY: the caller's.
            unsafe {
                match (row + 2 <= end_row, is_pair) {
                    (true, true) => tile::<L, 2, 2>(product, row, column),
                    (true, false) => tile::<L, 2, 1>(product, row, column),
                    (false, true) => tile::<L, 1, 2>(product, row, column),
                    (false, false) => tile::<L, 1, 1>(product, row, column),
                }
            }
            row += 2;
        }
        column += 2;
    }
}

/// `ROWS` × `COLUMNS` sums in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &mut Product<'_, L::Scalar>,
    row: usize,
    column: usize,
) {
    let SideBySide { columns, depth, a: a_steps, b: b_steps, .. } = *product.sizes;
    let (a_across, a_along) = (a_steps.across * LANES, a_steps.along * LANES);
    let (b_across, b_along) = (b_steps.across * LANES, b_steps.along * LANES);
    // SAFETY: the caller gives rows and columns that are there, and all of the depth is within the slices.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); COLUMNS]; ROWS];
        if let Some(start) = product.start {
            for j in 0..COLUMNS {
                let start = L::load(start.as_ptr().add((column + j) * LANES));
                for i in 0..ROWS {
                    sums[i][j] = start;
                }
            }
        }
        for (a, b) in product.terms {
            let mut a = a.as_ptr().add(row * a_across);
            let mut b = b.as_ptr().add(column * b_across);
            for _ in 0..depth {
                let mut right = [L::splat(L::Scalar::ZERO); COLUMNS];
                for j in 0..COLUMNS {
                    right[j] = L::load(b.add(j * b_across));
                }
                for i in 0..ROWS {
                    let left = L::load(a.add(i * a_across));
                    for j in 0..COLUMNS {
                        sums[i][j] = sums[i][j].mul_add(left, right[j]);
                    }
                }
                a = a.wrapping_add(a_along);
                b = b.wrapping_add(b_along);
            }
        }
        let zero = L::splat(L::Scalar::ZERO);
        let at = (row * columns + column) * LANES;
        match product.gate {
            Gate::Open => {}
            Gate::Sum => {
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        sums[i][j] = sums[i][j].max(zero);
                    }
                }
            }
            Gate::Number(gate) => {
                let gate = gate.as_ptr().add(at);
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        let number = L::load(gate.add((i * columns + j) * LANES));
                        sums[i][j] = number.if_greater(zero, sums[i][j], zero);
                    }
                }
            }
        }
        let out = product.out.as_mut_ptr().add(at);
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i][j].store(out.add((i * columns + j) * LANES));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    /// One lane, as the head of this file has it.
    fn naive(
        sizes: &SideBySide,
        start: Option<&[f32]>,
        terms: &[(&[f32], &[f32])],
        gate: Gate<'_, f32>,
        lane: usize,
    ) -> Vec<f32> {
        let SideBySide { rows, columns, depth, a: of_a, b: of_b } = *sizes;
        let mut out = Vec::new();
        for m in 0..rows {
            for n in 0..columns {
                let mut sum = start.map_or(0.0, |start| start[n * LANES + lane]);
                for (a, b) in terms {
                    for k in 0..depth {
                        let a = a[(m * of_a.across + k * of_a.along) * LANES + lane];
                        sum = a.mul_add(b[(n * of_b.across + k * of_b.along) * LANES + lane], sum);
                    }
                }
                let passes = match gate {
                    Gate::Open => true,
                    Gate::Sum => sum > 0.0,
                    Gate::Number(gate) => gate[(m * columns + n) * LANES + lane] > 0.0,
                };
                out.push(if passes { sum } else { 0.0 });
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_lane_of_every_instruction_set_does_what_the_naive_one_does(
            rows in 1usize..12, inputs in 1usize..12, outputs in 1usize..12, starts: bool, twice: bool, gate in 0_usize..3, seed: u64,
        ) {
            for sizes in [SideBySide::forward, SideBySide::input_gradient, SideBySide::weight_gradient] {
                let sizes = sizes(rows, inputs, outputs);
                let (a, b) = (sizes.rows * sizes.depth * LANES, sizes.columns * sizes.depth * LANES);
                let data = numbers(seed, 2 * (a + b) + (sizes.rows + 1) * sizes.columns * LANES);
                let (start, rest) = data.split_at(sizes.columns * LANES);
                let start = starts.then_some(start);
                let (gates, rest) = rest.split_at(sizes.rows * sizes.columns * LANES);
                let gate = [Gate::Open, Gate::Sum, Gate::Number(gates)][gate];
                let (first, second) = rest.split_at(a + b);
                let terms = [first.split_at(a), second.split_at(a)];
                let terms = if twice { &terms[..] } else { &terms[..1] };
                for set in InstructionSet::available() {
                    let mut out = vec![f32::NAN; sizes.rows * sizes.columns * LANES];
                    side_by_side(set, &sizes, start, terms, gate, &mut out);
                    for lane in 0..LANES {
                        let found: Vec<f32> = out.iter().skip(lane).step_by(LANES).copied().collect();
                        prop_assert!(same_bits(&found, &naive(&sizes, start, terms, gate, lane)), "{set}");
                    }
                }
            }
        }
    }
}
