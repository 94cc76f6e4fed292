//! Batch norm with the ReLU behind it, and the max pool behind that if there is one, in four steps: statistics, output, parameters' gradients, input's gradient.
//! The formulas stand in `kernels/statistics.rs` and `kernels/normalisation.rs`.

use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Places, Real, SomeRows, normalisation, statistics};

/// x → (μ, r), or what is known of these behind some of the rows, which no tangent can be taken of.
pub(crate) struct BatchStatistics(pub(crate) SomeRows);

impl<T: Real> Nonlinear<T> for BatchStatistics {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        statistics::statistics(set, self.0, x, out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], y: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([x], [x_dot]) = (inputs(x), inputs(x_dot));
        assert_eq!(self.0.grid.rows, self.0.all, "the tangents of all rows are taken together");
        statistics::statistics_tangent(set, self.0.grid, [x, y], x_dot, out);
    }
}

/// (x, (μ, r), (γ, β)) → max(0, γ x̂ + β).
pub(crate) struct NormaliseRectify(pub(crate) Places);

impl<T: Real> Nonlinear<T> for NormaliseRectify {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::normalise(set, self.0, inputs(x), out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        normalisation::normalise_tangent(set, self.0, inputs(x), inputs(x_dot), out);
    }
}

/// (x, (μ, r), (γ, β), ∂y) → (∂γ, ∂β), the sums over all places; or over some, added to those before them, which no tangent can
/// be taken of.
pub(crate) struct ParameterSums {
    pub(crate) places: Places,
    pub(crate) adds: bool,
}

impl<T: Real> Nonlinear<T> for ParameterSums {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::sums(set, (self.places, self.adds), inputs(x), out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        assert!(!self.adds, "the tangents of all places are taken together");
        normalisation::sums_tangent(set, self.places, inputs(x), inputs(x_dot), out);
    }
}

/// (x, (μ, r), (γ, β), ∂y, (∂γ, ∂β)) → ∂x, at some of the places.
pub(crate) struct InputCotangent {
    pub(crate) places: Places,
    /// How many places the statistics and the sums are over.
    pub(crate) all: usize,
}

impl<T: Real> Nonlinear<T> for InputCotangent {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::input(set, (self.places, self.all), inputs(x), out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let places = (self.places, self.all);
        normalisation::input_tangent(set, places, inputs(x), inputs(x_dot), out);
    }
}
