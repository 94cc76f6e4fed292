//! bfloat16: the upper half of an f32, with eight bits of mantissa. Products of such numbers are exact in f32, and two of
//! them are added to a sum of f32 by one instruction, where the machine has it.
//!
//! What a number is rounded to is the nearest, ties to the even one; subnormal numbers are zero, as they are to that
//! instruction, which also takes subnormal sums for zero and leaves none. Machines without it do the same in steps, so that
//! all agree to the bit.

mod emulated;
#[cfg(target_arch = "x86_64")]
mod native;

use std::cell::RefCell;

use super::lanes::Lanes;
use super::real::Real;
use super::scratch::Scratch;
use super::{InstructionSet, Kernel};
use emulated::Emulated;

/// Sixteen sums of f32, to which products of pairs of bfloat16 are added. The lower half of a pair is its first number.
///
/// # Safety
/// As [`Lanes`]: where the machine is known to have the instructions, and with pointers to as many numbers as are read or
/// written.
pub(super) trait PairSums: Copy {
    /// A pair in each lane.
    type Pairs: Copy;

    /// Whether there are registers for tiles of several panels.
    const IS_WIDE: bool;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;

    unsafe fn load_pairs(from: *const u32) -> Self::Pairs;
    unsafe fn splat(pair: u32) -> Self::Pairs;
    /// `(self + a₁ b₁) + a₀ b₀`, rounded twice.
    unsafe fn add_products(self, a: Self::Pairs, b: Self::Pairs) -> Self;

    /// Rounds thirty-two numbers to sixteen pairs of neighbours.
    unsafe fn round_neighbours(from: *const f32, to: *mut u32);
    /// Rounds sixteen numbers of one row and sixteen of another to sixteen pairs of both.
    unsafe fn round_rows(first: *const f32, second: *const f32, to: *mut u32);
}

/// An algorithm over such sums, as [`Kernel`] is one over lanes.
pub(super) trait PairKernel {
    /// Runs with sums of type `S`.
    ///
    /// # Safety
    /// The machine has the instructions of `S`.
    unsafe fn run<S: PairSums>(self);
}

/// Runs a kernel by the instruction for pairs where `instruction_set` has it, and in steps elsewhere.
#[inline]
pub(super) fn run_pairs<K: PairKernel>(instruction_set: InstructionSet, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    if instruction_set.has_bfloat16() {
        // SAFETY: the machine was asked.
        return unsafe { native::run(kernel) };
    }
    f32::dispatch(instruction_set, InSteps(kernel));
}

struct InSteps<K>(K);

impl<K: PairKernel> Kernel<f32> for InSteps<K> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) {
        // SAFETY: plain Rust; the caller's features make it faster.
        unsafe { self.0.run::<Emulated>() }
    }
}

/// What a thread rounds operands into: as large as the largest layer's so far.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    /// Inputs of the terms of a sum, of which there are two at most.
    pub(super) inputs: [Scratch; 2],
    /// Weights, or cotangents.
    pub(super) weights: [Scratch; 2],
}

thread_local! {
    static ROUNDED: RefCell<Rounded> = RefCell::default();
}

/// Lends the thread's buffers.
pub(super) fn with_rounded<R>(work: impl FnOnce(&mut Rounded) -> R) -> R {
    ROUNDED.with_borrow_mut(work)
}

/// The same numbers, if they are f32: f64 is there to check the rest, and is never rounded.
pub(super) fn as_f32<T: Real>(numbers: &[T]) -> Option<&[f32]> {
    let is_f32 = std::any::TypeId::of::<T>() == std::any::TypeId::of::<f32>();
    // SAFETY: T is f32.
    is_f32.then(|| unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) })
}

/// As [`as_f32`].
pub(super) fn as_f32_mut<T: Real>(numbers: &mut [T]) -> Option<&mut [f32]> {
    let is_f32 = std::any::TypeId::of::<T>() == std::any::TypeId::of::<f32>();
    let (start, len) = (numbers.as_mut_ptr().cast(), numbers.len());
    // SAFETY: T is f32.
    is_f32.then(|| unsafe { std::slice::from_raw_parts_mut(start, len) })
}

