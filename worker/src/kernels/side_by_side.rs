//! Products of small matrices, of sixteen problems side by side: every number is a vector, a lane for each problem.
//!
//! The naive algorithm, whose order of sums this keeps for every lane:
//!
//! ```text
//! for m in 0..rows, n in 0..columns:
//!     sum = start[n]
//!     for (a, b) in terms, k in 0..depth:
//!         sum = fma(a[m, k], b[n, k], sum)
//!     out[m, n] = sum, or zero where a gate is shut, or a step along the sum
//! ```
//!
//! All numbers of a tile's sums are in registers. No lane meets another, so nothing is lost at an edge whatever the
//! sizes, and a lane's bits do not depend on what the others hold.
//!
//! What the problems have in common, as they do the parameters that they begin with, may be there once instead of in
//! every lane: a sixteenth to read.

mod tile;

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};
use tile::{small_tiles, tiles};

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

/// What becomes of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a, T> {
    /// What a gate lets through.
    Through(Gate<'a, T>),
    /// A step along them: from + scale · sum, rounded once.
    Step {
        /// From where.
        from: Origin<'a, T>,
        /// How far.
        scale: T,
    },
}

/// Where a step begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a, T> {
    /// At zero.
    Zero,
    /// At what is where it leads.
    There,
    /// At these numbers.
    At(&'a [T]),
}

/// `start + Σ over terms of a · b`, and in `out` what becomes of it: start `[columns]`, zero where absent; each term is `(a, b)`.
/// A start, a b or what a step is from may be there once for all lanes.
///
/// # Panics
/// Where a slice has another length than the sizes say.
pub(crate) fn side_by_side<T: Real>(
    instruction_set: InstructionSet,
    sizes: &SideBySide,
    start: Option<&[T]>,
    terms: &[(&[T], &[T])],
    outcome: Outcome<'_, T>,
    out: &mut [T],
) {
    let SideBySide { rows, columns, depth, .. } = *sizes;
    let is_whole = |numbers: usize, length: usize| numbers * LANES == length;
    assert!(is_whole(rows * columns, out.len()), "an output for every row and column");
    let is_whole_or_common =
        |numbers: usize, length: usize| is_whole(numbers, length) || numbers == length;
    for (a, b) in terms {
        assert!(is_whole(rows * depth, a.len()), "as many numbers as the left matrix has");
        assert!(is_whole_or_common(columns * depth, b.len()), "as many as the right matrix has");
    }
    if let Some(start) = start {
        assert!(is_whole_or_common(columns, start.len()), "the sums start from a row of outputs");
    }
    match outcome {
        Outcome::Through(Gate::Number(gate)) => {
            assert_eq!(gate.len(), out.len(), "a number for every output");
        }
        Outcome::Step { from: Origin::At(from), .. } => {
            let fits = is_whole_or_common(rows * columns, from.len());
            assert!(fits, "a step is from as many numbers as it leads to");
        }
        _ => {}
    }
    let mut product = Product { sizes, start, terms, outcome, out, at: [0, 0], end: [0, 0] };
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
    outcome: Outcome<'a, T>,
    out: &'a mut [T],
    /// The first row and column that tiles are to cover, and those behind the last.
    at: [usize; 2],
    end: [usize; 2],
}

impl<T: Real> Product<'_, T> {
    /// How many columns go by before the next rows do. Where a few tiles' share of `b` stays near, it is read once and `a`
    /// as often as there are blocks; else `b` is read once for each tile's rows, which stay near themselves.
    fn columns_of_a_block(&self) -> usize {
        let all: usize = self.terms.iter().map(|(_, b)| size_of_val(*b)).sum();
        let columns = NEAR * self.sizes.columns / all.max(1);
        if columns < 2 * TILE_COLUMNS { self.sizes.columns.max(TILE_COLUMNS) } else { columns }
    }

    fn run<const COLUMNS: usize>(&mut self, instruction_set: InstructionSet, height: usize) {
        if matches!(self.outcome, Outcome::Step { .. }) {
            self.run_outcome::<COLUMNS, true>(instruction_set, height);
        } else {
            self.run_outcome::<COLUMNS, false>(instruction_set, height);
        }
    }

    fn run_outcome<const COLUMNS: usize, const STEP: bool>(
        &mut self,
        set: InstructionSet,
        height: usize,
    ) {
        match height {
            5 => T::dispatch(set, Tiles::<T, 5, COLUMNS, STEP>(self)),
            4 => T::dispatch(set, Tiles::<T, 4, COLUMNS, STEP>(self)),
            3 => T::dispatch(set, Tiles::<T, 3, COLUMNS, STEP>(self)),
            2 => T::dispatch(set, Tiles::<T, 2, COLUMNS, STEP>(self)),
            1 => T::dispatch(set, Tiles::<T, 1, COLUMNS, STEP>(self)),
            _ => {}
        }
    }
}

/// Tiles of one size over a part of the output that they cover exactly. Each size and outcome is a function of its own,
/// small enough that the compiler keeps the sums in registers.
struct Tiles<'p, 'a, T, const ROWS: usize, const COLUMNS: usize, const STEP: bool>(
    &'p mut Product<'a, T>,
);

impl<T: Real, const ROWS: usize, const COLUMNS: usize, const STEP: bool> Kernel<T>
    for Tiles<'_, '_, T, ROWS, COLUMNS, STEP>
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let product = self.0;
        // SAFETY: `side_by_side` has settled the lengths, and the caller has the instructions.
        unsafe {
            if L::REGISTERS > ROWS * COLUMNS + COLUMNS {
                tiles::<L, ROWS, COLUMNS, STEP>(product);
            } else {
                small_tiles::<L, STEP>(product);
            }
        }
    }
}

#[cfg(test)]
mod tests;
