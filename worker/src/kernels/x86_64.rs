//! Sixteen lanes in two AVX2 registers, or in one of AVX-512.

use std::arch::x86_64::*;

use super::lanes::{LANES, Lanes};

/// Sixteen f32 in two registers of eight.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256, __m256);

/// A mask for the first `count` of eight lanes.
///
/// # Safety
/// Needs AVX2.
#[inline(always)]
unsafe fn first_of_eight(count: usize) -> __m256i {
    // SAFETY: the caller has AVX2.
    unsafe {
        _mm256_cmpgt_epi32(
            _mm256_set1_epi32(count as i32),
            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
        )
    }
}

macro_rules! both {
    ($intrinsic:ident, $($lanes:ident),+) => {
        // SAFETY: `Lanes` is used only where AVX2 and FMA are there.
        unsafe { Self($intrinsic($($lanes.0),+), $intrinsic($($lanes.1),+)) }
    };
}

impl Lanes for Avx2 {
    type Scalar = f32;

    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives sixteen readable numbers.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: lanes behind `count` are not read; the second half's address is used only where it counts.
        unsafe {
            let low = _mm256_maskload_ps(from, first_of_eight(count.min(8)));
            let high =
                _mm256_maskload_ps(from.wrapping_add(8), first_of_eight(count.saturating_sub(8)));
            Self(low, high)
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: lanes behind `count` are not written.
        unsafe {
            _mm256_maskstore_ps(to, first_of_eight(count.min(8)), self.0);
            _mm256_maskstore_ps(
                to.wrapping_add(8),
                first_of_eight(count.saturating_sub(8)),
                self.1,
            );
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as in `both`.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        both!(_mm256_add_ps, self, other)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        both!(_mm256_sub_ps, self, other)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        both!(_mm256_mul_ps, self, other)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        both!(_mm256_div_ps, self, other)
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        both!(_mm256_fmadd_ps, a, b, self)
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        both!(_mm256_sqrt_ps, self)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        both!(_mm256_max_ps, self, other)
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        both!(_mm256_min_ps, self, other)
    }

    #[inline(always)]
    unsafe fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: as in `both`.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0);
            let high = _mm256_cmp_ps::<_CMP_GT_OQ>(self.1, other.1);
            Self(
                _mm256_blendv_ps(otherwise.0, then.0, low),
                _mm256_blendv_ps(otherwise.1, then.1, high),
            )
        }
    }

    #[inline(always)]
    unsafe fn if_equal(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: as in `both`.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0);
            let high = _mm256_cmp_ps::<_CMP_EQ_OQ>(self.1, other.1);
            Self(
                _mm256_blendv_ps(otherwise.0, then.0, low),
                _mm256_blendv_ps(otherwise.1, then.1, high),
            )
        }
    }

    #[inline(always)]
    unsafe fn times_exp2(self, shifted: Self) -> Self {
        #[inline(always)]
        unsafe fn half(x: __m256, shifted: __m256) -> __m256 {
            // SAFETY: as in `both`.
            unsafe {
                let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), power))
            }
        }
        both!(half, self, shifted)
    }

    #[inline(always)]
    unsafe fn exponent_and_mantissa(self) -> (Self, Self) {
        #[inline(always)]
        unsafe fn exponent(x: __m256) -> __m256 {
            // SAFETY: as in `both`.
            unsafe {
                let biased = _mm256_srli_epi32::<23>(_mm256_castps_si256(x));
                _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))
            }
        }
        #[inline(always)]
        unsafe fn mantissa(x: __m256) -> __m256 {
            // SAFETY: as in `both`.
            unsafe {
                let fraction =
                    _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x007f_ffff));
                _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f80_0000)))
            }
        }
        (both!(exponent, self), both!(mantissa, self))
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers at an aligned place.
        unsafe {
            _mm256_stream_ps(to, self.0);
            _mm256_stream_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }
}

/// Sixteen f32 in one register.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512);

/// A mask for the first `count` of sixteen lanes.
#[inline(always)]
fn first_of_sixteen(count: usize) -> __mmask16 {
    (u32::MAX >> (32 - count.min(LANES))) as __mmask16
}

