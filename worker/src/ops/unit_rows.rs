//! Rows scaled to the same length: products of rows of length one are cosines.

use super::dot_product::dot;
use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real};

/// No row is divided by less than this.
const SHORTEST: f64 = 1e-8;

/// xᵢ → s xᵢ / max(‖xᵢ‖, 10⁻⁸), over rows of `width` numbers.
pub(crate) struct UnitRow {
    pub(crate) width: usize,
    /// s.
    pub(crate) scale: f32,
}

impl<T: Real> Nonlinear<T> for UnitRow {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let ([x], scale) = (inputs(x), T::from_f64(f64::from(self.scale)));
        for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
            let share = scale / length(x).max(T::from_f64(SHORTEST));
            for (out, &x) in out.iter_mut().zip(x) {
                *out = x * share;
            }
        }
    }
}

/// (x, y, ∂y) → ∂xᵢ = (s ∂yᵢ − yᵢ (yᵢ · ∂yᵢ) / s) / ‖xᵢ‖; s ∂yᵢ / 10⁻⁸ for the shortest, whose divisor is constant.
pub(crate) struct UnitRowBackward {
    pub(crate) width: usize,
    /// s.
    pub(crate) scale: f32,
}

impl<T: Real> Nonlinear<T> for UnitRowBackward {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let (width, scale) = (self.width, T::from_f64(f64::from(self.scale)));
        let [x, y, dy] = inputs(x).map(|plane: &[T]| plane.chunks_exact(width));
        for (((x, y), dy), out) in x.zip(y).zip(dy).zip(out.chunks_exact_mut(width)) {
            let (length, shortest) = (length(x), T::from_f64(SHORTEST));
            let along = if length > shortest { dot(y, dy) / scale } else { T::ZERO };
            let share = T::ONE / length.max(shortest);
            for ((out, &y), &dy) in out.iter_mut().zip(y).zip(dy) {
                *out = (scale * dy - y * along) * share;
            }
        }
    }
}

fn length<T: Real>(x: &[T]) -> T {
    dot(x, x).sqrt()
}
