//! Slots, the planes they lie in, and the interpreters.

use std::ops::{Deref, DerefMut, Range};

use super::{Bilinear, Gated, Linear, Nonlinear};
use crate::kernels::{Gate, Grid, InstructionSet, LARGE_PAGE, Real, prefer_large_pages};

/// A place in a plane: the same in the plane of values and in that of tangents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    at: usize,
    len: usize,
    moves: bool,
}

impl Slot {
    pub(crate) fn len(self) -> usize {
        self.len
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.at..self.at + self.len
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
#[derive(Clone, Debug)]
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

/// An interpreter of programs.
pub(crate) trait Pass<T: Real> {
    /// out = A x.
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot);
    /// out = start + B(a, b).
    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot);
    /// out = start + B(a, b) where the value of `gate` is positive, else 0: a gate that may be `out` itself.
    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        ab: [Slot; 2],
        gate: Slot,
        out: Slot,
    );
    /// out = f(x₁, …).
    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot);
    /// Writes a batch norm's (μ, r), which belongs to the batch rather than to an example, where it is given and not to be
    /// computed. Returns whether it was.
    fn given_statistics(&mut self, _: Slot) -> bool {
        false
    }
}

/// The most inputs that an op takes.
const INPUTS: usize = 5;

/// A plane split in three: what lies before an output, the output, what lies behind.
struct Around<'p, T> {
    before: &'p [T],
    out: &'p mut [T],
    after: &'p [T],
    end: usize,
}

impl<'p, T: Real> Around<'p, T> {
    fn new(plane: &'p mut [T], out: Slot) -> Self {
        let (before, rest) = plane.split_at_mut(out.at);
        let (out_slice, after) = rest.split_at_mut(out.len);
        Self { before, out: out_slice, after, end: out.range().end }
    }

    fn read(&self, slot: Slot) -> &'p [T] {
        if slot.range().end <= self.before.len() {
            &self.before[slot.range()]
        } else {
            &self.after[slot.at - self.end..slot.range().end - self.end]
        }
    }

    fn read_all(&self, slots: &[Slot]) -> [&'p [T]; INPUTS] {
        let mut views: [&'p [T]; INPUTS] = [&[]; INPUTS];
        for (view, &slot) in views.iter_mut().zip(slots) {
            *view = self.read(slot);
        }
        views
    }
}

/// Computes the plane of values.
pub(crate) struct Values<'p, T> {
    pub(crate) instruction_set: InstructionSet,
    pub(crate) values: &'p mut [T],
}

impl<T: Real> Pass<T> for Values<'_, T> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        let around = Around::new(self.values, out);
        op.apply(self.instruction_set, around.read(x), around.out);
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        let around = Around::new(self.values, out);
        let start = start.map(|start| around.read(start));
        op.apply(self.instruction_set, start, &[(around.read(a), around.read(b))], around.out);
    }

    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        [a, b]: [Slot; 2],
        gate: Slot,
        out: Slot,
    ) {
        let around = Around::new(self.values, out);
        let start = start.map(|start| around.read(start));
        let gate = if gate == out { Gate::Sum } else { Gate::Number(around.read(gate)) };
        let terms = [(around.read(a), around.read(b))];
        op.apply_gated(self.instruction_set, start, &terms, gate, around.out);
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        let around = Around::new(self.values, out);
        op.value(self.instruction_set, &around.read_all(x)[..x.len()], around.out);
    }
}

/// Computes values with statistics that are given: an example's output then depends on that example and on these alone.
pub(crate) struct InductiveValues<'p, T, I> {
    pub(crate) values: Values<'p, T>,
    /// In the program's order.
    pub(crate) statistics: I,
}

impl<'s, T: Real, I: Iterator<Item = &'s [T]>> Pass<T> for InductiveValues<'_, T, I> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        self.values.linear(op, x, out);
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        self.values.bilinear(op, start, a, b, out);
    }

    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        ab: [Slot; 2],
        gate: Slot,
        out: Slot,
    ) {
        self.values.gated(op, start, ab, gate, out);
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        self.values.nonlinear(op, x, out);
    }

    fn given_statistics(&mut self, out: Slot) -> bool {
        let given = self.statistics.next().expect("there are statistics for every batch norm");
        self.values.values[out.range()].copy_from_slice(given);
        true
    }
}

/// The two factors of a product.
type Term<'p, T> = (&'p [T], &'p [T]);

/// The terms (ȧ, b) and (a, ḃ) of those that move, and how many they are.
fn product_rule<'p, T: Real>(
    values: &'p [T],
    tangents: &Around<'p, T>,
    [a, b]: [Slot; 2],
) -> ([Term<'p, T>; 2], usize) {
    let along_a = (tangents.read(a), &values[b.range()]);
    let along_b = (&values[a.range()], tangents.read(b));
    match (a.moves, b.moves) {
        (true, true) => ([along_a, along_b], 2),
        (true, false) => ([along_a, along_a], 1),
        (false, true) => ([along_b, along_b], 1),
        (false, false) => ([along_a, along_b], 0),
    }
}

/// Computes the plane of tangents, reading the plane of values. Slots that do not move stay zero.
pub(crate) struct Tangents<'p, T> {
    pub(crate) instruction_set: InstructionSet,
    pub(crate) values: &'p [T],
    pub(crate) tangents: &'p mut [T],
}

impl<T: Real> Pass<T> for Tangents<'_, T> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        if x.moves {
            let around = Around::new(self.tangents, out);
            op.apply(self.instruction_set, around.read(x), around.out);
        }
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        let around = Around::new(self.tangents, out);
        let start = start.filter(|start| start.moves).map(|start| around.read(start));
        let (terms, count) = product_rule(self.values, &around, [a, b]);
        if count > 0 {
            op.apply(self.instruction_set, start, &terms[..count], around.out);
        }
    }

    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        ab: [Slot; 2],
        gate: Slot,
        out: Slot,
    ) {
        let around = Around::new(self.tangents, out);
        let start = start.filter(|start| start.moves).map(|start| around.read(start));
        let gate = Gate::Number(&self.values[gate.range()]);
        let (terms, count) = product_rule(self.values, &around, ab);
        if count > 0 {
            op.apply_gated(self.instruction_set, start, &terms[..count], gate, around.out);
        }
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        if x.iter().any(|x| x.moves) {
            let around = Around::new(self.tangents, out);
            let mut values: [&[T]; INPUTS] = [&[]; INPUTS];
            for (value, x) in values.iter_mut().zip(x) {
                *value = &self.values[x.range()];
            }
            let tangents = around.read_all(x);
            let y = &self.values[out.range()];
            op.tangent(
                self.instruction_set,
                &values[..x.len()],
                y,
                &tangents[..x.len()],
                around.out,
            );
        }
    }
}
