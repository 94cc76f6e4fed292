//! Tiles of sums that stay in registers.

use std::ops::Range;

use super::super::gather::tiles;
use super::super::lanes::{LANES, Lanes, load, store};
use super::super::prefetch::Ahead;
use super::super::real::Real;
use super::super::{GatherRow, InstructionSet, Kernel, Tap};

/// Input columns of a tile.
pub(super) const TILE: usize = 6;

/// Rows that a loop takes at a time.
const UNROLL: usize = 2;

/// The most panels that a tile spans, where there are registers for them.
const PANELS: usize = 4;

/// Whether there are registers for tiles of several panels.
pub(super) fn spans_panels<L: Lanes>() -> bool {
    PANELS * (TILE + 1) < L::REGISTERS
}

/// Rows of two matrices: their numbers begin at `row.input` and at `row.output`.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Operands<'a, T> {
    pub(in crate::kernels) input: *const T,
    pub(in crate::kernels) cotangent: *const T,
    pub(in crate::kernels) rows: &'a [GatherRow],
    /// From one panel of cotangents to the next.
    pub(in crate::kernels) panel: usize,
    /// Whether zeros fill a partial panel of cotangents.
    pub(in crate::kernels) padded: bool,
}

/// The columns of the inputs: `depth` of each tap.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Columns<'a> {
    pub(in crate::kernels) taps: &'a [Tap],
    pub(in crate::kernels) depth: usize,
    /// The first one's place among the rows of the weights, `[taps · depth]`.
    pub(in crate::kernels) weight: usize,
}

/// The one tap of columns that are all of one.
pub(in crate::kernels) const ONE_TAP: &[Tap] = &[Tap { input: 0, index: 0 }];

impl Columns<'_> {
    /// Where a column lies within a row of inputs, and its place among the rows of the weights.
    fn place(&self, column: usize) -> (usize, usize) {
        let Self { taps, depth, weight } = *self;
        if taps.len() == 1 && column < depth {
            let Tap { input, index } = taps[0];
            return (input as usize + column, weight + index as usize * depth + column);
        }
        let Tap { input, index } = taps[column / depth];
        let column = column % depth;
        (input as usize + column, weight + index as usize * depth + column)
    }
}

/// The gradient of the weights, in panels.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Target<T> {
    output: *mut T,
    /// Rows of the weights, `[taps · depth]`.
    rows: usize,
    /// Whether sums are written, as nothing is there yet, rather than added.
    is_blank: bool,
}

impl<T: Copy> Target<T> {
    /// Of so many rows of weights.
    pub(in crate::kernels) fn new(rows: usize, output: &mut [T], is_blank: bool) -> Self {
        Self { output: output.as_mut_ptr(), rows, is_blank }
    }

    /// Where the sums of a panel begin whose first column this is.
    pub(super) fn panel(self, column: usize) -> *mut T {
        self.output.wrapping_add(column * self.rows)
    }

    /// Whether sums are written rather than added.
    pub(super) fn is_blank(self) -> bool {
        self.is_blank
    }

    /// The same once so many sums were written.
    pub(in crate::kernels) fn after(self, sums: usize) -> Self {
        Self { is_blank: self.is_blank && sums == 0, ..self }
    }
}

/// What the gradient consists of: the outer products of all rows.
pub(in crate::kernels) struct Sums<'a, T> {
    pub(in crate::kernels) operands: Operands<'a, T>,
    pub(in crate::kernels) columns: Columns<'a>,
    /// The columns of the cotangents; the operands begin with the first.
    pub(in crate::kernels) width: Range<usize>,
    pub(in crate::kernels) target: Target<T>,
}

impl<T: Real> Sums<'_, T> {
    pub(in crate::kernels) fn add(&self, instruction_set: InstructionSet, ahead: &Ahead<T>) {
        let neighbours = self.columns.taps.len() == 1;
        for (start, end, length) in tiles(self.columns.taps.len() * self.columns.depth, TILE) {
            let at = At { sums: self, columns: start..end, ahead };
            match length {
                _ if start == end => {}
                6 => at.run::<6>(instruction_set, neighbours),
                5 => at.run::<5>(instruction_set, neighbours),
                4 => at.run::<4>(instruction_set, neighbours),
                3 => at.run::<3>(instruction_set, neighbours),
                2 => at.run::<2>(instruction_set, neighbours),
                _ => at.run::<1>(instruction_set, neighbours),
            }
        }
    }
}

/// Some columns of the inputs, to be worked off in tiles of the same size.
struct At<'a, T> {
    sums: &'a Sums<'a, T>,
    columns: Range<usize>,
    ahead: &'a Ahead<T>,
}

