//! Sixteen lanes in four NEON registers.

use std::arch::aarch64::*;

use super::lanes::Lanes;

/// Sixteen f32 in four registers of four.
#[derive(Clone, Copy)]
pub(super) struct Neon([float32x4_t; 4]);

macro_rules! four {
    ($intrinsic:expr, $($lanes:ident),+) => {{
        // SAFETY: NEON is part of every AArch64 machine.
        unsafe { Self([$intrinsic($($lanes.0[0]),+), $intrinsic($($lanes.0[1]),+),
                       $intrinsic($($lanes.0[2]),+), $intrinsic($($lanes.0[3]),+)]) }
    }};
}

impl Lanes for Neon {
    type Scalar = f32;

    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives sixteen readable numbers.
        unsafe {
            Self([
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ])
        }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller gives `count` readable numbers, at most sixteen.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers.
        unsafe {
            vst1q_f32(to, self.0[0]);
            vst1q_f32(to.add(4), self.0[1]);
            vst1q_f32(to.add(8), self.0[2]);
            vst1q_f32(to.add(12), self.0[3]);
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller gives `count` writable numbers, at most sixteen.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as in `four`.
        unsafe { Self([vdupq_n_f32(value); 4]) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        four!(vaddq_f32, self, other)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        four!(vsubq_f32, self, other)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        four!(vmulq_f32, self, other)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        four!(vdivq_f32, self, other)
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        four!(vfmaq_f32, self, a, b)
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        four!(vsqrtq_f32, self)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // NEON's own maximum keeps what is not a number; the others give `other`.
        // SAFETY: as in `four`.
        unsafe { self.if_greater(other, self, other) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: as in `four`.
        unsafe { other.if_greater(self, self, other) }
    }

    #[inline(always)]
    unsafe fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        #[inline(always)]
        unsafe fn quarter(
            a: float32x4_t,
            b: float32x4_t,
            then: float32x4_t,
            otherwise: float32x4_t,
        ) -> float32x4_t {
            // SAFETY: as in `four`.
            unsafe { vbslq_f32(vcgtq_f32(a, b), then, otherwise) }
        }
        four!(quarter, self, other, then, otherwise)
    }

    #[inline(always)]
    unsafe fn if_equal(self, other: Self, then: Self, otherwise: Self) -> Self {
        #[inline(always)]
        unsafe fn quarter(
            a: float32x4_t,
            b: float32x4_t,
            then: float32x4_t,
            otherwise: float32x4_t,
        ) -> float32x4_t {
            // SAFETY: as in `four`.
            unsafe { vbslq_f32(vceqq_f32(a, b), then, otherwise) }
        }
        four!(quarter, self, other, then, otherwise)
    }

    #[inline(always)]
    unsafe fn times_exp2(self, shifted: Self) -> Self {
        #[inline(always)]
        unsafe fn quarter(x: float32x4_t, shifted: float32x4_t) -> float32x4_t {
            // SAFETY: as in `four`.
            unsafe {
                let power = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
                vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), power))
            }
        }
        four!(quarter, self, shifted)
    }

    #[inline(always)]
    unsafe fn exponent_and_mantissa(self) -> (Self, Self) {
        #[inline(always)]
        unsafe fn exponent(x: float32x4_t) -> float32x4_t {
            // SAFETY: as in `four`.
            unsafe {
                let biased = vshrq_n_u32::<23>(vreinterpretq_u32_f32(x));
                vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(biased), vdupq_n_s32(127)))
            }
        }
        #[inline(always)]
        unsafe fn mantissa(x: float32x4_t) -> float32x4_t {
            // SAFETY: as in `four`.
            unsafe {
                let fraction = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x007f_ffff));
                vreinterpretq_f32_u32(vorrq_u32(fraction, vdupq_n_u32(0x3f80_0000)))
            }
        }
        (four!(exponent, self), four!(mantissa, self))
    }
}
