//! The coordinatewise LSTM of two layers: its weights as kernels read them, and what it computes for a block of sixteen
//! coordinates over the steps of a segment, forward and backward.
//!
//! An operand is a one, the layer's input and its state, row behind row, so that biases are weights like any other.

use lyceum_common::model::{OPTIMIZER_INPUTS as INPUTS, OPTIMIZER_LAYERS as LAYERS};

use crate::kernels::{
    CellValues, InstructionSet, LANES, Real, lane_gates, lane_product, lane_weight_gradient,
    lstm_cell, lstm_cell_backward, sum_lanes,
};

/// Sizes that follow from the hidden layers'.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) hidden: usize,
}

impl Shape {
    fn inputs(self, layer: usize) -> usize {
        if layer == 0 { INPUTS } else { self.hidden }
    }

    fn depth(self, layer: usize) -> usize {
        1 + self.inputs(layer) + self.hidden
    }

    fn gates(self) -> usize {
        4 * self.hidden
    }

    /// How many meta-parameters there are.
    pub(super) fn parameters(self) -> usize {
        let layer = |layer: usize| self.gates() * (self.depth(layer) + 1);
        (0..LAYERS).map(layer).sum::<usize>() + self.hidden + 1
    }

    /// Rows of a block's state: c and h of each layer.
    pub(super) fn state_rows(self) -> usize {
        2 * LAYERS * self.hidden
    }

    /// Rows of all gates of a step.
    pub(super) fn gate_rows(self) -> usize {
        LAYERS * self.gates()
    }

    /// Products of a coordinate's step: forward, and backward by the weights and by the state. Biases are not counted.
    pub(super) fn products(self) -> (usize, usize) {
        let layer = |layer: usize| self.gates() * (self.inputs(layer) + self.hidden);
        let forward = (0..LAYERS).map(layer).sum::<usize>() + self.hidden;
        (forward, 2 * forward - self.gates() * INPUTS)
    }

    /// Walks through the meta-parameters in the layout's order: the operand's row and the gate's, or what reads out, of
    /// each. Both biases are weights of row 0.
    fn places(self) -> impl Iterator<Item = Place> {
        let layers = (0..LAYERS).flat_map(move |layer| {
            let (inputs, gates) = (self.inputs(layer), self.gates());
            let matrix = move |first: usize, columns: usize| {
                (0..gates).flat_map(move |gate| {
                    (0..columns).map(move |at| Place { layer, row: first + at, gate })
                })
            };
            let bias = move || (0..gates).map(move |gate| Place { layer, row: 0, gate });
            let weights = matrix(1, inputs).chain(matrix(1 + inputs, self.hidden));
            weights.chain(bias()).chain(bias())
        });
        let read_out = (1..=self.hidden).chain([0]);
        layers.chain(read_out.map(|row| Place { layer: LAYERS, row, gate: 0 }))
    }

    /// Columns of the matrix of `layer`; the layer behind the last reads out.
    fn columns(self, layer: usize) -> usize {
        if layer == LAYERS { 1 } else { self.gates() }
    }

    fn rows(self, layer: usize) -> usize {
        if layer == LAYERS { 1 + self.hidden } else { self.depth(layer) }
    }
}

/// Where a meta-parameter is in the matrices.
struct Place {
    layer: usize,
    row: usize,
    gate: usize,
}

/// The meta-parameters as matrices, layer by layer, the last of which reads out.
pub(super) struct Weights<T> {
    /// `[1 + inputs + hidden, 4 · hidden]`, and `[1 + hidden, 1]`.
    forward: Vec<Vec<T>>,
    /// `[4 · hidden, inputs + hidden]`, and `[1, hidden]`.
    backward: Vec<Vec<T>>,
    shape: Shape,
}

impl<T: Real> Weights<T> {
    pub(super) fn new(shape: Shape) -> Self {
        let matrices = |bias: usize| -> Vec<Vec<T>> {
            let len = |layer: usize| (shape.rows(layer) - bias) * shape.columns(layer);
            (0..=LAYERS).map(|layer| vec![T::ZERO; len(layer)]).collect()
        };
        Self { forward: matrices(0), backward: matrices(1), shape }
    }

