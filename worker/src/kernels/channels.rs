//! Sums over the rows of a grid.

use super::InstructionSet;
use super::formula::{Formula, Writes};
use super::lanes::Lanes;
use super::places::{Grid, Places};
use super::real::Real;
use super::sweep::{Totals, sweep};

struct Sum;

impl<T: Real> Formula<T, 1, 0, 0> for Sum {
    const WRITES: Writes = Writes::Nothing;

    #[inline(always)]
    unsafe fn constants<L: Lanes<Scalar = T>>(&self, _: usize, _: usize) -> [L; 0] {
        []
    }

    #[inline(always)]
    unsafe fn at<L: Lanes<Scalar = T>>([x]: [L; 1], []: [L; 0], []: &[L; 0]) -> (L, [L; 2]) {
        // SAFETY: the caller has the instructions.
        (x, unsafe { [x, L::splat(T::ZERO)] })
    }
}

/// Σ over rows: the gradient of a bias. `x [rows, channels]` → `sums [channels]`.
pub(crate) fn sum_rows<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    x: &[T],
    sums: &mut [T],
) {
    assert_eq!(sums.len(), grid.channels, "there is a sum for every channel");
    sweep(
        instruction_set,
        Places::Rows(grid),
        &Sum,
        ([x], []),
        &mut [],
        Totals::Written([sums, &mut []]),
    );
}
