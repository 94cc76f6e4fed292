//! The coordinatewise LSTM of two layers: its weights as kernels read them, and what it computes for a block of sixteen
//! coordinates over the steps of a segment, forward and backward.

use lyceum_common::model::OPTIMIZER_LAYERS as LAYERS;

use crate::kernels::{
    Ahead, InstructionSet, Kept, LANES, Real, lane_product, lstm_cell, sum_lanes,
};
use crate::ops::Aligned;

/// The LSTM's sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Numbers that it reads of a coordinate.
    pub(super) inputs: usize,
    pub(super) hidden: usize,
}

impl Shape {
    pub(super) fn inputs(self, layer: usize) -> usize {
        if layer == 0 { self.inputs } else { self.hidden }
    }

    fn depth(self, layer: usize) -> usize {
        1 + self.inputs(layer) + self.hidden
    }

    pub(super) fn gates(self) -> usize {
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

    /// Rows that a layer keeps of a step for the way back: its gates, and c.
    pub(super) fn layer_kept_rows(self) -> usize {
        self.gates() + self.hidden
    }

    /// Rows that all layers keep of a step, of one after the other.
    pub(super) fn kept_rows(self) -> usize {
        LAYERS * self.layer_kept_rows()
    }

    /// Products of a coordinate's step: forward, and backward by the weights and by the state. Biases are not counted.
    pub(super) fn products(self) -> (usize, usize) {
        let layer = |layer: usize| self.gates() * (self.inputs(layer) + self.hidden);
        let forward = (0..LAYERS).map(layer).sum::<usize>() + self.hidden;
        (forward, 2 * forward - self.gates() * self.inputs)
    }

    /// Walks through the meta-parameters in the layout's order: the matrix's row and the gate, or what reads out, of each.
    /// A matrix has the biases, both of them, in row 0, then the weights of the layer's state and of its input: the state is
    /// there before the input.
    fn places(self) -> impl Iterator<Item = Place> {
        let layers = (0..LAYERS).flat_map(move |layer| {
            let (inputs, gates) = (self.inputs(layer), self.gates());
            let matrix = move |first: usize, columns: usize| {
                (0..gates).flat_map(move |gate| {
                    (0..columns).map(move |at| Place { layer, row: first + at, gate })
                })
            };
            let bias = move || (0..gates).map(move |gate| Place { layer, row: 0, gate });
            let weights = matrix(1 + self.hidden, inputs).chain(matrix(1, self.hidden));
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
    /// `[1 + hidden + inputs, 4 · hidden]`, and `[1 + hidden, 1]`.
    forward: Vec<Vec<T>>,
    /// `[1 + 4 · hidden, hidden + inputs]`, and `[1 + 1, hidden]`: the transposes, behind a row of zeros.
    backward: Vec<Vec<T>>,
    shape: Shape,
}

impl<T: Real> Weights<T> {
    pub(super) fn new(shape: Shape) -> Self {
        let forward = |layer: usize| vec![T::ZERO; shape.rows(layer) * shape.columns(layer)];
        let backward =
            |layer: usize| vec![T::ZERO; (1 + shape.columns(layer)) * (shape.rows(layer) - 1)];
        Self {
            forward: (0..=LAYERS).map(forward).collect(),
            backward: (0..=LAYERS).map(backward).collect(),
            shape,
        }
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
            for (at, weight) in backward[rows..].iter_mut().enumerate() {
                *weight = forward[at % rows * columns + at / rows];
            }
        }
    }

    /// The transpose of the weights of `layer`, or of what reads out, as they were described.
    pub(super) fn backward(&self, layer: usize) -> &[T] {
        &self.backward[layer]
    }

    /// One step of `BLOCKS` blocks forward, their state in place: reads the inputs' rows of each, and writes the outputs' row.
    /// What they keep, layer by layer, goes to `kept`, unless that is empty. `room` is for an h of all of them.
    pub(super) fn advance<const BLOCKS: usize>(
        &self,
        instruction_set: InstructionSet,
        input: [&[T]; BLOCKS],
        mut state: [&mut [T]; BLOCKS],
        room: &mut [T],
        kept: Kept<'_, T>,
        output: [&mut [T]; BLOCKS],
    ) {
        let hidden = self.shape.hidden * LANES;
        let Kept { rows: mut rest, past_caches } = kept;
        let mut below = input;
        for weights in &self.forward[..LAYERS] {
            let mut own = state.each_mut().map(|state| {
                let (own, others) = std::mem::take(state).split_at_mut(2 * hidden);
                *state = others;
                own
            });
            let len = rest.len().min(BLOCKS * self.shape.layer_kept_rows() * LANES);
            let (rows, others) = rest.split_at_mut(len);
            rest = others;
            let kept = Kept { rows, past_caches };
            let cell = own.each_mut().map(|state| &mut **state);
            lstm_cell(instruction_set, weights, below, cell, &mut room[..BLOCKS * hidden], kept);
            below = own.map(|state| &state[hidden..]);
        }
        lane_product(instruction_set, &self.forward[LAYERS], &[below], output, &Ahead::none());
    }
}

/// The gradient by every weight, lane by lane: what blocks add to.
pub(super) struct Sums<T> {
    lanes: Vec<Aligned<T>>,
    totals: Vec<Vec<T>>,
    shape: Shape,
}

impl<T: Real> Sums<T> {
    pub(super) fn new(shape: Shape) -> Self {
        let len = |layer: usize| shape.rows(layer) * shape.columns(layer);
        Self {
            lanes: (0..=LAYERS).map(|layer| Aligned::zeros(len(layer) * LANES)).collect(),
            totals: (0..=LAYERS).map(|layer| vec![T::ZERO; len(layer)]).collect(),
            shape,
        }
    }

    pub(super) fn clear(&mut self) {
        for lanes in &mut self.lanes {
            lanes.fill(T::ZERO);
        }
    }

    /// The sums of the matrix of `layer`, or of what reads out.
    pub(super) fn layer_mut(&mut self, layer: usize) -> &mut [T] {
        &mut self.lanes[layer]
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
