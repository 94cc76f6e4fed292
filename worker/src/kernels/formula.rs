//! What a sweep computes at a place, and from which constants.

use super::lanes::{Lanes, load};
use super::places::Places;
use super::real::Real;

/// What is written by a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    Nothing,
    Pooled,
    Full,
}

/// What is computed at a place from `FULL` numbers that are not pooled, of which the first is x, and `POOLED` that are;
/// with `CONSTANTS` constants of each channel, of which the first two are the scale and the shift of x.
pub(super) trait Formula<T: Real, const FULL: usize, const POOLED: usize, const CONSTANTS: usize> {
    const WRITES: Writes;

    /// The constants of the `count` channels from `channel` on.
    ///
    /// # Safety
    /// The formula's pointers are valid for these channels, and the machine has the instructions.
    unsafe fn constants<L: Lanes<Scalar = T>>(
        &self,
        channel: usize,
        count: usize,
    ) -> [L; CONSTANTS];

    /// What is written, and what is added to the two sums.
    ///
    /// # Safety
    /// The machine has the instructions.
    unsafe fn at<L: Lanes<Scalar = T>>(
        full: [L; FULL],
        pooled: [L; POOLED],
        constants: &[L; CONSTANTS],
    ) -> (L, [L; 2]);
}

/// A pair of per-channel vectors, one behind the other: (μ, r), (γ, β), (∂γ, ∂β).
pub(super) struct Pair<T>([*const T; 2]);

impl<T> Pair<T> {
    pub(super) fn new(both: &[T], places: Places) -> Self {
        let channels = places.channels();
        assert_eq!(both.len(), 2 * channels, "there is a pair for every channel");
        Self([both.as_ptr(), both[channels..].as_ptr()])
    }

    /// # Safety
    /// The machine has the instructions, and the pair these channels.
    #[inline(always)]
    pub(super) unsafe fn load<L: Lanes<Scalar = T>>(&self, channel: usize, count: usize) -> [L; 2] {
        let [first, second] = self.0;
        // SAFETY: the caller's.
        unsafe { [load::<L>(first.add(channel), count), load::<L>(second.add(channel), count)] }
    }
}

/// Defines a formula: a struct of pairs, its constants, and what is computed from them at a place.
macro_rules! formula {
    ($(#[$doc:meta])* $name:ident { $($pair:ident),+ $(; $rows:ident)? } $writes:ident,
     constants: $count:literal $constants:block, at: |[$($full:ident),+], [$($pooled:ident),*], $c:ident| $at:block) => {
        $(#[$doc])*
        struct $name<T> { $($pair: Pair<T>,)+ $($rows: usize,)? }

        impl<T: Real> Formula<T, { $crate::kernels::formula::formula!(@count $($full)+) }, { $crate::kernels::formula::formula!(@count $($pooled)*) }, $count> for $name<T> {
            const WRITES: Writes = Writes::$writes;

            #[inline(always)]
            unsafe fn constants<L: Lanes<Scalar = T>>(&self, channel: usize, count: usize) -> [L; $count] {
                // SAFETY: the caller's.
                unsafe {
                    $(let $pair = self.$pair.load::<L>(channel, count);)+
                    $(let $rows = L::splat(T::ONE / T::from_f64(self.$rows as f64));)?
                    $constants
                }
            }

            #[inline(always)]
            unsafe fn at<L: Lanes<Scalar = T>>(
                [$($full),+]: [L; $crate::kernels::formula::formula!(@count $($full)+)],
                [$($pooled),*]: [L; $crate::kernels::formula::formula!(@count $($pooled)*)],
                $c: &[L; $count],
            ) -> (L, [L; 2]) {
                // SAFETY: the caller's.
                unsafe { $at }
            }
        }
    };
    (@count $($thing:ident)*) => { <[&str]>::len(&[$(stringify!($thing)),*]) };
}
pub(super) use formula;
