//! A formula swept over the places of a batch of images, or over their windows of 2×2: what batch norm, ReLU and max
//! pool are made of, each in one pass.
//!
//! ```text
//! over rows:       for row:     written[row] = f(full[row], pooled[row]),  sums += …
//! over windows:    for window:  i = the first place of the window with the largest x · scale + shift
//!                               written[window] = f(full[i], pooled[window]),  sums += …
//!      or, to the full places:  written[j] = f(full[j], pooled[window] if j = i else 0)  for each j of the window
//! ```

use super::formula::{Formula, Writes};
use super::lanes::{LANES, Lanes, load, store};
use super::places::{Places, Pool};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Rows summed up before they are added to the sum of the rows before them: long sums lose fewer digits so.
const BLOCK: usize = 64;

/// Where a sweep's two sums over all places go, `[channels]` each; one that is empty goes nowhere.
pub(super) enum Totals<'a, T> {
    None,
    Written([&'a mut [T]; 2]),
    /// To what is there: the sums over the places before these.
    Added([&'a mut [T]; 2]),
}

/// Sweeps `formula` over `places`. `written` takes what is written, and is empty where the formula writes nothing.
///
/// # Panics
/// Where a slice has not as many numbers as there are places.
pub(super) fn sweep<T: Real, F, const FULL: usize, const POOLED: usize, const CONSTANTS: usize>(
    instruction_set: InstructionSet,
    places: Places,
    formula: &F,
    (full, pooled): ([&[T]; FULL], [&[T]; POOLED]),
    written: &mut [T],
    sums: Totals<'_, T>,
) where
    F: Formula<T, FULL, POOLED, CONSTANTS>,
{
    let expected = match F::WRITES {
        Writes::Nothing => 0,
        Writes::Pooled => places.pooled_len(),
        Writes::Full => places.full_len(),
    };
    assert_eq!(written.len(), expected, "there is room for what is written");
    let sums = match sums {
        Totals::None => [&mut [][..], &mut []],
        Totals::Written(mut sums) => {
            sums.iter_mut().for_each(|sum| sum.fill(T::ZERO));
            sums
        }
        Totals::Added(sums) => sums,
    };
    let all = full.iter().all(|full| full.len() == places.full_len())
        && pooled.iter().all(|pooled| pooled.len() == places.pooled_len())
        && sums.iter().all(|sum| sum.is_empty() || sum.len() == places.channels());
    assert!(all, "there is a number for every place");
    let sums = sums.map(|sum| if sum.is_empty() { std::ptr::null_mut() } else { sum.as_mut_ptr() });
    let reads = (full.map(<[T]>::as_ptr), pooled.map(<[T]>::as_ptr));
    run(instruction_set, places, formula, reads, written.as_mut_ptr(), sums);
}

/// A sweep whose lengths were checked. Every number is read before it is overwritten, if it is.
fn run<T: Real, F, const FULL: usize, const POOLED: usize, const CONSTANTS: usize>(
    instruction_set: InstructionSet,
    places: Places,
    formula: &F,
    (full, pooled): ([*const T; FULL], [*const T; POOLED]),
    written: *mut T,
    sums: [*mut T; 2],
) where
    F: Formula<T, FULL, POOLED, CONSTANTS>,
{
    if places.channels() >= LANES {
        let whole: Sweep<'_, T, F, true, FULL, POOLED, CONSTANTS> =
            Sweep { places, formula, full, pooled, written, sums };
        T::dispatch(instruction_set, whole);
    }
    if !places.channels().is_multiple_of(LANES) {
        let rest: Sweep<'_, T, F, false, FULL, POOLED, CONSTANTS> =
            Sweep { places, formula, full, pooled, written, sums };
        T::dispatch(instruction_set, rest);
    }
}

/// A sweep over all whole sixteens of channels, or over the few last ones: functions of their own, small enough for the
/// compiler to keep constants in registers.
struct Sweep<
    'a,
    T,
    F,
    const WHOLE: bool,
    const FULL: usize,
    const POOLED: usize,
    const CONSTANTS: usize,
> {
    places: Places,
    formula: &'a F,
    full: [*const T; FULL],
    pooled: [*const T; POOLED],
    written: *mut T,
    sums: [*mut T; 2],
}

/// Sixteen channels, or the first few of them.
#[derive(Clone, Copy)]
struct Channels {
    first: usize,
    count: usize,
}

/// The numbers at one place of each of several planes.
#[inline(always)]
unsafe fn load_all<L: Lanes, const N: usize>(
    planes: &[*const L::Scalar; N],
    place: usize,
    count: usize,
) -> [L; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut values = [L::splat(L::Scalar::ZERO); N];
        for i in 0..N {
            values[i] = load::<L>(planes[i].add(place), count);
        }
        values
    }
}

impl<T: Real, F, const WHOLE: bool, const FULL: usize, const POOLED: usize, const CONSTANTS: usize>
    Kernel<T> for Sweep<'_, T, F, WHOLE, FULL, POOLED, CONSTANTS>
where
    F: Formula<T, FULL, POOLED, CONSTANTS>,
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        // SAFETY: `sweep` has checked every length against the places; the caller has the instructions.
        unsafe {
            match self.places {
                Places::Rows(grid) => {
                    for start in (0..grid.rows).step_by(BLOCK) {
                        let rows = start..grid.rows.min(start + BLOCK);
                        self.strips::<L>(Step::Rows(rows));
                    }
                }
                Places::Windows(pool) => {
                    let (rows, columns) = (pool.height / 2, pool.width / 2);
                    for row in 0..pool.images * rows {
                        self.strips::<L>(Step::Windows(pool, row));
                    }
                    if F::WRITES == Writes::Full && (pool.height % 2 == 1 || pool.width % 2 == 1) {
                        for place in 0..pool.images * pool.height * pool.width {
                            let (row, column) =
                                (place / pool.width % pool.height, place % pool.width);
                            if row >= 2 * rows || column >= 2 * columns {
                                self.strips::<L>(Step::Outside(place * pool.channels));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is done for one strip of channels after the other.
#[derive(Clone)]
enum Step {
    /// Some rows.
    Rows(std::ops::Range<usize>),
    /// A row of windows.
    Windows(Pool, usize),
    /// A place that is in no window.
    Outside(usize),
}

impl<T: Real, F, const WHOLE: bool, const FULL: usize, const POOLED: usize, const CONSTANTS: usize>
    Sweep<'_, T, F, WHOLE, FULL, POOLED, CONSTANTS>
where
    F: Formula<T, FULL, POOLED, CONSTANTS>,
{
    /// All channels, sixty-four at a time where there are so many: whole rows are read in the order that they lie in.
    #[inline(always)]
    unsafe fn strips<L: Lanes<Scalar = T>>(&self, step: Step) {
        let channels = self.places.channels();
        let whole = channels / LANES * LANES;
        // SAFETY: as in `run`.
        unsafe {
            if WHOLE {
                let mut first = 0;
                while first + 4 * LANES <= whole {
                    self.strip::<L, 4>(step.clone(), Channels { first, count: LANES });
                    first += 4 * LANES;
                }
                while first < whole {
                    self.strip::<L, 1>(step.clone(), Channels { first, count: LANES });
                    first += LANES;
                }
            } else {
                self.strip::<L, 1>(step, Channels { first: whole, count: channels - whole });
            }
        }
    }

    #[inline(always)]
    unsafe fn strip<L: Lanes<Scalar = T>, const COLUMNS: usize>(&self, step: Step, at: Channels) {
        let count = if WHOLE { LANES } else { at.count };
        // SAFETY: as in `run`.
        unsafe {
            let mut constants = [[L::splat(T::ZERO); CONSTANTS]; COLUMNS];
            for (j, constants) in constants.iter_mut().enumerate() {
                *constants = self.formula.constants::<L>(at.first + j * LANES, count);
            }
            match step {
                Step::Rows(rows) => self.rows(rows, at, &constants),
                Step::Windows(pool, row) => self.windows(pool, row, at, &constants),
                Step::Outside(place) => self.outside(place, at, &constants),
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        rows: std::ops::Range<usize>,
        at: Channels,
        constants: &[[L; CONSTANTS]; COLUMNS],
    ) {
        let count = if WHOLE { LANES } else { at.count };
        // SAFETY: as in `run`.
        unsafe {
            let mut sums = [[L::splat(T::ZERO); 2]; COLUMNS];
            let channels = self.places.channels();
            let mut place = rows.start * channels + at.first;
            for _ in rows {
                for j in 0..COLUMNS {
                    let place = place + j * LANES;
                    let full = load_all::<L, FULL>(&self.full, place, count);
                    let pooled = load_all::<L, POOLED>(&self.pooled, place, count);
                    let (written, [a, b]) = F::at(full, pooled, &constants[j]);
                    if F::WRITES != Writes::Nothing {
                        store(written, self.written.add(place), count);
                    }
                    sums[j] = [sums[j][0].add(a), sums[j][1].add(b)];
                }
                place += channels;
            }
            self.add(sums, at);
        }
    }

    /// A row of windows.
    #[inline(always)]
    unsafe fn windows<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        pool: Pool,
        row: usize,
        at: Channels,
        constants: &[[L; CONSTANTS]; COLUMNS],
    ) {
        let Pool { height, width, channels, .. } = pool;
        // SAFETY: as in `run`.
        unsafe {
            let mut sums = [[L::splat(T::ZERO); 2]; COLUMNS];
            let rows = height / 2;
            let mut corner = (row / rows * height + 2 * (row % rows)) * width * channels + at.first;
            let mut window = row * (width / 2) * channels + at.first;
            let below = width * channels;
            for _ in 0..width / 2 {
                for j in 0..COLUMNS {
                    let corner = corner + j * LANES;
                    let places =
                        [corner, corner + channels, corner + below, corner + below + channels];
                    let [a, b] = self.window(places, window + j * LANES, at, &constants[j]);
                    sums[j] = [sums[j][0].add(a), sums[j][1].add(b)];
                }
                corner += 2 * channels;
                window += channels;
            }
            self.add(sums, at);
        }
    }

    /// Sixteen channels of a window, and what they add to the sums.
    #[inline(always)]
    unsafe fn window<L: Lanes<Scalar = T>>(
        &self,
        places: [usize; 4],
        window: usize,
        at: Channels,
        constants: &[L; CONSTANTS],
    ) -> [L; 2] {
        let count = if WHOLE { LANES } else { at.count };
        // SAFETY: as in `run`.
        unsafe {
            let zero = L::splat(T::ZERO);
            let [scale, shift] = [constants[0], constants[1]];
            let mut scaled = [zero; 4];
            for i in 0..4 {
                scaled[i] = shift.mul_add(load::<L>(self.full[0].add(places[i]), count), scale);
            }
            let maximum = scaled[0].max(scaled[1]).max(scaled[2]).max(scaled[3]);
            let mut pooled = load_all::<L, POOLED>(&self.pooled, window, count);
            if F::WRITES == Writes::Full {
                for i in 0..4 {
                    let full = load_all::<L, FULL>(&self.full, places[i], count);
                    let mut here = [zero; POOLED];
                    for k in 0..POOLED {
                        here[k] = scaled[i].if_equal(maximum, pooled[k], zero);
                        pooled[k] = scaled[i].if_equal(maximum, zero, pooled[k]);
                    }
                    let (written, _) = F::at(full, here, constants);
                    store(written, self.written.add(places[i]), count);
                }
                return [zero; 2];
            }
            // Backwards, so that the first place that holds the maximum comes last.
            let mut full = load_all::<L, FULL>(&self.full, places[3], count);
            for i in (0..3).rev() {
                let there = load_all::<L, FULL>(&self.full, places[i], count);
                for k in 0..FULL {
                    full[k] = scaled[i].if_equal(maximum, there[k], full[k]);
                }
            }
            let (written, sums) = F::at(full, pooled, constants);
            if F::WRITES == Writes::Pooled {
                store(written, self.written.add(window), count);
            }
            sums
        }
    }

    /// A place that is in no window.
    #[inline(always)]
    unsafe fn outside<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        place: usize,
        at: Channels,
        constants: &[[L; CONSTANTS]; COLUMNS],
    ) {
        let count = if WHOLE { LANES } else { at.count };
        // SAFETY: as in `run`.
        unsafe {
            for j in 0..COLUMNS {
                let place = place + at.first + j * LANES;
                let full = load_all::<L, FULL>(&self.full, place, count);
                let (written, _) = F::at(full, [L::splat(T::ZERO); POOLED], &constants[j]);
                store(written, self.written.add(place), count);
            }
        }
    }

    /// Adds sums of a block to those of the blocks before it.
    #[inline(always)]
    unsafe fn add<L: Lanes<Scalar = T>, const COLUMNS: usize>(
        &self,
        sums: [[L; 2]; COLUMNS],
        at: Channels,
    ) {
        let count = if WHOLE { LANES } else { at.count };
        for j in 0..COLUMNS {
            for k in 0..2 {
                if !self.sums[k].is_null() {
                    // SAFETY: as in `run`.
                    unsafe {
                        let (sum, to) = (sums[j][k], self.sums[k].add(at.first + j * LANES));
                        store(load::<L>(to, count).add(sum), to, count);
                    }
                }
            }
        }
    }
}
