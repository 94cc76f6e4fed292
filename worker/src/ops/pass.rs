//! The interpreters.

use super::planes::{Around, INPUTS, Plane, Slot};
use super::{Bilinear, Gated, Linear, Nonlinear, Step, take_step};
use crate::kernels::{Gate, InstructionSet, Real};

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

/// Computes the plane of values.
pub(crate) struct Values<'p, T> {
    pub(crate) instruction_set: InstructionSet,
    pub(crate) values: &'p mut [T],
    /// As in [`Plane`].
    pub(crate) shared: usize,
    /// What becomes of the gradients, where they are not kept.
    pub(crate) step: Option<Step<'p, T>>,
}

impl<T: Real> Pass<T> for Values<'_, T> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        let around = Around::new(self.values, self.shared, out);
        op.apply(self.instruction_set, around.read(x), around.out);
        let step = self.step.as_mut().and_then(|step| step.along(out, |slot| around.read(slot)));
        if let Some((step, to)) = step {
            take_step(self.instruction_set, step, around.out, to);
        }
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        let around = Around::new(self.values, self.shared, out);
        let start = start.map(|start| around.read(start));
        let terms = [(around.read(a), around.read(b))];
        let step = self.step.as_mut().and_then(|step| step.along(out, |slot| around.read(slot)));
        match step {
            Some((step, to)) => op.apply_step(self.instruction_set, &terms, step, around.out, to),
            None => op.apply(self.instruction_set, start, &terms, around.out),
        }
    }

    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        [a, b]: [Slot; 2],
        gate: Slot,
        out: Slot,
    ) {
        let around = Around::new(self.values, self.shared, out);
        let start = start.map(|start| around.read(start));
        let gate = if gate == out { Gate::Sum } else { Gate::Number(around.read(gate)) };
        let terms = [(around.read(a), around.read(b))];
        op.apply_gated(self.instruction_set, start, &terms, gate, around.out);
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        let around = Around::new(self.values, self.shared, out);
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
    values: Plane<'p, T>,
    tangents: &Around<'p, T>,
    [a, b]: [Slot; 2],
) -> ([Term<'p, T>; 2], usize) {
    let along_a = (tangents.read(a), values.read(b));
    let along_b = (values.read(a), tangents.read(b));
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
    pub(crate) values: Plane<'p, T>,
    pub(crate) tangents: &'p mut [T],
    /// What becomes of the gradients' tangents, where they are not kept.
    pub(crate) step: Option<Step<'p, T>>,
}

impl<T: Real> Pass<T> for Tangents<'_, T> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        if x.moves {
            let around = Around::new(self.tangents, 0, out);
            op.apply(self.instruction_set, around.read(x), around.out);
            let step = self.step.as_mut();
            let step = step.and_then(|step| step.along(out, |slot| self.values.read(slot)));
            if let Some((step, to)) = step {
                take_step(self.instruction_set, step, around.out, to);
            }
        }
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        let around = Around::new(self.tangents, 0, out);
        let start = start.filter(|start| start.moves).map(|start| around.read(start));
        let (terms, count) = product_rule(self.values, &around, [a, b]);
        let (set, terms) = (self.instruction_set, &terms[..count]);
        let step = self.step.as_mut();
        match step.and_then(|step| step.along(out, |slot| self.values.read(slot))) {
            _ if count == 0 => {}
            Some((step, to)) => op.apply_step(set, terms, step, around.out, to),
            None => op.apply(set, start, terms, around.out),
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
        let around = Around::new(self.tangents, 0, out);
        let start = start.filter(|start| start.moves).map(|start| around.read(start));
        let gate = Gate::Number(self.values.read(gate));
        let (terms, count) = product_rule(self.values, &around, ab);
        if count > 0 {
            op.apply_gated(self.instruction_set, start, &terms[..count], gate, around.out);
        }
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        if x.iter().any(|x| x.moves) {
            let around = Around::new(self.tangents, 0, out);
            let mut values: [&[T]; INPUTS] = [&[]; INPUTS];
            for (value, x) in values.iter_mut().zip(x) {
                *value = self.values.read(*x);
            }
            let tangents = around.read_all(x);
            let y = self.values.read(out);
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
