//! Sixteen lanes in plain Rust: the reference for every other instruction set, and the fallback.

use super::lanes::{LANES, Lanes};

/// Sixteen numbers in an array.
#[derive(Clone, Copy)]
pub(super) struct Portable<T>([T; LANES]);

macro_rules! portable_lanes {
    ($scalar:ty, $bits:ty, $mantissa_bits:literal, $bias:literal) => {
        // SAFETY throughout: plain Rust but for the pointers, which the caller vouches for.
        impl Lanes for Portable<$scalar> {
            type Scalar = $scalar;

            const REGISTERS: usize = 8;

            #[inline(always)]
            unsafe fn load(from: *const $scalar) -> Self {
                // SAFETY: the caller gives sixteen readable numbers; arrays are aligned as their elements.
                Self(unsafe { from.cast::<[$scalar; LANES]>().read() })
            }

            #[inline(always)]
            unsafe fn load_first(from: *const $scalar, count: usize) -> Self {
                let mut lanes = [0.0; LANES];
                for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                    // SAFETY: the caller gives `count` readable numbers.
                    *lane = unsafe { from.add(i).read() };
                }
                Self(lanes)
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $scalar) {
                // SAFETY: the caller gives sixteen writable numbers.
                unsafe { to.cast::<[$scalar; LANES]>().write(self.0) }
            }

            #[inline(always)]
            unsafe fn store_first(self, to: *mut $scalar, count: usize) {
                for (i, value) in self.0.into_iter().take(count).enumerate() {
                    // SAFETY: the caller gives `count` writable numbers.
                    unsafe { to.add(i).write(value) }
                }
            }

            #[inline(always)]
            unsafe fn splat(value: $scalar) -> Self {
                Self([value; LANES])
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
            }

            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] / other.0[i]))
            }

            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                Self(std::array::from_fn(|i| a.0[i].mul_add(b.0[i], self.0[i])))
            }

            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                Self(self.0.map(<$scalar>::sqrt))
            }

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }
                }))
            }

            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] < other.0[i] { self.0[i] } else { other.0[i] }
                }))
            }

            #[inline(always)]
            unsafe fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] > other.0[i] { then.0[i] } else { otherwise.0[i] }
                }))
            }

            #[inline(always)]
            unsafe fn if_equal(self, other: Self, then: Self, otherwise: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    if self.0[i] == other.0[i] { then.0[i] } else { otherwise.0[i] }
                }))
            }

            #[inline(always)]
            unsafe fn times_exp2(self, shifted: Self) -> Self {
                Self(std::array::from_fn(|i| {
                    let power = shifted.0[i].to_bits() << $mantissa_bits;
                    <$scalar>::from_bits(self.0[i].to_bits().wrapping_add(power))
                }))
            }

            #[inline(always)]
            unsafe fn exponent_and_mantissa(self) -> (Self, Self) {
                let exponent =
                    self.0.map(|x| ((x.to_bits() >> $mantissa_bits) as i64 - $bias) as $scalar);
                let fraction = (1 << $mantissa_bits) - 1;
                let mantissa = self.0.map(|x| {
                    <$scalar>::from_bits((x.to_bits() & fraction) | <$scalar>::to_bits(1.0))
                });
                (Self(exponent), Self(mantissa))
            }
        }
    };
}

portable_lanes!(f32, u32, 23, 127);
portable_lanes!(f64, u64, 52, 1023);
