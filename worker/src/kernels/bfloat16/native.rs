//! Products of pairs by AVX-512's instruction for them.

use std::arch::x86_64::*;

use super::{PairKernel, PairSums};

/// Sixteen sums.
#[derive(Clone, Copy)]
struct Native(__m512);

/// # Safety
/// The machine has AVX-512F, -BW and -BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
pub(super) unsafe fn run<K: PairKernel>(kernel: K) {
    // SAFETY: the features are enabled here.
    unsafe { kernel.run::<Native>() }
}

impl PairSums for Native {
    type Pairs = __m512i;

    const IS_WIDE: bool = true;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait is used only where the instructions are there.
        Self(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives sixteen readable numbers.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as in `zero`.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const u32) -> __m512i {
        // SAFETY: the caller gives sixteen readable pairs.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(pair: u32) -> __m512i {
        // SAFETY: as in `zero`.
        unsafe { _mm512_set1_epi32(pair.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: __m512i, b: __m512i) -> Self {
        // SAFETY: as in `zero`; both types are 512 bits.
        unsafe {
            let [a, b] = [a, b].map(|pairs| std::mem::transmute::<__m512i, __m512bh>(pairs));
            Self(_mm512_dpbf16_ps(self.0, a, b))
        }
    }

    #[inline(always)]
    unsafe fn round_neighbours(from: *const f32, to: *mut u32) {
        // SAFETY: the caller gives thirty-two readable numbers, and sixteen writable pairs.
        unsafe {
            let pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from.add(16)), _mm512_loadu_ps(from));
            let pairs = std::mem::transmute::<__m512bh, __m512i>(pairs);
            _mm512_storeu_si512(to.cast(), pairs);
        }
    }

    #[inline(always)]
    unsafe fn round_rows(first: *const f32, second: *const f32, to: *mut u32) {
        // SAFETY: the caller gives sixteen readable numbers a row, and sixteen writable pairs.
        unsafe {
            let rows = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first));
            let rows = std::mem::transmute::<__m512bh, __m512i>(rows);
            // The first number of each row, the second one of each, and so on.
            let halves = _mm512_set1_epi32(16 << 16);
            let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let places =
                _mm512_add_epi32(halves, _mm512_mullo_epi32(lane, _mm512_set1_epi32(0x1_0001)));
            let pairs = _mm512_permutexvar_epi16(places, rows);
            _mm512_storeu_si512(to.cast(), pairs);
        }
    }
}
