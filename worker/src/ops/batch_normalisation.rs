//! Batch norm with the ReLU behind it, and the max pool behind that if there is one, in four steps: statistics, output, parameters' gradients, input's gradient.
//! The formulas stand in `kernels/statistics.rs` and `kernels/normalisation.rs`.

use super::{InPlace, Nonlinear, inputs};
use crate::kernels::{Grid, InstructionSet, Places, Real, normalisation, statistics};

/// x → (μ, r).
pub(crate) struct BatchStatistics(pub(crate) Grid);

impl<T: Real> Nonlinear<T> for BatchStatistics {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        statistics::statistics(set, self.0, x, out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], y: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([x], [x_dot]) = (inputs(x), inputs(x_dot));
        statistics::statistics_tangent(set, self.0, [x, y], x_dot, out);
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

/// (x, (μ, r), (γ, β), ∂y) → (∂γ, ∂β).
pub(crate) struct ParameterSums(pub(crate) Places);

impl<T: Real> Nonlinear<T> for ParameterSums {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::sums(set, self.0, inputs(x), out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        normalisation::sums_tangent(set, self.0, inputs(x), inputs(x_dot), out);
    }
}

/// (x, (μ, r), (γ, β), ∂y, (∂γ, ∂β)) → ∂x.
pub(crate) struct InputCotangent(pub(crate) Places);

impl<T: Real> Nonlinear<T> for InputCotangent {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::input(set, self.0, inputs(x), out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        normalisation::input_tangent(set, self.0, inputs(x), inputs(x_dot), out);
    }
}

/// (x, (μ, r), (γ, β), (∂γ, ∂β)), with ∂y to be overwritten by ∂x.
impl<T: Real> InPlace<T> for InputCotangent {
    fn overwrite(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        normalisation::input_in_place(set, self.0, inputs(x), out);
    }
}