    /// Takes over meta-parameters, in the layout's order.
    pub(super) fn set(&mut self, phi: &[T]) {
        for matrix in &mut self.forward {
            matrix.fill(T::ZERO);
        }
        for (place, &value) in self.shape.places().zip(phi) {
            let columns = self.shape.columns(place.layer);
            let weight = &mut self.forward[place.layer][place.row * columns + place.gate];
            *weight = *weight + value;
        }
        for (layer, backward) in self.backward.iter_mut().enumerate() {
            let (columns, rows) = (self.shape.columns(layer), self.shape.rows(layer) - 1);
            let forward = &self.forward[layer][columns..];
            for (at, weight) in backward.iter_mut().enumerate() {
                *weight = forward[at % rows * columns + at / rows];
            }
        }
    }
}

/// The gradient by every weight, lane by lane: what blocks add to.
pub(super) struct Sums<T> {
    lanes: Vec<Vec<T>>,
    totals: Vec<Vec<T>>,
    shape: Shape,
}

impl<T: Real> Sums<T> {
    pub(super) fn new(shape: Shape) -> Self {
        let len = |layer: usize| shape.rows(layer) * shape.columns(layer);
        let matrices =
            |lanes: usize| (0..=LAYERS).map(|layer| vec![T::ZERO; len(layer) * lanes]).collect();
        Self { lanes: matrices(LANES), totals: matrices(1), shape }
    }

    pub(super) fn clear(&mut self) {
        for lanes in &mut self.lanes {
            lanes.fill(T::ZERO);
        }
    }

    /// The sums over the lanes, in the layout's order.
    pub(super) fn write(&mut self, instruction_set: InstructionSet, out: &mut [T]) {
        for (lanes, totals) in self.lanes.iter().zip(&mut self.totals) {
            sum_lanes(instruction_set, lanes, totals);
        }
        for (place, out) in self.shape.places().zip(out) {
            let columns = self.shape.columns(place.layer);
            *out = self.totals[place.layer][place.row * columns + place.gate];
        }
    }
}

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
    /// `[steps, 1 + hidden]` rows: a one, and the last layer's h.
    read_out: Vec<T>,
    /// `[steps]` rows: the cotangents of the updates.
    updates: Vec<T>,
    /// `[hidden]` rows: an h, or its cotangent from above.
    h: Vec<T>,
    instruction_set: InstructionSet,
    shape: Shape,
}

