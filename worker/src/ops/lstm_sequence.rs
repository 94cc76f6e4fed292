//! An LSTM that reads rows one after the other, from the first or from the last.

use std::ops::Range;

use super::lstm_cell::{Kept, LstmCell, cut, cut_shared};
use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real};

/// `steps` rows, one a step.
pub(crate) struct LstmSequence {
    pub(crate) cell: LstmCell,
    pub(crate) steps: usize,
    pub(crate) reversed: bool,
}

impl LstmSequence {
    pub(crate) fn new(steps: usize, width: usize, reversed: bool) -> Self {
        Self { cell: LstmCell::new(1, 2 * width, width), steps, reversed }
    }

    /// The row that is read at step t.
    fn row(&self, t: usize) -> usize {
        if self.reversed { self.steps - 1 - t } else { t }
    }

    /// What [`Nonlinear::value`] writes: z, gates, c, tanh c and h of all steps, h by row, and a step's raw gates.
    pub(crate) fn kept(&self) -> usize {
        let w = self.cell.width;
        self.steps * (self.cell.inputs + 4 * w + w + w + w) + w + 4 * w
    }

    /// All z, within what is kept.
    pub(crate) fn z(&self) -> Range<usize> {
        0..self.steps * self.cell.inputs
    }

    /// h by row, within what is kept.
    pub(crate) fn h(&self) -> Range<usize> {
        let end = self.kept() - 4 * self.cell.width;
        end - self.steps * self.cell.width..end
    }
}

/// (x, weight, bias) → all that is kept.
impl<T: Real> Nonlinear<T> for LstmSequence {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x, weight, bias] = inputs(x);
        let (steps, w) = (self.steps, self.cell.width);
        let mut rest = out;
        let z = cut(&mut rest, steps * self.cell.inputs);
        let gates = cut(&mut rest, steps * 4 * w);
        let c = cut(&mut rest, (steps + 1) * w);
        let tanh = cut(&mut rest, steps * w);
        let h = cut(&mut rest, steps * w);
        c[..w].fill(T::ZERO);
        for t in 0..steps {
            let row = self.row(t) * w;
            let z = &mut z[t * 2 * w..][..2 * w];
            z[..w].copy_from_slice(&x[row..row + w]);
            match t.checked_sub(1) {
                None => z[w..].fill(T::ZERO),
                Some(before) => z[w..].copy_from_slice(&h[self.row(before) * w..][..w]),
            }
            let (before, after) = c.split_at_mut((t + 1) * w);
            let kept = Kept {
                gates: &mut gates[t * 4 * w..][..4 * w],
                before: &before[t * w..],
                tanh: &mut tanh[t * w..][..w],
            };
            let out = (&mut *rest, &mut after[..w], &mut h[row..row + w]);
            self.cell.step(set, (weight, bias, &*z), kept, out);
        }
    }
}

/// (kept, weight, ∂h by row) → the transposed weights, the gates' cotangents and those of z of all steps, and two states'.
pub(crate) struct LstmSequenceBackward<'s>(pub(crate) &'s LstmSequence);

impl LstmSequenceBackward<'_> {
    pub(crate) fn len(&self) -> usize {
        self.z().end + 2 * self.0.cell.width
    }

    /// The gates' cotangents of all steps.
    pub(crate) fn gates(&self) -> Range<usize> {
        let start = self.0.cell.inputs * 4 * self.0.cell.width;
        start..start + self.0.steps * 4 * self.0.cell.width
    }

    /// Those of z.
    pub(crate) fn z(&self) -> Range<usize> {
        let start = self.gates().end;
        start..start + self.0.steps * self.0.cell.inputs
    }
}

impl<T: Real> Nonlinear<T> for LstmSequenceBackward<'_> {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [mut kept, weight, h_cotangent] = inputs(x);
        let (cell, steps) = (&self.0.cell, self.0.steps);
        let w = cell.width;
        cut_shared(&mut kept, steps * cell.inputs);
        let gates = cut_shared(&mut kept, steps * 4 * w);
        let c = cut_shared(&mut kept, (steps + 1) * w);
        let tanh = cut_shared(&mut kept, steps * w);
        let mut rest = out;
        let transposed = cut(&mut rest, weight.len());
        let gates_cotangent = cut(&mut rest, steps * 4 * w);
        let z_cotangent = cut(&mut rest, steps * cell.inputs);
        let (dh, dc) = (cut(&mut rest, w), rest);
        cell.transpose(set, weight, transposed);
        dc.fill(T::ZERO);
        for t in (0..steps).rev() {
            dh.copy_from_slice(&h_cotangent[self.0.row(t) * w..][..w]);
            if t + 1 < steps {
                let next = &z_cotangent[(t + 1) * 2 * w..][w..2 * w];
                dh.iter_mut().zip(next).for_each(|(dh, &next)| *dh = *dh + next);
            }
            let kept = Kept {
                gates: &gates[t * 4 * w..][..4 * w],
                before: &c[t * w..][..w],
                tanh: &tanh[t * w..][..w],
            };
            let out = (
                &mut gates_cotangent[t * 4 * w..][..4 * w],
                &mut z_cotangent[t * 2 * w..][..2 * w],
            );
            cell.step_back(set, transposed, &kept, (&*dh, &mut *dc), out);
        }
    }
}

/// (x, h of the sequence from the first, h of that from the last) → their sum, all by row.
pub(crate) struct SumOfThree;

impl<T: Real> Nonlinear<T> for SumOfThree {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b, c] = inputs(x);
        for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *out = a + b + c;
        }
    }
}

/// (∂y, ∂z of the sequence from the first, ∂z of that from the last) → ∂x: what a row is to all three.
pub(crate) struct RowCotangent {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for RowCotangent {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [y_cotangent, first, last] = inputs(x);
        let w = self.width;
        let steps = out.len() / w;
        for (row, out) in out.chunks_exact_mut(w).enumerate() {
            let first = &first[row * 2 * w..];
            let last = &last[(steps - 1 - row) * 2 * w..];
            for (j, out) in out.iter_mut().enumerate() {
                *out = y_cotangent[row * w + j] + first[j] + last[j];
            }
        }
    }
}
