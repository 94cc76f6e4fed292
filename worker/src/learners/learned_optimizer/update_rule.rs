//! The update rule around the LSTM: what it reads of the coordinates of a block, and how what it says of them changes their θ.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_READS as READS;

use crate::kernels::pointwise::{add_scaled, scale, subtract_product};
use crate::kernels::{InstructionSet, LANES, LogAndSign, Real};

/// What is known of coordinates at a step.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a, T> {
    pub(super) gradient: &'a [T],
    /// H times it; nothing without a memory.
    pub(super) direction: &'a [T],
}

impl<'a, T> Observed<'a, T> {
    /// What is known of some of them.
    pub(super) fn of(self, coordinates: Range<usize>) -> Self {
        let direction = self.direction.get(coordinates.clone()).unwrap_or_default();
        Self { gradient: &self.gradient[coordinates], direction }
    }
}

/// Rows as the LSTM has them, for up to sixteen coordinates.
#[derive(Clone, Copy)]
pub(super) struct UpdateRule<T> {
    pub(super) reading: LogAndSign<T>,
    pub(super) output_scale: T,
    pub(super) instruction_set: InstructionSet,
}

impl<T: Real> UpdateRule<T> {
    /// Writes what the LSTM reads.
    pub(super) fn read(&self, observed: Observed<'_, T>, rows: &mut [T]) {
        let (of_gradient, of_direction) = rows.split_at_mut(READS * LANES);
        self.reading.read(self.instruction_set, observed.gradient, of_gradient);
        if !observed.direction.is_empty() {
            self.reading.read(self.instruction_set, observed.direction, of_direction);
        }
    }

    /// Changes θ by what the LSTM says, m and k, whose m becomes m − k H g.
    pub(super) fn update(&self, said: &mut [T], observed: Observed<'_, T>, theta: &mut [T]) {
        let (first, second) = said.split_at_mut(LANES);
        let step = &mut first[..theta.len()];
        if !observed.direction.is_empty() {
            let share = &second[..theta.len()];
            subtract_product(self.instruction_set, share, observed.direction, step);
        }
        add_scaled(self.instruction_set, self.output_scale, step, theta);
    }

    /// Writes the cotangents of what the LSTM said, from λ, that of the θ it led to.
    pub(super) fn update_backward(&self, lambda: &[T], observed: Observed<'_, T>, rows: &mut [T]) {
        let (first, second) = rows.split_at_mut(LANES);
        let (cotangent, beyond) = first.split_at_mut(lambda.len());
        scale(self.instruction_set, self.output_scale, lambda, cotangent);
        beyond.fill(T::ZERO);
        second.fill(T::ZERO);
        if !observed.direction.is_empty() {
            let of_share = &mut second[..lambda.len()];
            subtract_product(self.instruction_set, cotangent, observed.direction, of_share);
        }
    }

    /// Writes the cotangents of the gradient from those of the rows that were read of it.
    pub(super) fn read_backward(&self, gradient: &[T], rows: &[T], cotangent: &mut [T]) {
        self.reading.read_backward(self.instruction_set, gradient, rows, cotangent);
    }
}
