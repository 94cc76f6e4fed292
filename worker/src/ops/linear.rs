//! Ops that are linear in their one input.

use super::Linear;
use crate::kernels::{Grid, InstructionSet, Real, pointwise, sum_rows, transpose_taps};

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
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        transpose_taps(instruction_set, (self.taps, self.rows, self.columns), x, out);
    }
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
