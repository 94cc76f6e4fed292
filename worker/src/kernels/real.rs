//! The numbers that kernels compute with: f32 in earnest, f64 to check it.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{InstructionSet, Kernel};

/// f32, for which every instruction set has lanes, or f64, for which the portable one has: in f64 the whole stack can
/// be compared with finite differences.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;

    /// One and a half times the first power of two beyond which numbers have no fraction: added to a small number, it leaves
    /// the nearest integer in the lowest bits.
    #[doc(hidden)]
    const ROUND: f64;
    /// The polynomial of (eʳ − 1) / r for |r| ≤ ½ ln 2 that this precision takes, from the constant on.
    #[doc(hidden)]
    const EXP_SERIES: &'static [f64];
    /// Terms of the series of ln that this precision takes.
    #[doc(hidden)]
    const LN_TERMS: usize;
    /// Where e to this and to minus this are still normal numbers.
    #[doc(hidden)]
    const EXP_LIMIT: f64;
    /// Where tanh has reached one.
    #[doc(hidden)]
    const TANH_LIMIT: f64;

    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The same number, exactly.
    fn to_f64(self) -> f64;

    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The larger one; `other` where either is not a number.
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// Runs a kernel with the lanes of `instruction_set`.
    #[doc(hidden)]
    fn dispatch<K: Kernel<Self>>(instruction_set: InstructionSet, kernel: K) -> K::Output;
}
