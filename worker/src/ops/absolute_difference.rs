//! Absolute differences between all rows of two matrices, number by number.

use super::{Nonlinear, Side, inputs};
use crate::kernels::{InstructionSet, Real};

/// (a, b) → y, yᵢⱼ = |aᵢ − bⱼ|: `[rows, width]` and `[columns, width]` → `[rows, columns, width]`.
pub(crate) struct AbsoluteDifference {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for AbsoluteDifference {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b] = inputs(x);
        for (a, out) in a.chunks_exact(self.width).zip(out.chunks_exact_mut(b.len())) {
            for (b, out) in b.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *out = if a > b { a - b } else { b - a };
                }
            }
        }
    }
}

/// (∂y, a, b) → ∂aᵢ = Σⱼ ∂yᵢⱼ sign(aᵢ − bⱼ); on the other side, (∂y, b, a) → ∂bⱼ = Σᵢ ∂yᵢⱼ sign(bⱼ − aᵢ). Where both are
/// equal the sign is zero, as in PyTorch.
pub(crate) struct AbsoluteDifferenceCotangent {
    pub(crate) width: usize,
    pub(crate) side: Side,
}

impl<T: Real> Nonlinear<T> for AbsoluteDifferenceCotangent {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [dy, own, other] = inputs(x);
        let width = self.width;
        let (count, others) = (own.len() / width, other.len() / width);
        let (stride, other_stride) = self.side.strides(count, others);
        out.fill(T::ZERO);
        let rows = own.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for (i, (own, out)) in rows.enumerate() {
            for (j, other) in other.chunks_exact(width).enumerate() {
                let at = (i * stride + j * other_stride) * width;
                let slopes = &dy[at..at + width];
                for (((out, &own), &other), &dy) in out.iter_mut().zip(own).zip(other).zip(slopes) {
                    let signed = if own > other {
                        dy
                    } else if own < other {
                        -dy
                    } else {
                        T::ZERO
                    };
                    *out = *out + signed;
                }
            }
        }
    }
}
