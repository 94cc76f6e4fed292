//! Products of all rows of two matrices.

use super::{Nonlinear, Side, inputs};
use crate::kernels::{InstructionSet, Real};

/// (a, b) → y, yᵢⱼ = aᵢ · bⱼ: `[rows, width]` and `[columns, width]` → `[rows, columns]`.
pub(crate) struct DotProduct {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for DotProduct {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b] = inputs(x);
        let columns = b.len() / self.width;
        for (a, out) in a.chunks_exact(self.width).zip(out.chunks_exact_mut(columns)) {
            for (b, out) in b.chunks_exact(self.width).zip(out) {
                *out = dot(a, b);
            }
        }
    }
}

/// (∂y, b) → ∂aᵢ = Σⱼ ∂yᵢⱼ bⱼ; on the other side, (∂y, a) → ∂bⱼ = Σᵢ ∂yᵢⱼ aᵢ.
pub(crate) struct DotProductCotangent {
    pub(crate) width: usize,
    pub(crate) side: Side,
}

impl<T: Real> Nonlinear<T> for DotProductCotangent {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [dy, other] = inputs(x);
        let (count, others) = (out.len() / self.width, other.len() / self.width);
        let (stride, other_stride) = self.side.strides(count, others);
        out.fill(T::ZERO);
        for (i, out) in out.chunks_exact_mut(self.width).enumerate() {
            for (j, other) in other.chunks_exact(self.width).enumerate() {
                let slope = dy[i * stride + j * other_stride];
                for (out, &other) in out.iter_mut().zip(other) {
                    *out = *out + slope * other;
                }
            }
        }
    }
}

/// a · b, from the first number to the last.
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for (&a, &b) in a.iter().zip(b) {
        sum = sum + a * b;
    }
    sum
}
