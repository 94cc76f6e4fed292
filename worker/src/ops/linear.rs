//! Ops that are linear in their one input.

use super::Linear;
use crate::kernels::{Grid, InstructionSet, Real, pointwise, sum_rows};

/// `[rows, channels]` → `[channels]`: the gradient of a bias.
pub(crate) struct SumRows(pub(crate) Grid);

impl<T: Real> Linear<T> for SumRows {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        sum_rows(instruction_set, self.0, x, out);
    }
}

/// `[taps, rows, columns]` → `[taps, columns, rows]`: weights as the input's gradient reads them.
pub(crate) struct TransposeTaps {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Extent of the blocks that are transposed at a time, so that both sides stay in the cache.
const BLOCK: usize = 16;

impl<T: Real> Linear<T> for TransposeTaps {
    fn apply(&self, _: InstructionSet, x: &[T], out: &mut [T]) {
        let Self { rows, columns } = *self;
        for (x, out) in x.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
            for block in (0..columns).step_by(BLOCK) {
                for row in 0..rows {
                    let end = (block + BLOCK).min(columns);
                    for (column, &value) in
                        (block..end).zip(&x[row * columns + block..row * columns + end])
                    {
                        out[column * rows + row] = value;
                    }
                }
            }
        }
    }
}

/// `[images, positions, channels]` → `[images, channels]`.
pub(crate) struct MeanOverPositions {
    pub(crate) positions: usize,
    pub(crate) channels: usize,
}

impl<T: Real> Linear<T> for MeanOverPositions {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        let grid = Grid { rows: self.positions, channels: self.channels };
        let share = T::ONE / T::from_f64(self.positions as f64);
        for (x, out) in x.chunks_exact(grid.len()).zip(out.chunks_exact_mut(self.channels)) {
            sum_rows(instruction_set, grid, x, out);
            for value in out {
                *value = *value * share;
            }
        }
    }
}

/// `[images, channels]` → `[images, positions, channels]`: the transpose of [`MeanOverPositions`].
pub(crate) struct SpreadOverPositions {
    pub(crate) positions: usize,
    pub(crate) channels: usize,
}

impl<T: Real> Linear<T> for SpreadOverPositions {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        let share = T::ONE / T::from_f64(self.positions as f64);
        for (x, out) in
            x.chunks_exact(self.channels).zip(out.chunks_exact_mut(self.positions * self.channels))
        {
            for out in out.chunks_exact_mut(self.channels) {
                pointwise::scale(instruction_set, share, x, out);
            }
        }
    }
}
