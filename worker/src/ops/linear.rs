//! Ops that are linear in their one input.

use super::Linear;
use crate::kernels::{Grid, InstructionSet, LANES, Real, pointwise, sum_rows};

/// `[rows, channels]` → `[channels]`: the gradient of a bias.
pub(crate) struct SumRows(pub(crate) Grid);

impl<T: Real> Linear<T> for SumRows {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        sum_rows(instruction_set, self.0, x, out);
    }
}

/// `[taps, rows, columns]` → `[taps, columns, rows]`, both in panels (see [`Gather`](crate::kernels::Gather)): weights as
/// the input's gradient reads them.
pub(crate) struct TransposeTaps {
    pub(crate) taps: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<T: Real> Linear<T> for TransposeTaps {
    fn apply(&self, _: InstructionSet, x: &[T], out: &mut [T]) {
        let Self { taps, rows, columns } = *self;
        // A square of panels at a time: `from` holds a row of it at each step, `to` a column.
        for (first_column, width) in panel_columns(columns) {
            let from = &x[first_column * taps * rows..][..taps * rows * width];
            for (first_row, height) in panel_columns(rows) {
                let to = &mut out[first_row * taps * columns..][..taps * columns * height];
                for tap in 0..taps {
                    let from = &from[(tap * rows + first_row) * width..][..height * width];
                    let to = &mut to[(tap * columns + first_column) * height..][..width * height];
                    transpose(from, to, (height, width));
                }
            }
        }
    }
}

/// Two panels' meeting.
type Square<T> = [T; LANES * LANES];

/// `[height, width]` → `[width, height]`.
fn transpose<T: Real>(from: &[T], to: &mut [T], (height, width): (usize, usize)) {
    // Of fixed size, a square costs no check of bounds.
    if let (Ok(from), Ok(to)) = (<&Square<T>>::try_from(from), <&mut Square<T>>::try_from(&mut *to))
        && height == LANES
    {
        for column in 0..LANES {
            for row in 0..LANES {
                to[column * LANES + row] = from[row * LANES + column];
            }
        }
        return;
    }
    for (i, row) in from.chunks_exact(width).enumerate() {
        for (to, &value) in to[i..].iter_mut().step_by(height).zip(row) {
            *to = value;
        }
    }
}

/// The panels of so many columns: (first, width).
fn panel_columns(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(LANES).map(move |first| (first, LANES.min(columns - first)))
}

/// `[groups, members, channels]` → `[groups, channels]`: the sum over members, divided by `divisor`.
pub(crate) struct SumOverGroup {
    pub(crate) divisor: usize,
    pub(crate) members: usize,
    pub(crate) channels: usize,
}

impl<T: Real> Linear<T> for SumOverGroup {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        let grid = Grid { rows: self.members, channels: self.channels };
        let share = T::ONE / T::from_f64(self.divisor as f64);
        for (x, out) in x.chunks_exact(grid.len()).zip(out.chunks_exact_mut(self.channels)) {
            sum_rows(instruction_set, grid, x, out);
            for value in out {
                *value = *value * share;
            }
        }
    }
}

/// `[groups, channels]` → `[groups, members, channels]`: the transpose of [`SumOverGroup`].
pub(crate) struct SpreadOverGroup {
    pub(crate) divisor: usize,
    pub(crate) members: usize,
    pub(crate) channels: usize,
}

impl<T: Real> Linear<T> for SpreadOverGroup {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        let share = T::ONE / T::from_f64(self.divisor as f64);
        for (x, out) in
            x.chunks_exact(self.channels).zip(out.chunks_exact_mut(self.members * self.channels))
        {
            for out in out.chunks_exact_mut(self.channels) {
                pointwise::scale(instruction_set, share, x, out);
            }
        }
    }
}
