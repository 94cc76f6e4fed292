//! A block's operands, side by side.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::super::Kernel;
use super::super::lanes::{LANES, Lanes, load, store};
use super::super::real::Real;
use super::plan::{Chunk, ROWS, STRIDE};
use super::tile::Operands;

/// Panels of sixteen output columns that are packed at a time, and their columns.
const PANELS: usize = 4;
pub(super) const SPAN: usize = PANELS * LANES;

/// `[rows, STRIDE]` of the inputs, `[panels, ROWS, 16]` of the cotangents.
#[repr(align(64))]
pub(super) struct Packed<T> {
    inputs: [MaybeUninit<T>; ROWS * STRIDE],
    cotangents: [MaybeUninit<T>; PANELS * ROWS * LANES],
}

impl<T: Real> Packed<T> {
    /// What was packed last, for a chunk of the block.
    pub(super) fn operands<'a>(&self, chunk: &'a Chunk) -> Operands<'a, T> {
        Operands {
            input: self.inputs.as_ptr().cast(),
            cotangent: self.cotangents.as_ptr().cast(),
            rows: &chunk.packed,
            panel: ROWS * LANES,
            padded: true,
        }
    }
}

/// Copies the inputs of a chunk, row by row.
pub(super) struct PackInputs<'a, T> {
    pub(super) packed: &'a mut Packed<T>,
    pub(super) chunk: &'a Chunk,
    pub(super) input: &'a [T],
}

impl<T: Real> Kernel<T> for PackInputs<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let mut to: *mut T = self.packed.inputs.as_mut_ptr().cast();
        for row in &self.chunk.rows {
            let mut column = 0;
            while column < self.chunk.depth {
                let count = LANES.min(self.chunk.depth - column);
                // SAFETY: a chunk has at most `ROWS` rows of at most `COLUMNS` numbers, and the inputs' length was checked.
                unsafe {
                    let from = self.input.as_ptr().add(row.input as usize + column);
                    store(load::<L>(from, count), to.add(column), count);
                }
                column += LANES;
            }
            to = to.wrapping_add(STRIDE);
        }
    }
}

/// Copies some columns of a block's cotangents, panel by panel; zeros fill a partial one.
pub(super) struct PackCotangents<'a, T> {
    pub(super) packed: &'a mut Packed<T>,
    /// Where each row begins.
    pub(super) rows: &'a [u32],
    pub(super) cotangent: &'a [T],
    pub(super) columns: Range<usize>,
}

impl<T: Real> Kernel<T> for PackCotangents<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let to: *mut T = self.packed.cotangents.as_mut_ptr().cast();
        for (row, &place) in self.rows.iter().enumerate() {
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