/// One layer's rows.
struct Layer<T> {
    /// `[steps + 1, 1 + inputs + hidden]`.
    operand: Vec<T>,
    /// `[steps + 1, hidden]`.
    c: Vec<T>,
    /// `[steps, hidden]`.
    tanh_c: Vec<T>,
    /// `[steps, 4 · hidden]`: the cotangents of the gates' sums.
    dz: Vec<T>,
    /// `[hidden]`.
    dc: Vec<T>,
    /// `[inputs + hidden]`.
    d_operand: Vec<T>,
    inputs: usize,
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
        let rows = |count: usize| vec![T::ZERO; count * LANES];
        // A one at the head of every step.
        let operands = |steps: usize, depth: usize| {
            let mut operands = rows(steps * depth);
            for operand in operands.chunks_exact_mut(depth * LANES) {
                operand[..LANES].fill(T::ONE);
            }
            operands
        };
        let layer = |layer: usize| Layer {
            operand: operands(steps + 1, shape.depth(layer)),
            c: rows((steps + 1) * shape.hidden),
            tanh_c: rows(steps * shape.hidden),
            dz: rows(steps * shape.gates()),
            dc: rows(shape.hidden),
            d_operand: rows(shape.depth(layer) - 1),
            inputs: shape.inputs(layer),
        };
        Self {
            layers: (0..LAYERS).map(layer).collect(),
            read_out: operands(steps, 1 + shape.hidden),
            updates: rows(steps),
            h: rows(shape.hidden),
            instruction_set,
            shape,
        }
    }

    /// Begins at a state: c and h of each layer.
    pub(super) fn begin(&mut self, state: &[T]) {
        let hidden = self.shape.hidden * LANES;
        for (layer, state) in self.layers.iter_mut().zip(state.chunks_exact(2 * hidden)) {
            let at = (1 + layer.inputs) * LANES;
            layer.c[..hidden].copy_from_slice(&state[..hidden]);
            layer.operand[at..at + hidden].copy_from_slice(&state[hidden..]);
        }
    }

    /// The state behind `steps` steps.
    pub(super) fn end(&self, steps: usize, state: &mut [T]) {
        let hidden = self.shape.hidden * LANES;
        for (layer, state) in self.layers.iter().zip(state.chunks_exact_mut(2 * hidden)) {
            let depth = 1 + layer.inputs + self.shape.hidden;
            let operand = step(&layer.operand, steps, depth);
            state[..hidden].copy_from_slice(step(&layer.c, steps, self.shape.hidden));
            state[hidden..].copy_from_slice(&operand[(1 + layer.inputs) * LANES..]);
        }
    }

    /// What the LSTM reads at step `t`: two rows.
    pub(super) fn input_mut(&mut self, t: usize) -> &mut [T] {
        let operand = step_mut(&mut self.layers[0].operand, t, self.shape.depth(0));
        &mut operand[LANES..(1 + INPUTS) * LANES]
    }

    /// Step `t` forward.
    pub(super) fn advance(&mut self, weights: &Weights<T>, t: usize, mut all_gates: Gates<'_, T>) {
        let (set, shape, hidden) = (self.instruction_set, self.shape, self.shape.hidden);
        for at in 0..LAYERS {
            let (these, above) = self.layers.split_at_mut(at + 1);
            let layer = &mut these[at];
            let depth = shape.depth(at);
            let gates = match &mut all_gates {
                Gates::Kept(gates) => step(gates, at, shape.gates()),
                Gates::New(gates) => {
                    let gates = step_mut(gates, at, shape.gates());
                    lane_gates(set, &weights.forward[at], step(&layer.operand, t, depth), gates);
                    &*gates
                }
            };
            let (before, after) = layer.c.split_at_mut((t + 1) * hidden * LANES);
            let (before, after) = (step(before, t, hidden), step_mut(after, 0, hidden));
            let tanh_c = step_mut(&mut layer.tanh_c, t, hidden);
            lstm_cell(set, gates, before, after, tanh_c, &mut self.h);
            let own = step_mut(&mut layer.operand, t + 1, depth);
            own[(1 + layer.inputs) * LANES..].copy_from_slice(&self.h);
            let next = match above.first_mut() {
                Some(above) => step_mut(&mut above.operand, t, shape.depth(at + 1)),
                None => step_mut(&mut self.read_out, t, 1 + hidden),
            };
            next[LANES..(1 + hidden) * LANES].copy_from_slice(&self.h);
        }
    }

    /// The LSTM's output at step `t`: a row.
    pub(super) fn output(&self, weights: &Weights<T>, t: usize, out: &mut [T]) {
        let operand = step(&self.read_out, t, 1 + self.shape.hidden);
        lane_product(self.instruction_set, &weights.forward[LAYERS], operand, out);
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

    /// Step `t` backward, behind step `t + 1`: with its gates, of one layer after the other.
    pub(super) fn retreat(&mut self, weights: &Weights<T>, t: usize, gates: &[T]) {
        let (set, shape, hidden) = (self.instruction_set, self.shape, self.shape.hidden);
        let update = step(&self.updates, t, 1);
        lane_product(set, &weights.backward[LAYERS], update, &mut self.h);
        for at in (0..LAYERS).rev() {
            let layer = &mut self.layers[at];
            let values = CellValues {
                gates: step(gates, at, shape.gates()),
                c_before: step(&layer.c, t, hidden),
                tanh_c: step(&layer.tanh_c, t, hidden),
            };
            let dz = step_mut(&mut layer.dz, t, shape.gates());
            let dh = [&self.h[..], &layer.d_operand[layer.inputs * LANES..]];
            lstm_cell_backward(set, values, dh, &mut layer.dc, dz);
            lane_product(set, &weights.backward[at], dz, &mut layer.d_operand);
            if at > 0 {
                self.h.copy_from_slice(&layer.d_operand[..hidden * LANES]);
            }
        }
    }

    /// The cotangents of what the LSTM read at the step that [`Record::retreat`] has just left: two rows.
    pub(super) fn input_cotangent(&self) -> &[T] {
        &self.layers[0].d_operand[..INPUTS * LANES]
    }

    /// Adds the gradient by the weights of the first `steps` steps.
    pub(super) fn add_weight_gradient(&self, steps: usize, sums: &mut Sums<T>) {
        let (set, shape) = (self.instruction_set, self.shape);
        for (at, (layer, sums)) in self.layers.iter().zip(&mut sums.lanes).enumerate() {
            let operand = &layer.operand[..steps * shape.depth(at) * LANES];
            lane_weight_gradient(
                set,
                steps,
                operand,
                &layer.dz[..steps * shape.gates() * LANES],
                sums,
            );
        }
        let operand = &self.read_out[..steps * (1 + shape.hidden) * LANES];
        let updates = &self.updates[..steps * LANES];
        lane_weight_gradient(set, steps, operand, updates, &mut sums.lanes[LAYERS]);
    }
}
