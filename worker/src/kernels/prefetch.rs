//! Asking for numbers ahead of time, where they are read in an order that the machine does not foresee.

use std::cell::Cell;
use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Numbers that are needed soon, as far as they have not been asked for.
pub(crate) struct Ahead<T> {
    next: Cell<*const T>,
    end: Cell<*const T>,
    /// Cache lines that are asked for at a time.
    lines: usize,
}

impl<T: Real> Ahead<T> {
    /// The numbers `range` of `numbers`, in `times` portions; none where there are not so many.
    pub(crate) fn new(numbers: &[T], range: Range<usize>, times: usize) -> Self {
        let lines = range.len().div_ceil(LANES).div_ceil(times.max(1));
        let Range { start, end } = numbers.get(range).unwrap_or_default().as_ptr_range();
        Self { next: Cell::new(start), end: Cell::new(end), lines }
    }

    /// Nothing.
    pub(crate) fn none() -> Self {
        Self::new(&[], 0..0, 1)
    }

    /// Asks for the next portion.
    ///
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    pub(super) unsafe fn ask<L: Lanes<Scalar = T>>(&self) {
        let (mut next, end) = (self.next.get(), self.end.get());
        for _ in 0..self.lines {
            if next < end {
                // SAFETY: the caller's.
                unsafe { L::prefetch(next) };
                next = next.wrapping_add(LANES);
            }
        }
        self.next.set(next);
    }

    /// Asks for the next cache line.
    ///
    /// # Safety
    /// The machine has the instructions.
    #[inline(always)]
    pub(super) unsafe fn ask_line<L: Lanes<Scalar = T>>(&self) {
        let next = self.next.get();
        if next < self.end.get() {
            self.next.set(next.wrapping_add(LANES));
            // SAFETY: the caller's.
            unsafe { L::prefetch(next) };
        }
    }
}

/// Asks for the numbers `range` of `numbers`; none where there are not so many.
pub(crate) fn prefetch<T: Real>(
    instruction_set: InstructionSet,
    numbers: &[T],
    range: Range<usize>,
) {
    T::dispatch(instruction_set, Ask(Ahead::new(numbers, range, 1)));
}

struct Ask<T>(Ahead<T>);

impl<T: Real> Kernel<T> for Ask<T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        // SAFETY: the caller has the instructions.
        unsafe { self.0.ask::<L>() }
    }
}