/// The operands of a sum's terms, of which there are two at most, likewise: none where they are not f32.
pub(super) fn terms_as_f32<'a, T: Real>(
    terms: &[(&'a [T], &'a [T])],
) -> [(&'a [f32], &'a [f32]); 2] {
    let term = |&(a, b): &(&'a [T], &'a [T])| Some((as_f32(a)?, as_f32(b)?));
    std::array::from_fn(|i| terms.get(i).and_then(term).unwrap_or_default())
}

/// Rounds a number as the instruction does, to which what is below the smallest normal number is zero; gives the bits of its
/// upper half.
#[inline(always)]
pub(super) fn round(number: f32) -> u16 {
    if number.abs() < f32::MIN_POSITIVE {
        return (number.to_bits() >> 16) as u16 & 0x8000;
    }
    lyceum_common::bfloat16::round(number)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    /// The f32 that a rounded number is.
    pub(in crate::kernels) fn rounded(number: f32) -> f32 {
        f32::from_bits(u32::from(round(number)) << 16)
    }

    #[test]
    fn rounding_is_to_the_nearest_and_to_the_even_one() {
        let ulp = f32::EPSILON * 65536.0;
        for (number, expected) in [
            (1.0, 1.0),
            (1.0 + 0.49 * ulp, 1.0),
            (1.0 + 0.5 * ulp, 1.0),
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
            (-1.0 - 0.51 * ulp, -1.0 - ulp),
            (f32::MAX, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
            (-0.0, -0.0),
            (1e-39, 0.0),
            (-1e-39, -0.0),
        ] {
            assert_eq!(rounded(number).to_bits(), expected.to_bits(), "{number}");
        }
        assert!(rounded(f32::NAN).is_nan());
    }

    /// Two rows of sixteen numbers, rounded and multiplied with one another.
    struct RoundAndMultiply<'a> {
        rows: &'a [f32; 32],
        sums: &'a mut [f32; 16],
        pairs: &'a mut [u32; 32],
    }

    impl PairKernel for RoundAndMultiply<'_> {
        #[inline(always)]
        unsafe fn run<S: PairSums>(self) {
            let (neighbours, pairs) = self.pairs.split_at_mut(16);
            let [first, second] = [self.rows.as_ptr(), self.rows[16..].as_ptr()];
            // SAFETY: as many numbers as are read and written.
            unsafe {
                S::round_neighbours(first, neighbours.as_mut_ptr());
                S::round_rows(first, second, pairs.as_mut_ptr());
                let [a, b] = [neighbours, pairs].map(|pairs| S::load_pairs(pairs.as_ptr()));
                let sums = S::load(first).add_products(a, b);
                sums.add_products(S::splat(self.pairs[19]), b).store(self.sums.as_mut_ptr());
            }
        }
    }

    fn compute(set: InstructionSet, rows: &[f32; 32]) -> ([f32; 16], [u32; 32]) {
        let (mut sums, mut pairs) = ([0.0; 16], [0; 32]);
        run_pairs(set, RoundAndMultiply { rows, sums: &mut sums, pairs: &mut pairs });
        (sums, pairs)
    }

    proptest! {
        #[test]
        fn every_instruction_set_rounds_and_multiplies_alike(seed: u64, scale in -140i32..120, spread in 0i32..60) {
            let numbers: Vec<f32> = numbers(seed, 32)
                .into_iter()
                .enumerate()
                .map(|(i, x)| x * 2f32.powi((scale + i as i32 * spread / 32).clamp(-149, 127)))
                .collect();
            let rows: [f32; 32] = numbers.try_into().unwrap();
            let (sums, pairs) = compute(InstructionSet::PORTABLE, &rows);
            for i in 0..16 {
                let [a, b, c, d] = [rows[2 * i], rows[2 * i + 1], rows[i], rows[16 + i]].map(round).map(u32::from);
                prop_assert_eq!([pairs[i], pairs[16 + i]], [a | b << 16, c | d << 16]);
            }
            for set in InstructionSet::available() {
                let (others, other_pairs) = compute(set, &rows);
                prop_assert!(same_bits(&others, &sums), "{}: {:?} {:?}", set, others, sums);
                prop_assert_eq!(other_pairs, pairs);
            }
        }
    }
}