macro_rules! one {
    ($intrinsic:ident, $($lanes:ident),+) => {
        // SAFETY: `Lanes` is used only where AVX-512F is there.
        unsafe { Self($intrinsic($($lanes.0),+)) }
    };
}

impl Lanes for Avx512 {
    type Scalar = f32;

    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives sixteen readable numbers.
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: lanes behind `count` are not read.
        unsafe { Self(_mm512_maskz_loadu_ps(first_of_sixteen(count), from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: lanes behind `count` are not written.
        unsafe { _mm512_mask_storeu_ps(to, first_of_sixteen(count), self.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as in `one`.
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        one!(_mm512_add_ps, self, other)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        one!(_mm512_sub_ps, self, other)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        one!(_mm512_mul_ps, self, other)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        one!(_mm512_div_ps, self, other)
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        one!(_mm512_fmadd_ps, a, b, self)
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        one!(_mm512_sqrt_ps, self)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        one!(_mm512_max_ps, self, other)
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        one!(_mm512_min_ps, self, other)
    }

    #[inline(always)]
    unsafe fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: as in `one`.
        unsafe {
            let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
            Self(_mm512_mask_blend_ps(greater, otherwise.0, then.0))
        }
    }

    #[inline(always)]
    unsafe fn if_equal(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: as in `one`.
        unsafe {
            let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0);
            Self(_mm512_mask_blend_ps(equal, otherwise.0, then.0))
        }
    }

    #[inline(always)]
    unsafe fn times_exp2(self, shifted: Self) -> Self {
        // SAFETY: as in `one`.
        unsafe {
            let power = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted.0));
            Self(_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self.0), power)))
        }
    }

    #[inline(always)]
    unsafe fn exponent_and_mantissa(self) -> (Self, Self) {
        // SAFETY: as in `one`.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let exponent = _mm512_sub_epi32(_mm512_srli_epi32::<23>(bits), _mm512_set1_epi32(127));
            let fraction = _mm512_and_si512(bits, _mm512_set1_epi32(0x007f_ffff));
            let mantissa = _mm512_or_si512(fraction, _mm512_set1_epi32(0x3f80_0000));
            (Self(_mm512_cvtepi32_ps(exponent)), Self(_mm512_castsi512_ps(mantissa)))
        }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        // SAFETY: as in `one`.
        unsafe {
            let mut a = rows;
            let mut b = rows;
            // Squares of four within every quarter of a register …
            for i in 0..LANES / 2 {
                b[2 * i] = Self(_mm512_unpacklo_ps(a[2 * i].0, a[2 * i + 1].0));
                b[2 * i + 1] = Self(_mm512_unpackhi_ps(a[2 * i].0, a[2 * i + 1].0));
            }
            for i in 0..LANES / 4 {
                for j in 0..2 {
                    let [first, second] = [b[4 * i + j].0, b[4 * i + j + 2].0];
                    let [first, second] = [_mm512_castps_pd(first), _mm512_castps_pd(second)];
                    let low = _mm512_unpacklo_pd(first, second);
                    let high = _mm512_unpackhi_pd(first, second);
                    a[4 * i + 2 * j] = Self(_mm512_castpd_ps(low));
                    a[4 * i + 2 * j + 1] = Self(_mm512_castpd_ps(high));
                }
            }
            // … and then the quarters as numbers of a square of four.
            for j in 0..4 {
                for half in 0..2 {
                    let [first, second] = [a[8 * half + j].0, a[8 * half + 4 + j].0];
                    b[8 * half + j] = Self(_mm512_shuffle_f32x4::<0x88>(first, second));
                    b[8 * half + 4 + j] = Self(_mm512_shuffle_f32x4::<0xdd>(first, second));
                }
            }
            for j in 0..8 {
                let [first, second] = [b[j].0, b[8 + j].0];
                let even = Self(_mm512_shuffle_f32x4::<0x88>(first, second));
                let odd = Self(_mm512_shuffle_f32x4::<0xdd>(first, second));
                a[j] = even;
                a[j + 8] = odd;
            }
            a
        }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers at an aligned place.
        unsafe { _mm512_stream_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }
}
