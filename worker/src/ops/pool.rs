//! Max pool 2×2 and its gradient. Both move values to or from the place of each window's maximum.

use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Pool, Real, max_pool, max_pool_scatter, max_pool_select};

/// x → max over windows.
pub(crate) struct MaxPool(pub(crate) Pool);

impl<T: Real> Nonlinear<T> for MaxPool {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x] = inputs(x);
        max_pool(set, self.0, x, out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([x], [x_dot]) = (inputs(x), inputs(x_dot));
        max_pool_select(set, self.0, x, x_dot, out);
    }
}

/// (x, ∂y) → ∂x.
pub(crate) struct MaxPoolBackward(pub(crate) Pool);

impl<T: Real> Nonlinear<T> for MaxPoolBackward {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [x, dy] = inputs(x);
        max_pool_scatter(set, self.0, x, dy, out);
    }

    fn tangent(&self, set: InstructionSet, x: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let ([x, _], [_, dy_dot]) = (inputs(x), inputs(x_dot));
        max_pool_scatter(set, self.0, x, dy_dot, out);
    }
}
