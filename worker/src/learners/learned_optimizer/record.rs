//! What a block of sixteen coordinates computes over the steps of a segment, and the way back through it.

use lyceum_common::model::{OPTIMIZER_INPUTS as INPUTS, OPTIMIZER_LAYERS as LAYERS};

use super::lstm::{Shape, Sums, Weights};
use crate::kernels::{
    Ahead, CellValues, InstructionSet, LANES, Real, lane_gates, lane_product, lane_weight_gradient,
    lstm_cell_again, lstm_cell_backward,
};
use crate::ops::Aligned;

/// A step's gates, of one layer after the other.
pub(super) enum Gates<'a, T> {
    /// To be computed, and written here.
    New(&'a mut [T]),
    /// As they were computed before.
    Kept(&'a [T]),
}

/// All but the gates that a block of sixteen coordinates computes over the steps of a segment.
pub(super) struct Record<T> {
    layers: Vec<Layer<T>>,
    /// `[steps, inputs]` rows: what the LSTM read.
    inputs: Aligned<T>,
    /// `[steps]` rows of ones, what biases are multiplied by.
    ones: Aligned<T>,
    /// `[steps]` rows: the cotangents of the updates.
    updates: Aligned<T>,
    /// `[hidden]` rows: the cotangent of the last layer's h from the update.
    dh: Aligned<T>,
    instruction_set: InstructionSet,
    shape: Shape,
}

/// One layer's rows.
struct Layer<T> {
    /// `[steps + 1, hidden]`.
    h: Aligned<T>,
    /// `[steps + 1, hidden]`.
    c: Aligned<T>,
    /// `[steps, hidden]`.
    tanh_c: Aligned<T>,
    /// `[steps, 4 · hidden]`: the cotangents of the gates' sums.
    dz: Aligned<T>,
    /// `[hidden]`.
    dc: Aligned<T>,
    /// `[hidden + inputs]`: the cotangents of the h of the time before and of the layer's input.
    d_operand: Aligned<T>,
}

/// Step `t` of rows that have `rows` each step.
fn step<T>(all: &[T], t: usize, rows: usize) -> &[T] {
    &all[t * rows * LANES..(t + 1) * rows * LANES]
}

fn step_mut<T>(all: &mut [T], t: usize, rows: usize) -> &mut [T] {
    &mut all[t * rows * LANES..(t + 1) * rows * LANES]
}

/// Step `t`, and the one behind it to be written.
fn step_and_next<T>(all: &mut [T], t: usize, rows: usize) -> (&[T], &mut [T]) {
    let (before, after) = all.split_at_mut((t + 1) * rows * LANES);
    (step(before, t, rows), step_mut(after, 0, rows))
}

impl<T: Real> Record<T> {
    /// Room for `steps` steps.
    pub(super) fn new(shape: Shape, steps: usize, instruction_set: InstructionSet) -> Self {
        let rows = |count: usize| Aligned::zeros(count * LANES);
        let layer = |layer: usize| Layer {
            h: rows((steps + 1) * shape.hidden),
            c: rows((steps + 1) * shape.hidden),
            tanh_c: rows(steps * shape.hidden),
            dz: rows(steps * shape.gates()),
            dc: rows(shape.hidden),
            d_operand: rows(shape.hidden + shape.inputs(layer)),
        };
        let mut ones = rows(steps);
        ones.fill(T::ONE);
        Self {
            layers: (0..LAYERS).map(layer).collect(),
            inputs: rows(steps * INPUTS),
            ones,
            updates: rows(steps),
            dh: rows(shape.hidden),
            instruction_set,
            shape,
        }
    }

    /// Begins at a state: c and h of each layer.
    pub(super) fn begin(&mut self, state: &[T]) {
        let hidden = self.shape.hidden * LANES;
        for (layer, state) in self.layers.iter_mut().zip(state.chunks_exact(2 * hidden)) {
            layer.c[..hidden].copy_from_slice(&state[..hidden]);
            layer.h[..hidden].copy_from_slice(&state[hidden..]);
        }
    }

    /// What the LSTM reads at step `t`: two rows.
    pub(super) fn input_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.inputs, t, INPUTS)
    }

    /// Step `t` forward.
    pub(super) fn advance(&mut self, weights: &Weights<T>, t: usize, mut all_gates: Gates<'_, T>) {
        let (set, hidden) = (self.instruction_set, self.shape.hidden);
        let mut below = step(&self.inputs, t, INPUTS);
        for (at, layer) in self.layers.iter_mut().enumerate() {
            let (h_before, h) = step_and_next(&mut layer.h, t, hidden);
            let gates = match &mut all_gates {
                Gates::Kept(gates) => step(gates, at, self.shape.gates()),
                Gates::New(gates) => {
                    let gates = step_mut(gates, at, self.shape.gates());
                    lane_gates(set, weights.forward(at), &[h_before, below], gates);
                    &*gates
                }
            };
            let (c_before, c) = step_and_next(&mut layer.c, t, hidden);
            let tanh_c = step_mut(&mut layer.tanh_c, t, hidden);
            lstm_cell_again(set, gates, c_before, [c, tanh_c, &mut *h]);
            below = h;
        }
    }

    /// Begins the way back, with nothing behind the last step.
    pub(super) fn begin_backward(&mut self) {
        for layer in &mut self.layers {
            layer.dc.fill(T::ZERO);
            layer.d_operand.fill(T::ZERO);
        }
    }

    /// The cotangent of step `t`'s output: a row.
    pub(super) fn output_cotangent_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.updates, t, 1)
    }

    /// Step `t` backward, behind step `t + 1`: with its gates, of one layer after the other. What the LSTM read has a
    /// cotangent too if `to_input`.
    pub(super) fn retreat(&mut self, weights: &Weights<T>, t: usize, gates: &[T], to_input: bool) {
        let (set, shape, hidden) = (self.instruction_set, self.shape, self.shape.hidden);
        let update = step(&self.updates, t, 1);
        lane_product(set, weights.backward(LAYERS), &[update], &mut self.dh);
        let mut above = &self.dh[..];
        for (at, layer) in self.layers.iter_mut().enumerate().rev() {
            let values = CellValues {
                gates: step(gates, at, shape.gates()),
                c_before: step(&layer.c, t, hidden),
                tanh_c: step(&layer.tanh_c, t, hidden),
            };
            let dz = step_mut(&mut layer.dz, t, shape.gates());
            let dh = [above, &layer.d_operand[..hidden * LANES]];
            lstm_cell_backward(set, values, dh, &mut layer.dc, dz);
            let rows = if at > 0 || to_input { hidden + shape.inputs(at) } else { hidden };
            let d_operand = step_mut(&mut layer.d_operand, 0, rows);
            lane_product(set, weights.backward(at), &[dz], d_operand);
            above = &layer.d_operand[hidden * LANES..];
        }
    }

    /// The cotangents of what the LSTM read at the step that [`Record::retreat`] has just left: two rows.
    pub(super) fn input_cotangent(&self) -> &[T] {
        &self.layers[0].d_operand[self.shape.hidden * LANES..]
    }

    /// Adds the gradient by the weights of the first `steps` steps.
    pub(super) fn add_weight_gradient(&self, steps: usize, sums: &mut Sums<T>, ahead: &Ahead<T>) {
        let hidden = self.shape.hidden;
        let mut below = step(&self.inputs, 0, steps * INPUTS);
        for (at, layer) in self.layers.iter().enumerate() {
            let h_before = step(&layer.h, 0, steps * hidden);
            let dz = step(&layer.dz, 0, steps * self.shape.gates());
            self.add_outer(steps, &[h_before, below], dz, sums.layer_mut(at), ahead);
            below = &step(&layer.h, 0, (steps + 1) * hidden)[hidden * LANES..];
        }
        let updates = step(&self.updates, 0, steps);
        self.add_outer(steps, &[below], updates, sums.layer_mut(LAYERS), ahead);
    }

    /// Adds to the sums of a matrix, of whose rows the first is the bias's and the others are those of `operands`.
    fn add_outer(
        &self,
        steps: usize,
        operands: &[&[T]],
        cotangent: &[T],
        sums: &mut [T],
        ahead: &Ahead<T>,
    ) {
        let columns = cotangent.len() / steps;
        let mut rest = sums;
        let ones = step(&self.ones, 0, steps);
        for operand in std::iter::once(&ones).chain(operands) {
            let (these, others) = rest.split_at_mut(operand.len() / steps / LANES * columns);
            lane_weight_gradient(self.instruction_set, steps, operand, cotangent, these, ahead);
            rest = others;
        }
    }
}
