//! A batch's mean and deviation, channel by channel (Ioffe and Szegedy 2015), and their tangents.
//!
//! x is `[rows, channels]`, M its rows: μ = Σ x / M, σ² = Σ (x − μ)² / M, and r = 1/√(σ² + ε). Statistics are (μ, r).

use super::formula::{Formula, Pair, Writes, formula};
use super::lanes::{LANES, Lanes, load, store};
use super::places::{Grid, Places};
use super::real::Real;
use super::sweep::{Totals, sweep};
use super::{InstructionSet, Kernel};

/// ε, added to the variance: PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

fn scaled<T: Real>(values: &mut [T], rows: usize) {
    let share = T::ONE / T::from_f64(rows as f64);
    for value in values {
        *value = *value * share;
    }
}

/// Rows whose statistics are taken at a time, while they are in the first-level cache.
const BLOCK: usize = 64;

/// Some of all rows of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SomeRows {
    /// Their number, and that of channels.
    pub(crate) grid: Grid,
    /// How many rows there are before them, and in all.
    pub(crate) before: usize,
    pub(crate) all: usize,
}

struct Statistics<T> {
    grid: Grid,
    /// Rows whose mean and squares are there already.
    before: usize,
    x: *const T,
    mean: *mut T,
    squares: *mut T,
}

impl<T: Real> Kernel<T> for Statistics<T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let channels = self.grid.channels;
        let mut channel = 0;
        // SAFETY: channels stay within the grid, for which the pointers are valid.
        unsafe {
            while channel + 4 * LANES <= channels {
                self.strip::<L, 4>(channel, LANES);
                channel += 4 * LANES;
            }
            while channel < channels {
                self.strip::<L, 1>(channel, LANES.min(channels - channel));
                channel += LANES;
            }
        }
    }
}

impl<T: Real> Statistics<T> {
    /// Mean and sum of squared deviations of `COLUMNS` vectors of channels, block by block: those of two sets of rows
    /// are combined as Chan, Golub and LeVeque (1979) do.
    #[inline(always)]
    unsafe fn strip<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        channel: usize,
        count: usize,
    ) {
        let Grid { rows, channels } = self.grid;
        // SAFETY: as in `run`.
        unsafe {
            let zero = L::splat(T::ZERO);
            let (mut means, mut squares) = ([zero; COLUMNS], [zero; COLUMNS]);
            if self.before > 0 {
                for j in 0..COLUMNS {
                    means[j] = load(self.mean.add(channel + j * LANES), count);
                    squares[j] = load(self.squares.add(channel + j * LANES), count);
                }
            }
            for start in (0..rows).step_by(BLOCK) {
                let here = BLOCK.min(rows - start);
                let first = self.x.add(start * channels + channel);
                let mut sums = [zero; COLUMNS];
                for row in 0..here {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(load::<L>(first.add(row * channels + j * LANES), count));
                    }
                }
                let share = L::splat(T::from_f64(1.0 / here as f64));
                let mut centres = sums;
                for centre in &mut centres {
                    *centre = centre.mul(share);
                }
                let mut deviations = [zero; COLUMNS];
                for row in 0..here {
                    for (j, deviation) in deviations.iter_mut().enumerate() {
                        let x = load::<L>(first.add(row * channels + j * LANES), count);
                        let centred = x.sub(centres[j]);
                        *deviation = deviation.mul_add(centred, centred);
                    }
                }
                let seen = (self.before + start) as f64;
                let all = seen + here as f64;
                let weight = L::splat(T::from_f64(here as f64 / all));
                let between = L::splat(T::from_f64(seen * here as f64 / all));
                for j in 0..COLUMNS {
                    let apart = centres[j].sub(means[j]);
                    means[j] = means[j].mul_add(apart, weight);
                    let joined = squares[j].add(deviations[j]);
                    squares[j] = joined.mul_add(apart.mul(apart), between);
                }
            }
            for j in 0..COLUMNS {
                store(means[j], self.mean.add(channel + j * LANES), count);
                store(squares[j], self.squares.add(channel + j * LANES), count);
            }
        }
    }
}

