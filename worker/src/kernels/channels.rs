//! Maps and sums over a grid `[rows, channels]`, channel by channel: what batch norm and biases are made of.

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Rows summed up before they are added to the sum of the rows before them: long sums lose fewer digits so.
const BLOCK: usize = 64;

/// The extents of `[rows, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
}

impl Grid {
    /// How many numbers it has.
    pub(crate) fn len(self) -> usize {
        self.rows * self.channels
    }
}

/// What is done at each place of a grid, with constants of each channel and up to two sums over its rows.
///
/// # Safety
/// Pointers in `self` are valid for the grid that it is run over.
pub(super) trait Channelwise<T: Real> {
    /// The constants of sixteen channels.
    type Constants<L: Lanes<Scalar = T>>: Copy;

    /// Loads the constants of the `count` channels from `channel` on.
    unsafe fn constants<L: Lanes<Scalar = T>>(
        &self,
        channel: usize,
        count: usize,
    ) -> Self::Constants<L>;

    /// Does what is to be done at `place` of the grid, and gives what is to be summed.
    unsafe fn at<L: Lanes<Scalar = T>>(
        &self,
        place: usize,
        count: usize,
        constants: &Self::Constants<L>,
    ) -> [L; 2];
}

/// Runs `work` over `grid`. `sums` takes the sums over rows: `[channels]` each, none, one or two.
pub(super) fn run<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    work: impl Channelwise<T>,
    sums: [Option<&mut [T]>; 2],
) {
    for sum in sums.iter().flatten() {
        assert_eq!(sum.len(), grid.channels, "there is a sum for every channel");
    }
    let sums = sums.map(|sum| sum.map_or(std::ptr::null_mut(), <[T]>::as_mut_ptr));
    T::dispatch(instruction_set, Run { grid, work, sums });
}

struct Run<T, W> {
    grid: Grid,
    work: W,
    sums: [*mut T; 2],
}

impl<T: Real, W: Channelwise<T>> Kernel<T> for Run<T, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let channels = self.grid.channels;
        let mut channel = 0;
        // SAFETY: channels stay within the grid, for which `work`'s pointers and the sums are valid.
        unsafe {
            while channel + 4 * LANES <= channels {
                self.strip::<L, 4>(channel, LANES);
                channel += 4 * LANES;
            }
            while channel + LANES <= channels {
                self.strip::<L, 1>(channel, LANES);
                channel += LANES;
            }
            if channel < channels {
                self.strip::<L, 1>(channel, channels - channel);
            }
        }
    }
}

impl<T: Real, W: Channelwise<T>> Run<T, W> {
    /// All rows of `COLUMNS` vectors of channels.
    #[inline(always)]
    unsafe fn strip<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        channel: usize,
        count: usize,
    ) {
        // SAFETY: as in `run`.
        unsafe {
            let zero = L::splat(T::ZERO);
            let mut constants = [self.work.constants::<L>(channel, count); COLUMNS];
            for (j, constants) in constants.iter_mut().enumerate().skip(1) {
                *constants = self.work.constants::<L>(channel + j * LANES, count);
            }
            let mut totals = [[zero; 2]; COLUMNS];
            let mut row = 0;
            while row < self.grid.rows {
                let end = (row + BLOCK).min(self.grid.rows);
                let mut sums = [[zero; 2]; COLUMNS];
                while row < end {
                    let place = row * self.grid.channels + channel;
                    for j in 0..COLUMNS {
                        let [a, b] = self.work.at::<L>(place + j * LANES, count, &constants[j]);
                        sums[j] = [sums[j][0].add(a), sums[j][1].add(b)];
                    }
                    row += 1;
                }
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = [total[0].add(sum[0]), total[1].add(sum[1])];
                }
            }
            for (j, total) in totals.into_iter().enumerate() {
                for (sum, to) in total.into_iter().zip(self.sums) {
                    if !to.is_null() {
                        super::lanes::store(sum, to.add(channel + j * LANES), count);
                    }
                }
            }
        }
    }
}

/// Σ over rows: the gradient of a bias. `x [rows, channels]` → `sums [channels]`.
pub(crate) fn sum_rows<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    x: &[T],
    sums: &mut [T],
) {
    struct Sum<T>(*const T);
    impl<T: Real> Channelwise<T> for Sum<T> {
        type Constants<L: Lanes<Scalar = T>> = ();

        #[inline(always)]
        unsafe fn constants<L: Lanes<Scalar = T>>(&self, _: usize, _: usize) {}

        #[inline(always)]
        unsafe fn at<L: Lanes<Scalar = T>>(&self, place: usize, count: usize, (): &()) -> [L; 2] {
            // SAFETY: `place` is within the grid.
            unsafe { [super::lanes::load::<L>(self.0.add(place), count), L::splat(T::ZERO)] }
        }
    }
    assert_eq!(x.len(), grid.len(), "x fills the grid");
    run(instruction_set, grid, Sum(x.as_ptr()), [Some(sums), None]);
}
