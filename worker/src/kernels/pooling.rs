//! Max pool 2×2, and means over an image's positions. Images are `[images, rows, columns, channels]`.

use super::InstructionSet;
use super::Kernel;
use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;

/// The extents of the images that a pool reads. An odd last row or column falls off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Pool {
    /// How many numbers go in.
    pub(crate) fn input_len(self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    /// How many numbers come out.
    pub(crate) fn output_len(self) -> usize {
        self.images * (self.height / 2) * (self.width / 2) * self.channels
    }
}

/// What is done with a window of four places, of which the first that holds the maximum counts.
enum Task<'a, T> {
    /// `out = max x`.
    Maximum { out: &'a mut [T] },
    /// `out = values` at the place of x's maximum.
    Select { values: &'a [T], out: &'a mut [T] },
    /// `out = values` at the place of x's maximum, zero elsewhere.
    Scatter { values: &'a [T], out: &'a mut [T] },
}

/// The maximum of every window: `x` → `out`.
pub(crate) fn max_pool<T: Real>(
    instruction_set: InstructionSet,
    pool: Pool,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(out.len(), pool.output_len(), "an output for every window");
    run(instruction_set, pool, x, Task::Maximum { out });
}

/// `values`, laid out as `x`, at the place of every window's maximum: the tangent of [`max_pool`].
pub(crate) fn max_pool_select<T: Real>(
    instruction_set: InstructionSet,
    pool: Pool,
    x: &[T],
    values: &[T],
    out: &mut [T],
) {
    assert_eq!(values.len(), pool.input_len(), "a value for every place");
    assert_eq!(out.len(), pool.output_len(), "an output for every window");
    run(instruction_set, pool, x, Task::Select { values, out });
}

/// `values`, one a window, to the place of its maximum; zero elsewhere: the transpose of [`max_pool_select`].
pub(crate) fn max_pool_scatter<T: Real>(
    instruction_set: InstructionSet,
    pool: Pool,
    x: &[T],
    values: &[T],
    out: &mut [T],
) {
    assert_eq!(values.len(), pool.output_len(), "a value for every window");
    assert_eq!(out.len(), pool.input_len(), "an output for every place");
    if pool.height % 2 == 1 || pool.width % 2 == 1 {
        out.fill(T::ZERO);
    }
    run(instruction_set, pool, x, Task::Scatter { values, out });
}

fn run<T: Real>(instruction_set: InstructionSet, pool: Pool, x: &[T], task: Task<'_, T>) {
    assert_eq!(x.len(), pool.input_len(), "the images are as the pool reads them");
    T::dispatch(instruction_set, Run { pool, x, task });
}

struct Run<'a, T> {
    pool: Pool,
    x: &'a [T],
    task: Task<'a, T>,
}

impl<T: Real> Kernel<T> for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        let Pool { images, height, width, channels } = self.pool;
        let mut window = 0;
        for image in 0..images {
            for row in 0..height / 2 {
                for column in 0..width / 2 {
                    let corner = ((image * height + 2 * row) * width + 2 * column) * channels;
                    let mut channel = 0;
                    while channel < channels {
                        let count = LANES.min(channels - channel);
                        let place = corner + channel;
                        let below = width * channels;
                        let places =
                            [place, place + channels, place + below, place + below + channels];
                        // SAFETY: the window and the channels lie within the images, whose lengths were checked.
                        unsafe { self.window::<L>(places, window * channels + channel, count) };
                        channel += LANES;
                    }
                    window += 1;
                }
            }
        }
    }
}

impl<T: Real> Run<'_, T> {
    #[inline(always)]
    unsafe fn window<L: Lanes<Scalar = T>>(
        &mut self,
        places: [usize; 4],
        window: usize,
        count: usize,
    ) {
        // SAFETY: as in `run`.
        unsafe {
            let mut x = [L::splat(T::ZERO); 4];
            for (x, place) in x.iter_mut().zip(places) {
                *x = load::<L>(self.x.as_ptr().add(place), count);
            }
            let maximum = x[0].max(x[1]).max(x[2]).max(x[3]);
            match &mut self.task {
                Task::Maximum { out } => store(maximum, out.as_mut_ptr().add(window), count),
                Task::Select { values, out } => {
                    // Backwards, so that the first place that holds the maximum is written last.
                    let mut selected = load::<L>(values.as_ptr().add(places[3]), count);
                    for i in (0..3).rev() {
                        let value = load::<L>(values.as_ptr().add(places[i]), count);
                        selected = x[i].if_equal(maximum, value, selected);
                    }
                    store(selected, out.as_mut_ptr().add(window), count);
                }
                Task::Scatter { values, out } => {
                    let zero = L::splat(T::ZERO);
                    let mut left = load::<L>(values.as_ptr().add(window), count);
                    for (x, place) in x.into_iter().zip(places) {
                        store(x.if_equal(maximum, left, zero), out.as_mut_ptr().add(place), count);
                        left = x.if_equal(maximum, zero, left);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};

    const POOL: Pool = Pool { images: 2, height: 5, width: 4, channels: 19 };

    #[test]
    fn maxima_are_those_of_the_windows() {
        let x = numbers(1, POOL.input_len());
        for set in InstructionSet::available() {
            let mut out = vec![0.0; POOL.output_len()];
            max_pool(set, POOL, &x, &mut out);
            let at = |image: usize, row: usize, column: usize, c: usize| {
                x[((image * 5 + row) * 4 + column) * 19 + c]
            };
            for (i, &value) in out.iter().enumerate() {
                let (c, column, row, image) = (i % 19, i / 19 % 2, i / 38 % 2, i / 76);
                let window = [(0, 0), (0, 1), (1, 0), (1, 1)]
                    .map(|(r, k)| at(image, 2 * row + r, 2 * column + k, c));
                assert_eq!(value, window.into_iter().fold(f32::MIN, f32::max));
            }
        }
    }

    #[test]
    fn scatter_is_the_transpose_of_select_even_on_ties() {
        let mut x = numbers(2, POOL.input_len());
        x.iter_mut().for_each(|x| *x = x.round());
        let (u, v) = (numbers(3, POOL.input_len()), numbers(4, POOL.output_len()));
        let run = |set| {
            let (mut selected, mut scattered) = (vec![0.0; v.len()], vec![f32::NAN; u.len()]);
            max_pool_select(set, POOL, &x, &u, &mut selected);
            max_pool_scatter(set, POOL, &x, &v, &mut scattered);
            (selected, scattered)
        };
        let (selected, scattered) = run(InstructionSet::PORTABLE);
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
        };
        assert!((dot(&selected, &v) - dot(&u, &scattered)).abs() < 1e-6);
        for set in InstructionSet::available() {
            let (other_selected, other_scattered) = run(set);
            assert!(
                same_bits(&other_selected, &selected) && same_bits(&other_scattered, &scattered),
                "{set}"
            );
        }
    }
}
