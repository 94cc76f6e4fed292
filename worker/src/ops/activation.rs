//! Element-wise non-linearities. Their derivatives follow from the output alone.

use lyceum_common::config::Activation;

use super::{Nonlinear, inputs};
use crate::kernels::pointwise::{
    relu, sigmoid_of, sigmoid_slope, sigmoid_slope_tangent, tanh_of, tanh_slope,
    tanh_slope_tangent, where_positive,
};
use crate::kernels::{InstructionSet, Real};

/// x → f(x).
pub(crate) struct ActivationForward(pub(crate) Activation);

impl<T: Real> Nonlinear<T> for ActivationForward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        match self.0 {
            Activation::Relu => relu(set, x, out),
            Activation::Tanh => tanh_of(set, x, out),
            Activation::Sigmoid => sigmoid_of(set, x, out),
        }
    }

    fn tangent(&self, set: InstructionSet, _: &[&[T]], y: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let [x_dot] = inputs(x_dot);
        slope(self.0, set, y, x_dot, out);
    }
}

/// (y, ∂y) → ∂x = f′ ∂y.
pub(crate) struct ActivationBackward(pub(crate) Activation);

impl<T: Real> Nonlinear<T> for ActivationBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [y, dy] = inputs(x);
        slope(self.0, set, y, dy, out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([y, dy], [y_dot, dy_dot]) = (inputs(x), inputs(x_dot));
        match self.0 {
            Activation::Relu => where_positive(set, y, dy_dot, out),
            Activation::Tanh => tanh_slope_tangent(set, y, dy, y_dot, dy_dot, out),
            Activation::Sigmoid => sigmoid_slope_tangent(set, y, dy, y_dot, dy_dot, out),
        }
    }
}

/// f′ x, given y = f.
fn slope<T: Real>(activation: Activation, set: InstructionSet, y: &[T], x: &[T], out: &mut [T]) {
    match activation {
        Activation::Relu => where_positive(set, y, x, out),
        Activation::Tanh => tanh_slope(set, y, x, out),
        Activation::Sigmoid => sigmoid_slope(set, y, x, out),
    }
}
