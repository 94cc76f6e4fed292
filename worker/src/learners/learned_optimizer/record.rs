//! The way back of a block of sixteen coordinates through steps of a segment.

use lyceum_common::model::OPTIMIZER_LAYERS as LAYERS;

use super::kept::Values;
use super::lstm::{Shape, Sums, Weights};
use crate::kernels::{
    Ahead, CellValues, InstructionSet, LANES, Real, lane_product, lane_weight_gradient,
    lstm_cell_backward,
};
use crate::ops::Aligned;

/// What the gradient by the weights needs of a block of sixteen coordinates, of steps that are gone back through at once.
pub(super) struct Record<T> {
    layers: Vec<Layer<T>>,
    /// `[steps, inputs]` rows: what the LSTM read.
    inputs: Aligned<T>,
    /// `[steps]` rows of ones, what biases are multiplied by.
    ones: Aligned<T>,
    /// `[steps]` rows: the cotangents of what it said.
    outputs: Aligned<T>,
    /// `[hidden]` rows: the cotangent of the last layer's h from what reads it out.
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
            inputs: rows(steps * shape.inputs),
            ones,
            outputs: rows(steps),
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

    /// What the LSTM reads at step `t`: the inputs' rows.
    pub(super) fn input_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.inputs, t, self.shape.inputs)
    }

    pub(super) fn input(&self, t: usize) -> &[T] {
        step(&self.inputs, t, self.shape.inputs)
    }

    /// The cotangents of step `t`'s outputs: a row.
    pub(super) fn output_cotangent_mut(&mut self, t: usize) -> &mut [T] {
        step_mut(&mut self.outputs, t, 1)
    }

    /// The cotangents of a layer's gates at step `t`, from those of its h and c.
    fn cell_backward(&mut self, layer: usize, t: usize, values: CellValues<'_, T>) {
        let (gates, hidden) = (self.shape.gates(), self.shape.hidden);
        let (layers, others) = self.layers.split_at_mut(layer + 1);
        let above = others.first().map_or(&self.dh[..], |layer| &layer.d_operand[hidden * LANES..]);
        let Layer { h, dz, dc, d_operand } = &mut layers[layer];
        let dh = [above, &d_operand[..hidden * LANES]];
        let (dz, h) = (step_mut(dz, t, gates), step_mut(h, t + 1, hidden));
        lstm_cell_backward(self.instruction_set, values, dh, dc, dz, h);
    }

    /// The cotangents of what the LSTM read at the step that [`retreat`] has just left: the inputs' rows.
    pub(super) fn input_cotangent(&self) -> &[T] {
        &self.layers[0].d_operand[self.shape.hidden * LANES..]
    }

    /// Adds the gradient by the weights of the first `steps` steps.
    pub(super) fn add_weight_gradient(&self, steps: usize, sums: &mut Sums<T>) {
        let hidden = self.shape.hidden;
        let ones = step(&self.ones, 0, steps);
        let mut below = step(&self.inputs, 0, steps * self.shape.inputs);
        for (at, layer) in self.layers.iter().enumerate() {
            let h_before = step(&layer.h, 0, steps * hidden);
            let dz = step(&layer.dz, 0, steps * self.shape.gates());
            let operands = [ones, h_before, below];
            lane_weight_gradient(self.instruction_set, steps, &operands, dz, sums.layer_mut(at));
            below = &step(&layer.h, 0, (steps + 1) * hidden)[hidden * LANES..];
        }
        let outputs = step(&self.outputs, 0, steps);
        let read_out = sums.layer_mut(LAYERS);
        lane_weight_gradient(self.instruction_set, steps, &[ones, below], outputs, read_out);
    }
}

/// Step `t` of these backward, behind step `t + 1`, of `BLOCKS` blocks. What the LSTM read has a cotangent too if `to_input`,
/// and the state before the first of the steps has one then alone. Asks for `ahead`.
pub(super) fn retreat<T: Real, const BLOCKS: usize>(
    mut records: [&mut Record<T>; BLOCKS],
    weights: &Weights<T>,
    t: usize,
    values: Values<'_, T, BLOCKS>,
    to_input: bool,
    ahead: &Ahead<T>,
) {
    let Record { instruction_set: set, shape, .. } = *records[0];
    let read_out =
        records.each_mut().map(|record| (step(&record.outputs, t, 1), &mut record.dh[..]));
    pull_back(set, weights.backward(LAYERS), read_out, ahead);
    for (at, values) in values.into_iter().enumerate().rev() {
        for (record, values) in records.iter_mut().zip(values) {
            record.cell_backward(at, t, values);
        }
        // Nothing else goes beyond the first step.
        let rows = match (at > 0 || to_input, t > 0) {
            (true, _) => shape.hidden + shape.inputs(at),
            (false, true) => shape.hidden,
            (false, false) => 0,
        };
        let gates = records.each_mut().map(|record| {
            let layer = &mut record.layers[at];
            (step(&layer.dz, t, shape.gates()), step_mut(&mut layer.d_operand, 0, rows))
        });
        pull_back(set, weights.backward(at), gates, ahead);
    }
}

/// A product of each block's rows.
fn pull_back<T: Real, const BLOCKS: usize>(
    instruction_set: InstructionSet,
    matrix: &[T],
    blocks: [(&[T], &mut [T]); BLOCKS],
    ahead: &Ahead<T>,
) {
    let operand = blocks.each_ref().map(|(operand, _)| *operand);
    lane_product(instruction_set, matrix, &[operand], blocks.map(|(_, out)| out), ahead);
}
