//! Slots, and the planes they lie in.

use std::ops::{Deref, DerefMut, Range};

use crate::kernels::{Grid, LANES, LARGE_PAGE, Real, prefer_large_pages};

/// A place in a plane: the same in the plane of values and in that of tangents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    at: usize,
    pub(super) len: usize,
    pub(super) moves: bool,
}

impl Slot {
    pub(crate) fn len(self) -> usize {
        self.len
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.at..self.at + self.len
    }

    /// Where its numbers are, if what begins before `shared` is in all lanes the same: there is one number then in place
    /// of a vector.
    pub(crate) fn range_where_shared(self, shared: usize) -> Range<usize> {
        let Range { start, end } = self.range();
        if end <= shared { start / LANES..end / LANES } else { start..end }
    }

    /// The numbers of `range` alone.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "a part lies within its slot");
        Self { at: self.at + range.start, len: range.len(), moves: self.moves }
    }

    /// Whether its tangent may be other than zero: images and labels never move, and parameters only where the inner
    /// loop changes them.
    pub(crate) fn moves(self) -> bool {
        self.moves
    }

    /// This slot and the one right behind it, as one.
    pub(crate) fn joined(self, next: Self) -> Self {
        assert_eq!(self.range().end, next.at, "joined slots are neighbours");
        Self { at: self.at, len: self.len + next.len, moves: self.moves || next.moves }
    }
}

/// A cache line's worth of f32: what every slot is aligned to.
const ALIGNMENT: usize = 16;

/// Numbers that begin at a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    numbers: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    /// Zeros; many of them in large pages.
    pub(crate) fn zeros(len: usize) -> Self {
        let large = len * size_of::<T>() >= 2 * LARGE_PAGE;
        let alignment = if large { LARGE_PAGE } else { ALIGNMENT * size_of::<T>() };
        let most = alignment / size_of::<T>();
        let mut numbers = vec![T::ZERO; len + most];
        let start = numbers.as_ptr().align_offset(alignment).min(most);
        if large {
            prefer_large_pages(&mut numbers[start..]);
        }
        Self { numbers, start, len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..self.start + self.len]
    }
}

/// Lays out a plane: the parameters first, then their gradients, then all else in the order it is asked for.
#[derive(Debug)]
pub(crate) struct Planner {
    parameters: usize,
    next_parameter: usize,
    len: usize,
    keeps_values: bool,
    statistics: Vec<Statistics>,
}

/// What belongs to a batch rather than to an example: a batch norm's (μ, r).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statistics {
    pub(crate) slot: Slot,
    /// How many numbers each of them is taken over.
    pub(crate) rows: usize,
}

impl Planner {
    /// `keeps_values` says whether tangents will be asked for.
    pub(crate) fn new(parameters: usize, keeps_values: bool) -> Self {
        let len = 2 * parameters.next_multiple_of(ALIGNMENT);
        Self { parameters, next_parameter: 0, len, keeps_values, statistics: Vec::new() }
    }

    /// Whether all values are to be kept, as tangents read them; else a program may write over what it has read.
    pub(crate) fn keeps_values(&self) -> bool {
        self.keeps_values
    }

    /// The next parameter of the flat vector, and its gradient.
    pub(crate) fn parameter(&mut self, len: usize, moves: bool) -> (Slot, Slot) {
        let at = self.next_parameter;
        self.next_parameter += len;
        assert!(
            self.next_parameter <= self.parameters,
            "a network plans the parameters of its layout"
        );
        let gradient = at + self.parameters.next_multiple_of(ALIGNMENT);
        (Slot { at, len, moves }, Slot { at: gradient, len, moves: true })
    }

    pub(crate) fn slot(&mut self, len: usize, moves: bool) -> Slot {
        let at = self.len;
        self.len = (at + len).next_multiple_of(ALIGNMENT);
        Slot { at, len, moves }
    }

    /// A slot for the statistics of every channel of `grid`.
    pub(crate) fn statistics(&mut self, grid: Grid, moves: bool) -> Slot {
        let slot = self.slot(2 * grid.channels, moves);
        self.statistics.push(Statistics { slot, rows: grid.rows });
        slot
    }

    /// The length of the plane, the slots of all parameters and of all gradients, and those of statistics.
    ///
    /// # Panics
    /// Where a parameter was not planned.
    pub(crate) fn finish(self) -> (usize, Slot, Slot, Vec<Statistics>) {
        assert_eq!(
            self.next_parameter, self.parameters,
            "a network plans the parameters of its layout"
        );
        let parameters = Slot { at: 0, len: self.parameters, moves: true };
        let gradient = Slot { at: self.parameters.next_multiple_of(ALIGNMENT), ..parameters };
        (self.len, parameters, gradient, self.statistics)
    }
}

/// The most inputs that an op takes.
pub(super) const INPUTS: usize = 5;

/// A plane of values to be read.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'p, T> {
    pub(crate) numbers: &'p [T],
    /// What lies before this is parameters that problems side by side have in common: a number for each vector.
    pub(crate) shared: usize,
}

impl<'p, T> Plane<'p, T> {
    pub(super) fn read(self, slot: Slot) -> &'p [T] {
        &self.numbers[slot.range_where_shared(self.shared)]
    }
}

/// A plane split in three: what lies before an output, the output, what lies behind.
pub(super) struct Around<'p, T> {
    before: &'p [T],
    pub(super) out: &'p mut [T],
    after: &'p [T],
    end: usize,
    shared: usize,
}

impl<'p, T: Real> Around<'p, T> {
    pub(super) fn new(plane: &'p mut [T], shared: usize, out: Slot) -> Self {
        let (before, rest) = plane.split_at_mut(out.at);
        let (out_slice, after) = rest.split_at_mut(out.len);
        Self { before, out: out_slice, after, end: out.range().end, shared }
    }

    pub(super) fn read(&self, slot: Slot) -> &'p [T] {
        if slot.range().end <= self.before.len() {
            &self.before[slot.range_where_shared(self.shared)]
        } else {
            &self.after[slot.at - self.end..slot.range().end - self.end]
        }
    }

    pub(super) fn read_all(&self, slots: &[Slot]) -> [&'p [T]; INPUTS] {
        let mut views: [&'p [T]; INPUTS] = [&[]; INPUTS];
        for (view, &slot) in views.iter_mut().zip(slots) {
            *view = self.read(slot);
        }
        views
    }
}
