//! U = G w Gᵀ of every pair of channels, and its transpose.

use super::super::lanes::{LANES, Lanes, load, store};
use super::super::real::Real;
use super::super::{InstructionSet, Kernel};
use super::{EDGE, FILTER, PLACES};

/// The extents of filters: from `inputs` channels to `outputs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filters {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether they are turned by half a turn, as the input's gradient reads them.
    pub(crate) turned: bool,
}

impl Filters {
    /// Numbers of the transformed ones.
    pub(crate) fn transformed_len(self) -> usize {
        PLACES * self.inputs * self.outputs
    }

    /// Those of the way back, whose outputs are these ones' inputs.
    pub(crate) fn back(self) -> Self {
        Self { inputs: self.outputs, outputs: self.inputs, turned: !self.turned }
    }

    /// Where a panel of filters and one of transformed ones begin, and how many columns they have.
    fn panels(self) -> impl Iterator<Item = [usize; 3]> {
        let Self { inputs, outputs, .. } = self;
        (0..outputs).step_by(LANES).map(move |first| {
            let of = |places: usize| first * places * inputs;
            [of(FILTER * FILTER), of(PLACES), LANES.min(outputs - first)]
        })
    }

    /// Which of the filter's places lies in row i and column j.
    fn tap(self, i: usize, j: usize) -> usize {
        let tap = i * FILTER + j;
        if self.turned { FILTER * FILTER - 1 - tap } else { tap }
    }
}

/// U of `w`, `[9, inputs, outputs]` → `[16, inputs, outputs]`, both in panels.
pub(crate) fn transform_filters<T: Real>(
    instruction_set: InstructionSet,
    filters: Filters,
    w: &[T],
    transformed: &mut [T],
) {
    filters.check(w.len(), transformed.len());
    T::dispatch(instruction_set, Transform { filters, w, transformed });
}

/// ∂w of ∂U, `[16, inputs, outputs]` → `[9, inputs, outputs]`, both in panels.
pub(crate) fn filter_gradient<T: Real>(
    instruction_set: InstructionSet,
    filters: Filters,
    transformed: &[T],
    w: &mut [T],
) {
    filters.check(w.len(), transformed.len());
    T::dispatch(instruction_set, Gradient { filters, transformed, w });
}

impl Filters {
    fn check(self, w: usize, transformed: usize) {
        assert_eq!(w, FILTER * FILTER * self.inputs * self.outputs, "nine numbers a filter");
        assert_eq!(transformed, self.transformed_len(), "sixteen numbers a filter");
    }
}

struct Transform<'a, T> {
    filters: Filters,
    w: &'a [T],
    transformed: &'a mut [T],
}

impl<T: Real> Kernel<T> for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let Filters { inputs, .. } = self.filters;
        for [from, to, width] in self.filters.panels() {
            for channel in 0..inputs {
                // SAFETY: lengths were checked; a narrow panel's rows are as wide as it is.
                unsafe {
                    let from = self.w.as_ptr().add(from + channel * width);
                    let to = self.transformed.as_mut_ptr().add(to + channel * width);
                    let mut rows = [[L::splat(T::ZERO); FILTER]; EDGE];
                    for j in 0..FILTER {
                        let mut column = [L::splat(T::ZERO); FILTER];
                        for i in 0..FILTER {
                            let tap = self.filters.tap(i, j);
                            column[i] = load(from.add(tap * inputs * width), width);
                        }
                        let spread = spread(column);
                        for i in 0..EDGE {
                            rows[i][j] = spread[i];
                        }
                    }
                    for i in 0..EDGE {
                        let row = spread(rows[i]);
                        for j in 0..EDGE {
                            let place = i * EDGE + j;
                            store(row[j], to.add(place * inputs * width), width);
                        }
                    }
                }
            }
        }
    }
}

struct Gradient<'a, T> {
    filters: Filters,
    transformed: &'a [T],
    w: &'a mut [T],
}

impl<T: Real> Kernel<T> for Gradient<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let Filters { inputs, .. } = self.filters;
        for [to, from, width] in self.filters.panels() {
            for channel in 0..inputs {
                // SAFETY: as in `Transform`.
                unsafe {
                    let from = self.transformed.as_ptr().add(from + channel * width);
                    let to = self.w.as_mut_ptr().add(to + channel * width);
                    let mut rows = [[L::splat(T::ZERO); EDGE]; FILTER];
                    for j in 0..EDGE {
                        let mut column = [L::splat(T::ZERO); EDGE];
                        for i in 0..EDGE {
                            let place = i * EDGE + j;
                            column[i] = load(from.add(place * inputs * width), width);
                        }
                        let gathered = gathered(column);
                        for i in 0..FILTER {
                            rows[i][j] = gathered[i];
                        }
                    }
                    for i in 0..FILTER {
                        let row = gathered(rows[i]);
                        for j in 0..FILTER {
                            let tap = self.filters.tap(i, j);
                            store(row[j], to.add(tap * inputs * width), width);
                        }
                    }
                }
            }
        }
    }
}

/// G w.
#[inline(always)]
unsafe fn spread<L: Lanes>(w: [L; FILTER]) -> [L; EDGE] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let half = L::splat(L::Scalar::from_f64(0.5));
        let ends = w[0].add(w[2]);
        [w[0], ends.add(w[1]).mul(half), ends.sub(w[1]).mul(half), w[2]]
    }
}

/// Gᵀ u.
#[inline(always)]
unsafe fn gathered<L: Lanes>(u: [L; EDGE]) -> [L; FILTER] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let half = L::splat(L::Scalar::from_f64(0.5));
        let (sum, difference) = (u[1].add(u[2]).mul(half), u[1].sub(u[2]).mul(half));
        [u[0].add(sum), difference, sum.add(u[3])]
    }
}