impl<T: Real> At<'_, T> {
    fn run<const WIDTH: usize>(self, instruction_set: InstructionSet, neighbours: bool) {
        match (neighbours, self.sums.operands.panel == LANES) {
            (true, true) => T::dispatch(instruction_set, Tiles::<T, WIDTH, true, true>(self)),
            (true, false) => T::dispatch(instruction_set, Tiles::<T, WIDTH, true, false>(self)),
            (false, true) => T::dispatch(instruction_set, Tiles::<T, WIDTH, false, true>(self)),
            (false, false) => T::dispatch(instruction_set, Tiles::<T, WIDTH, false, false>(self)),
        }
    }
}

/// Tiles of `WIDTH` input columns, which are neighbours or not, and of panels of cotangents, one right behind the other or
/// not: each is a function of its own, small enough that the compiler keeps the sums in registers.
struct Tiles<'a, T, const WIDTH: usize, const NEIGHBOURS: bool, const ADJACENT: bool>(At<'a, T>);

impl<T: Real, const WIDTH: usize, const NEIGHBOURS: bool, const ADJACENT: bool> Kernel<T>
    for Tiles<'_, T, WIDTH, NEIGHBOURS, ADJACENT>
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let width = self.0.sums.width.len();
        let mut column = 0;
        // SAFETY: `outer_product` has checked every length, and the caller has the instructions.
        unsafe {
            while column + 4 * LANES <= width && spans_panels::<L>() {
                self.panels::<L, 4>(column, LANES);
                column += 4 * LANES;
            }
            while column + 2 * LANES <= width && spans_panels::<L>() {
                self.panels::<L, 2>(column, LANES);
                column += 2 * LANES;
            }
            while column < width {
                self.panels::<L, 1>(column, LANES.min(width - column));
                column += LANES;
            }
        }
    }
}

impl<T: Real, const WIDTH: usize, const NEIGHBOURS: bool, const ADJACENT: bool>
    Tiles<'_, T, WIDTH, NEIGHBOURS, ADJACENT>
{
    /// All tiles of the `COLUMNS` panels from `column` on, which are whole, or one of `last` columns.
    #[inline(always)]
    unsafe fn panels<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        column: usize,
        last: usize,
    ) {
        let Sums { operands, columns, width, target } = self.0.sums;
        let readable = if operands.padded { LANES } else { last };
        let panel = if ADJACENT { LANES } else { operands.panel };
        // SAFETY: rows and columns lie within the operands, whose lengths were checked; a partial panel is read, unless
        // zeros fill it, and stored in its first lanes alone.
        unsafe {
            let cotangent = operands.cotangent.add(column / LANES * operands.panel);
            let to = target.output.add((width.start + column) * target.rows);
            let mut start = self.0.columns.start;
            while start < self.0.columns.end {
                if COLUMNS == 1 {
                    self.0.ahead.ask::<L>();
                }
                let mut places = [(0, 0); WIDTH];
                for i in 0..WIDTH {
                    places[i] = columns.place(start + i);
                }
                let mut sums = [[L::splat(T::ZERO); COLUMNS]; WIDTH];
                let input = operands.input.add(places[0].0);
                let (several, rest) = operands.rows.as_chunks::<UNROLL>();
                for rows in several {
                    if COLUMNS > 1 {
                        self.0.ahead.ask_line::<L>();
                    }
                    for u in 0..UNROLL {
                        let dy = cotangent.add(rows[u].output as usize);
                        let x = input.add(rows[u].input as usize);
                        let mut d = [L::splat(T::ZERO); COLUMNS];
                        for j in 0..COLUMNS {
                            let dy = dy.add(j * panel);
                            d[j] = if COLUMNS == 1 { load(dy, readable) } else { L::load(dy) };
                        }
                        for i in 0..WIDTH {
                            let place = if NEIGHBOURS { i } else { places[i].0 - places[0].0 };
                            let x = L::splat(*x.add(place));
                            for j in 0..COLUMNS {
                                sums[i][j] = sums[i][j].mul_add(x, d[j]);
                            }
                        }
                    }
                }
                for row in rest {
                    let dy = cotangent.add(row.output as usize);
                    let x = input.add(row.input as usize);
                    let mut d = [L::splat(T::ZERO); COLUMNS];
                    for j in 0..COLUMNS {
                        let dy = dy.add(j * panel);
                        d[j] = if COLUMNS == 1 { load(dy, readable) } else { L::load(dy) };
                    }
                    for i in 0..WIDTH {
                        let place = if NEIGHBOURS { i } else { places[i].0 - places[0].0 };
                        let x = L::splat(*x.add(place));
                        for j in 0..COLUMNS {
                            sums[i][j] = sums[i][j].mul_add(x, d[j]);
                        }
                    }
                }
                if !target.is_blank {
                    for i in 0..WIDTH {
                        for j in 0..COLUMNS {
                            let to = to.add(j * target.rows * LANES + places[i].1 * last);
                            sums[i][j] = load::<L>(to, last).add(sums[i][j]);
                        }
                    }
                }
                for i in 0..WIDTH {
                    for j in 0..COLUMNS {
                        let to = to.add(j * target.rows * LANES + places[i].1 * last);
                        store(sums[i][j], to, last);
                    }
                }
                start += WIDTH;
            }
        }
    }
}
