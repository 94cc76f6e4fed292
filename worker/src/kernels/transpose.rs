//! Weights as the input's gradient reads them.

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// `[taps, rows, columns]` → `[taps, columns, rows]`, both in panels of sixteen columns (see [`Gather`](super::Gather)):
///
/// ```text
/// for tap, row, column: to[tap, column, row] = from[tap, row, column]
/// ```
///
/// # Panics
/// Where a slice has not as many numbers.
pub(crate) fn transpose_taps<T: Real>(
    instruction_set: InstructionSet,
    (taps, rows, columns): (usize, usize, usize),
    from: &[T],
    to: &mut [T],
) {
    let len = taps * rows * columns;
    assert!(from.len() == len && to.len() == len, "both hold the weights");
    // A square of panels at a time: `from` holds a row of it at each step, `to` a column.
    for (first_column, width) in panel_columns(columns) {
        let from = &from[first_column * taps * rows..][..taps * rows * width];
        for (first_row, height) in panel_columns(rows) {
            let to = &mut to[first_row * taps * columns..][..taps * columns * height];
            if height == LANES && width == LANES {
                let from = &from[first_row * LANES..];
                let to = &mut to[first_column * LANES..];
                T::dispatch(instruction_set, Squares { taps, rows, columns, from, to });
                continue;
            }
            for tap in 0..taps {
                let from = &from[(tap * rows + first_row) * width..][..height * width];
                let to = &mut to[(tap * columns + first_column) * height..][..width * height];
                for (i, row) in from.chunks_exact(width).enumerate() {
                    for (to, &value) in to[i..].iter_mut().step_by(height).zip(row) {
                        *to = value;
                    }
                }
            }
        }
    }
}

/// The panels of so many columns: (first, width).
fn panel_columns(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(LANES).map(move |first| (first, LANES.min(columns - first)))
}

/// Two whole panels' meeting, in every tap.
struct Squares<'a, T> {
    taps: usize,
    rows: usize,
    columns: usize,
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> Kernel<T> for Squares<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for tap in 0..self.taps {
            let from = &self.from[tap * self.rows * LANES..][..LANES * LANES];
            let to = &mut self.to[tap * self.columns * LANES..][..LANES * LANES];
            // SAFETY: both are squares of sixteen.
            unsafe {
                let mut rows = [L::splat(T::ZERO); LANES];
                for i in 0..LANES {
                    rows[i] = L::load(from.as_ptr().add(i * LANES));
                }
                let columns = L::transpose(rows);
                for j in 0..LANES {
                    columns[j].store(to.as_mut_ptr().add(j * LANES));
                }
            }
        }
    }
}