/// (μ, r) of all rows, once the last of them are given; before that, what `out` has to hold when the next ones are.
pub(crate) fn statistics<T: Real>(
    instruction_set: InstructionSet,
    SomeRows { grid, before, all }: SomeRows,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), grid.len(), "x fills the grid");
    let (mean, r) = out.split_at_mut(grid.channels);
    assert_eq!(r.len(), grid.channels, "there is a pair for every channel");
    let (x, mean, squares) = (x.as_ptr(), mean.as_mut_ptr(), r.as_mut_ptr());
    T::dispatch(instruction_set, Statistics { grid, before, x, mean, squares });
    if before + grid.rows == all {
        scaled(r, all);
        for r in r {
            *r = T::ONE / (*r + T::from_f64(EPSILON)).sqrt();
        }
    }
}

formula! { StatisticsTangent { statistics } Nothing,
    constants: 2 { statistics },
    at: |[x, x_dot], [], c| {
        let x_hat = x.sub(c[0]).mul(c[1]);
        (x_hat, [x_dot, x_hat.mul(x_dot)])
    }
}

/// (μ̇, ṙ): μ̇ = mean ẋ, ṙ = −r² mean(x̂ ẋ).
pub(crate) fn statistics_tangent<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics]: [&[T]; 2],
    x_dot: &[T],
    out: &mut [T],
) {
    let places = Places::Rows(grid);
    let formula = StatisticsTangent { statistics: Pair::new(statistics, places) };
    let (mean_dot, r_dot) = out.split_at_mut(grid.channels);
    let reads = ([x, x_dot], []);
    let sums = Totals::Written([&mut *mean_dot, &mut *r_dot]);
    sweep(instruction_set, places, &formula, reads, &mut [], sums);
    scaled(mean_dot, grid.rows);
    scaled(r_dot, grid.rows);
    for (r_dot, &r) in r_dot.iter_mut().zip(&statistics[grid.channels..]) {
        *r_dot = -(r * r * *r_dot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};

    #[test]
    fn blocks_join_to_the_mean_and_deviation_of_all_rows() {
        for (rows, channels) in [(1, 3), (64, 16), (65, 70), (300, 20)] {
            let grid = Grid { rows, channels };
            // A mean far from zero, where sums of squares would lose the deviation.
            let x: Vec<f32> = numbers(5, grid.len()).iter().map(|x| 100.0 + x).collect();
            let mut expected = vec![f32::NAN; 2 * channels];
            let all = SomeRows { grid, before: 0, all: rows };
            statistics(InstructionSet::PORTABLE, all, &x, &mut expected);
            for channel in 0..channels {
                let column = || x.iter().skip(channel).step_by(channels).map(|&x| f64::from(x));
                let mean = column().sum::<f64>() / rows as f64;
                let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
                let r = 1.0 / (variance + EPSILON).sqrt();
                assert!((f64::from(expected[channel]) - mean).abs() < 1e-4);
                assert!((f64::from(expected[channels + channel]) / r - 1.0).abs() < 1e-3);
            }
            for set in InstructionSet::available() {
                let mut out = vec![f32::NAN; 2 * channels];
                statistics(set, all, &x, &mut out);
                assert!(same_bits(&out, &expected), "{set}");
                // In two parts, of which the first is of whole blocks.
                let first = if rows > BLOCK { BLOCK } else { 0 };
                for (from, to) in [(0, first), (first, rows)].into_iter().filter(|(a, b)| a < b) {
                    let grid = Grid { rows: to - from, channels };
                    let some = SomeRows { grid, before: from, all: rows };
                    statistics(set, some, &x[from * channels..to * channels], &mut out);
                }
                assert!(same_bits(&out, &expected), "{set}");
            }
        }
    }
}
