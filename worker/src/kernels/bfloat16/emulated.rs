//! Products of pairs in steps, as the instruction for them rounds.

use super::super::lanes::LANES;
use super::{PairSums, round};

/// Sixteen sums.
#[derive(Clone, Copy)]
pub(super) struct Emulated([f32; LANES]);

/// Zero where the number is subnormal.
#[inline(always)]
fn flushed(number: f32) -> f32 {
    let is_normal = number.abs() >= f32::MIN_POSITIVE || number.is_nan();
    if is_normal { number } else { f32::from_bits(number.to_bits() & 0x8000_0000) }
}

/// The two numbers of a pair.
#[inline(always)]
fn numbers(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}

#[inline(always)]
fn pair(first: f32, second: f32) -> u32 {
    u32::from(round(first)) | u32::from(round(second)) << 16
}

impl PairSums for Emulated {
    type Pairs = [u32; LANES];

    const IS_WIDE: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives sixteen readable numbers.
        Self(unsafe { from.cast::<[f32; LANES]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives sixteen writable numbers.
        unsafe { to.cast::<[f32; LANES]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for i in 0..LANES {
            self.0[i] += other.0[i];
        }
        self
    }

    #[inline(always)]
    unsafe fn load_pairs(from: *const u32) -> [u32; LANES] {
        // SAFETY: the caller gives sixteen readable pairs.
        unsafe { from.cast::<[u32; LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn splat(pair: u32) -> [u32; LANES] {
        [pair; LANES]
    }

    #[inline(always)]
    unsafe fn add_products(mut self, a: [u32; LANES], b: [u32; LANES]) -> Self {
        for i in 0..LANES {
            let ([a0, a1], [b0, b1]) = (numbers(a[i]), numbers(b[i]));
            let sum = flushed(a1.mul_add(b1, flushed(self.0[i])));
            self.0[i] = flushed(a0.mul_add(b0, sum));
        }
        self
    }

    #[inline(always)]
    unsafe fn round_neighbours(from: *const f32, to: *mut u32) {
        for i in 0..LANES {
            // SAFETY: the caller gives thirty-two readable numbers, and sixteen writable pairs.
            unsafe { to.add(i).write(pair(*from.add(2 * i), *from.add(2 * i + 1))) }
        }
    }

    #[inline(always)]
    unsafe fn round_rows(first: *const f32, second: *const f32, to: *mut u32) {
        for i in 0..LANES {
            // SAFETY: the caller gives sixteen readable numbers a row, and sixteen writable pairs.
            unsafe { to.add(i).write(pair(*first.add(i), *second.add(i))) }
        }
    }
}
