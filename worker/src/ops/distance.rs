//! Squared Euclidean distances between all rows of two matrices.

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

/// How many partial sums a long sum is made of.
const PARTS: usize = 16;

/// ‖a − b‖²: sixteen partial sums, added up by halves.
fn squared_distance<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::ZERO; PARTS];
    for (a, b) in a.chunks(PARTS).zip(b.chunks(PARTS)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = *sum + (a - b) * (a - b);
        }
    }
    let mut half = PARTS / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] = sums[i] + sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}
