//! Sixteen numbers at a time: the only vector that the kernels know.
//!
//! Every instruction set has sixteen lanes, in as many registers as it takes, does the same operations in the same
//! order and rounds once where it multiplies and adds. So all of them agree to the bit.

use lyceum_common::abreast::ABREAST;

use super::real::Real;

/// How many lanes every vector has, whatever the width of the machine's registers.
pub(crate) const LANES: usize = 16;

/// What streamed rows are aligned to, in bytes.
pub(super) const STREAM_ALIGNMENT: usize = 64;
const _: () = assert!(LANES == ABREAST, "episodes abreast have a lane each");

/// Sixteen numbers.
///
/// # Safety
/// Every function may use instructions of its own instruction set: it is to be called where that set is known to be
/// there, which is inside [`Kernel::run`](super::Kernel::run). Pointers are to be valid for the lanes read or written.
pub(crate) trait Lanes: Copy {
    /// What a lane holds.
    type Scalar: Real;

    /// How many vectors fit into the machine's registers: what a tile of sums may take up.
    const REGISTERS: usize;

    unsafe fn load(from: *const Self::Scalar) -> Self;
    /// The first `count` (1 to 16) lanes; zero in the others.
    unsafe fn load_first(from: *const Self::Scalar, count: usize) -> Self;
    unsafe fn store(self, to: *mut Self::Scalar);
    /// The first `count` (1 to 16) lanes alone.
    unsafe fn store_first(self, to: *mut Self::Scalar, count: usize);
    unsafe fn splat(value: Self::Scalar) -> Self;

    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self + a · b`, rounded once.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// The larger one; `other` where either is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller one; `other` where either is not a number.
    unsafe fn min(self, other: Self) -> Self;
    /// `then` where `self > other`, else `otherwise`.
    unsafe fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// `then` where `self == other`, else `otherwise`.
    unsafe fn if_equal(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// `self · 2ᵏ`, where both are normal numbers; `shifted` is k + [`Real::ROUND`], which has the integer k in its lowest bits.
    unsafe fn times_exp2(self, shifted: Self) -> Self;
    /// A positive normal number as (e, m) with `self = 2ᵉ m` and m in [1, 2).
    unsafe fn exponent_and_mantissa(self) -> (Self, Self);

    /// The columns of a square whose rows these are.
    #[inline(always)]
    unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let mut from = [[Self::Scalar::ZERO; LANES]; LANES];
        let mut to = [[Self::Scalar::ZERO; LANES]; LANES];
        // SAFETY: the arrays have sixteen places each.
        unsafe {
            for i in 0..LANES {
                rows[i].store(from[i].as_mut_ptr());
            }
            for i in 0..LANES {
                for j in 0..LANES {
                    to[j][i] = from[i][j];
                }
            }
            let mut columns = rows;
            for j in 0..LANES {
                columns[j] = Self::load(to[j].as_ptr());
            }
            columns
        }
    }

    /// Asks for the cache line at `from`, which need not be there, where the machine can be asked.
    #[inline(always)]
    unsafe fn prefetch(from: *const Self::Scalar) {
        let _ = from;
    }

    /// As [`Lanes::store`], past the caches where the machine can, to a place that is aligned to [`STREAM_ALIGNMENT`]; others
    /// see it once [`streamed`](super::streamed) is behind it.
    #[inline(always)]
    unsafe fn stream(self, to: *mut Self::Scalar) {
        // SAFETY: the caller's.
        unsafe { self.store(to) }
    }
    /// The sum over all lanes, by halves: i + (i + 8), then 4, 2, 1 apart.
    #[inline(always)]
    unsafe fn sum(self) -> Self::Scalar {
        let mut lanes = [Self::Scalar::ZERO; LANES];
        // SAFETY: the array has sixteen places.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = lanes[i] + lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// All lanes, or the first `count` of them.
///
/// # Safety
/// As [`Lanes::load_first`].
#[inline(always)]
pub(super) unsafe fn load<L: Lanes>(from: *const L::Scalar, count: usize) -> L {
    // SAFETY: the caller vouches for `count` numbers.
    unsafe { if count == LANES { L::load(from) } else { L::load_first(from, count) } }
}

/// All lanes, or the first `count` of them.
///
/// # Safety
/// As [`Lanes::store_first`].
#[inline(always)]
pub(super) unsafe fn store<L: Lanes>(value: L, to: *mut L::Scalar, count: usize) {
    // SAFETY: the caller vouches for `count` numbers.
    unsafe { if count == LANES { value.store(to) } else { value.store_first(to, count) } }
}

#[cfg(test)]
mod tests;
