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

    /// Changes θ by what the LSTM says: by s m, or with a memory by −(1 + s m) ∘ H g.
    pub(super) fn update(&self, said: &[T], observed: Observed<'_, T>, theta: &mut [T]) {
        let (set, count) = (self.instruction_set, theta.len());
        let (m, direction) = (&said[..count], observed.direction);
        if direction.is_empty() {
            return add_scaled(set, self.output_scale, m, theta);
        }
        let mut departure = [T::ZERO; LANES];
        let departure = &mut departure[..count];
        subtract_product(set, m, direction, departure);
        add_scaled(set, self.output_scale, departure, theta);
        add_scaled(set, -T::ONE, direction, theta);
    }

    /// Writes the cotangent of what the LSTM said, from λ, that of the θ it led to.
    pub(super) fn update_backward(&self, lambda: &[T], observed: Observed<'_, T>, rows: &mut [T]) {
        let (set, count) = (self.instruction_set, lambda.len());
        rows.fill(T::ZERO);
        let of_m = &mut rows[..count];
        if observed.direction.is_empty() {
            return scale(set, self.output_scale, lambda, of_m);
        }
        let mut of_departure = [T::ZERO; LANES];
        let of_departure = &mut of_departure[..count];
        scale(set, self.output_scale, lambda, of_departure);
        subtract_product(set, of_departure, observed.direction, of_m);
    }

    /// Writes the cotangents of the gradient from those of the rows that were read of it.
    pub(super) fn read_backward(&self, gradient: &[T], rows: &[T], cotangent: &mut [T]) {
        self.reading.read_backward(self.instruction_set, gradient, rows, cotangent);
    }
}
