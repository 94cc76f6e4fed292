//! Squared Euclidean distances between all rows of two matrices.

use super::partial_sums::sum_of_pairs;
use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real};

/// (a, b) → y, yᵢⱼ = −‖aᵢ − bⱼ‖²: `[rows, width]` and `[columns, width]` → `[rows, columns]`.
///
/// By differences rather than by expansion, which loses the digits of near points.
pub(crate) struct NegativeSquaredDistance {
    pub(crate) width: usize,
}

impl<T: Real> Nonlinear<T> for NegativeSquaredDistance {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b] = inputs(x);
        let columns = b.len() / self.width;
        for (a, out) in a.chunks_exact(self.width).zip(out.chunks_exact_mut(columns)) {
            for (b, out) in b.chunks_exact(self.width).zip(out) {
                *out = -squared_distance(a, b);
            }
        }
    }
}

/// Of which of the two matrices a cotangent is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// The one that has a row for each row of y.
    Rows,
    /// The one that has a row for each column of y.
    Columns,
}

impl Side {
    /// What the index of one's own row is multiplied by in y, and that of the other matrix's, given the rows of each.
    pub(super) fn strides(self, own: usize, others: usize) -> (usize, usize) {
        match self {
            Self::Rows => (others, 1),
            Self::Columns => (1, own),
        }
    }
}

/// (∂y, a, b) → ∂aᵢ = −2 Σⱼ ∂yᵢⱼ (aᵢ − bⱼ); on the other side, (∂y, b, a) → ∂bⱼ = −2 Σᵢ ∂yᵢⱼ (bⱼ − aᵢ).
pub(crate) struct DistanceCotangent {
    pub(crate) width: usize,
    pub(crate) side: Side,
}

impl<T: Real> Nonlinear<T> for DistanceCotangent {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [dy, own, other] = inputs(x);
        let (count, others) = (own.len() / self.width, other.len() / self.width);
        let (stride, other_stride) = self.side.strides(count, others);
        out.fill(T::ZERO);
        let rows = own.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width));
        for (i, (own, out)) in rows.enumerate() {
            for (j, other) in other.chunks_exact(self.width).enumerate() {
                let slope = dy[i * stride + j * other_stride] * T::from_f64(-2.0);
                for ((out, &own), &other) in out.iter_mut().zip(own).zip(other) {
                    *out = *out + slope * (own - other);
                }
            }
        }
    }
}

/// ‖a − b‖².
fn squared_distance<T: Real>(a: &[T], b: &[T]) -> T {
    sum_of_pairs(a, b, |a, b| (a - b) * (a - b))
}
