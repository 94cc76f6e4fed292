//! The way back of a block of sixteen coordinates through steps of a segment.

use lyceum_common::model::{OPTIMIZER_INPUTS as INPUTS, OPTIMIZER_LAYERS as LAYERS};

use super::kept::Values;
use super::lstm::{Shape, Sums, Weights};
use crate::kernels::{
    Ahead, InstructionSet, LANES, Real, lane_product, lane_weight_gradient, lstm_cell_backward,
};
use crate::ops::Aligned;

/// What the gradient by the weights needs of a block of sixteen coordinates, of steps that are gone back through at once.
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

impl<T: Real> Record<T> {
    /// Room for `steps` steps.
    pub(super) fn new(shape: Shape, steps: usize, instruction_set: InstructionSet) -> Self {
        let rows = |count: usize| Aligned::zeros(count * LANES);
        let layer = |layer: usize| Layer {
            h: rows((steps + 1) * shape.hidden),
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

    /// Begins the way back through steps whose first state this is, c and h of each layer.
    pub(super) fn begin(&mut self, state: &[T]) {
        let hidden = self.shape.hidden * LANES;
        for (layer, state) in self.layers.iter_mut().zip(state.chunks_exact(2 * hidden)) {
            layer.h[..hidden].copy_from_slice(&state[hidden..]);
        }
    }

    /// Begins a segment's way back: there is nothing behind its last step.
    pub(super) fn begin_segment(&mut self) {
        for layer in &mut self.layers {
            layer.dc.fill(T::ZERO);
            layer.d_operand.fill(T::ZERO);
        }
    }

    /// What the LSTM reads at step `t`: two rows.
    pub(super) fn input_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.inputs, t, INPUTS)
    }

    /// The cotangent of step `t`'s output: a row.
    pub(super) fn output_cotangent_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.updates, t, 1)
    }

    /// Step `t` of these backward, behind step `t + 1`. What the LSTM read has a cotangent too if `to_input`, and the state
    /// before the first of them has one then alone. Asks for `ahead`.
    pub(super) fn retreat(
        &mut self,
        weights: &Weights<T>,
        t: usize,
        values: Values<'_, T>,
        to_input: bool,
        ahead: &Ahead<T>,
    ) {
        let (set, shape, hidden) = (self.instruction_set, self.shape, self.shape.hidden);
        let update = step(&self.updates, t, 1);
        lane_product(set, weights.backward(LAYERS), &[update], &mut self.dh, ahead);
        let mut above = &self.dh[..];
        for ((at, layer), values) in self.layers.iter_mut().enumerate().zip(values).rev() {
            let dz = step_mut(&mut layer.dz, t, shape.gates());
            let h = step_mut(&mut layer.h, t + 1, hidden);
            let dh = [above, &layer.d_operand[..hidden * LANES]];
            lstm_cell_backward(set, values, dh, &mut layer.dc, dz, h);
            // Nothing else goes beyond the first step.
            let rows = match (at > 0 || to_input, t > 0) {
                (true, _) => hidden + shape.inputs(at),
                (false, true) => hidden,
                (false, false) => 0,
            };
            let d_operand = step_mut(&mut layer.d_operand, 0, rows);
            lane_product(set, weights.backward(at), &[dz], d_operand, ahead);
            above = &layer.d_operand[hidden * LANES..];
        }
    }

    /// The cotangents of what the LSTM read at the step that [`Record::retreat`] has just left: two rows.
    pub(super) fn input_cotangent(&self) -> &[T] {
        &self.layers[0].d_operand[self.shape.hidden * LANES..]
    }

    /// Adds the gradient by the weights of the first `steps` steps.
    pub(super) fn add_weight_gradient(&self, steps: usize, sums: &mut Sums<T>) {
        let hidden = self.shape.hidden;
        let ones = step(&self.ones, 0, steps);
        let mut below = step(&self.inputs, 0, steps * INPUTS);
        for (at, layer) in self.layers.iter().enumerate() {
            let h_before = step(&layer.h, 0, steps * hidden);
            let dz = step(&layer.dz, 0, steps * self.shape.gates());
            let operands = [ones, h_before, below];
            lane_weight_gradient(self.instruction_set, steps, &operands, dz, sums.layer_mut(at));
            below = &step(&layer.h, 0, (steps + 1) * hidden)[hidden * LANES..];
        }
        let updates = step(&self.updates, 0, steps);
        let read_out = sums.layer_mut(LAYERS);
        lane_weight_gradient(self.instruction_set, steps, &[ones, below], updates, read_out);
    }
}
