//! All coordinates of an optimizee, in blocks of sixteen: each with a state of its own, all with the same LSTM.
//!
//! The way back goes block by block through a whole segment, so that a block stays in the cache. What the way there
//! computed is too much to keep for every coordinate: the gates are kept for as many blocks as a budget allows, and
//! computed again from the segment's first state for the others. Both give the same bits.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_INPUTS as INPUTS;

use super::lstm::{Shape, Sums, Weights};
use super::record::{Gates, Record};
use crate::kernels::pointwise::{add_scaled, scale};
use crate::kernels::{Ahead, InstructionSet, LANES, LogAndSign, Real, prefetch, streamed};
use crate::ops::Aligned;

/// The state of every coordinate, and the records of the segment that is under way.
pub(super) struct Coordinates<T> {
    count: usize,
    unroll: usize,
    /// A block's state behind the other's; and as they were at the segment's first step.
    states: Aligned<T>,
    first_states: Aligned<T>,
    /// `[unroll]` steps' gates of each block that has its own, and of one more that the others share.
    gates: Aligned<T>,
    own_gates: usize,
    /// What the blocks read at a step; a layer's gates and the update of one.
    inputs: Aligned<T>,
    layer_gates: Aligned<T>,
    update: Aligned<T>,
    /// One for all blocks in turn; or one a block, where the way back goes step by step.
    segment: Vec<Record<T>>,
    reading: LogAndSign<T>,
    output_scale: T,
    instruction_set: InstructionSet,
    shape: Shape,
}

/// A segment of a trajectory, as the way back reads it.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a, T> {
    pub(super) steps: usize,
    /// `[steps + 1, coordinates]`: the optimizee's gradients that the LSTM read, and the last one.
    pub(super) gradients: &'a [T],
    /// `[steps]`: what the loss after each step counts in the meta-loss.
    pub(super) loss_weights: &'a [T],
}

/// What coordinates are computed with.
#[derive(Clone, Copy)]
pub(super) struct Setup<T> {
    pub(super) shape: Shape,
    pub(super) unroll: usize,
    pub(super) reading: LogAndSign<T>,
    pub(super) output_scale: T,
    pub(super) instruction_set: InstructionSet,
    /// Bytes for gates that are kept for the way back.
    pub(super) kept_bytes: usize,
    /// Whether the way back goes step by step through all coordinates.
    pub(super) step_by_step: bool,
}

impl<T: Real> Coordinates<T> {
    pub(super) fn new(count: usize, setup: Setup<T>) -> Self {
        let Setup { shape, unroll, reading, output_scale, instruction_set, .. } = setup;
        let blocks = count.div_ceil(LANES);
        let states = || Aligned::zeros(blocks * shape.state_rows() * LANES);
        let block_gates = unroll * shape.gate_rows() * LANES;
        let kept_blocks = setup.kept_bytes / (block_gates * size_of::<T>());
        let (own_gates, records) =
            if setup.step_by_step { (blocks, blocks) } else { (blocks.min(kept_blocks), 1) };
        Self {
            count,
            unroll,
            first_states: states(),
            states: states(),
            gates: Aligned::zeros(blocks.min(own_gates + 1) * block_gates),
            own_gates,
            inputs: Aligned::zeros(blocks * INPUTS * LANES),
            layer_gates: Aligned::zeros(shape.gates() * LANES),
            update: Aligned::zeros(LANES),
            segment: (0..records).map(|_| Record::new(shape, unroll, instruction_set)).collect(),
            reading,
            output_scale,
            instruction_set,
            shape,
        }
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(LANES)
    }

    /// The coordinates of a block.
    fn coordinates(&self, block: usize) -> Range<usize> {
        block * LANES..self.count.min((block + 1) * LANES)
    }

    fn state(&self, block: usize) -> Range<usize> {
        let length = self.shape.state_rows() * LANES;
        block * length..(block + 1) * length
    }

    /// The place of the gates of a block's step.
    fn gates(&self, block: usize, t: usize) -> Range<usize> {
        let length = self.shape.gate_rows() * LANES;
        let at = (block.min(self.own_gates) * self.unroll + t) * length;
        at..at + length
    }

    /// All states as at an optimizee's first step.
    pub(super) fn reset(&mut self) {
        self.states.fill(T::ZERO);
    }

    /// The states of now are a segment's first.
    pub(super) fn begin_segment(&mut self) {
        self.first_states.copy_from_slice(&self.states);
    }

    /// Step `t` of a segment: the LSTM reads the gradient and changes θ.
    pub(super) fn step(&mut self, weights: &Weights<T>, t: usize, gradient: &[T], theta: &mut [T]) {
        self.reading.read(self.instruction_set, gradient, &mut self.inputs);
        for block in 0..self.blocks() {
            let (state, coordinates) = (self.state(block), self.coordinates(block));
            let kept = if block < self.own_gates { self.gates(block, t) } else { 0..0 };
            prefetch(self.instruction_set, &self.states, self.state(block + 1));
            weights.advance(
                self.instruction_set,
                &self.inputs[block * INPUTS * LANES..(block + 1) * INPUTS * LANES],
                &mut self.states[state],
                &mut self.layer_gates,
                &mut self.gates[kept],
                &mut self.update,
            );
            let update = &self.update[..coordinates.len()];
            add_scaled(self.instruction_set, self.output_scale, update, &mut theta[coordinates]);
        }
        streamed();
    }

    /// Computes a block's segment again.
    fn replay(&mut self, weights: &Weights<T>, block: usize, segment: &Segment<'_, T>) {
        let (state, coordinates) = (self.state(block), self.coordinates(block));
        for t in 0..segment.steps {
            let gates = self.gates(block, t);
            let at = block.min(self.segment.len() - 1);
            let record = &mut self.segment[at];
            if t == 0 {
                record.begin(&self.first_states[state.clone()]);
            }
            let gradient = &segment.gradients[t * self.count..][coordinates.clone()];
            self.reading.read(self.instruction_set, gradient, record.input_mut(t));
            record.advance(
                weights,
                t,
                if block < self.own_gates {
                    Gates::Kept(&self.gates[gates])
                } else {
                    Gates::New(&mut self.gates[gates])
                },
            );
        }
    }

    /// Adds the segment's meta-gradient to `sums`, with the optimizee's gradients held constant.
    ///
    /// θ at a step is the sum of all updates before it, so an update's cotangent is the sum of the gradients behind it.
    pub(super) fn backward(
        &mut self,
        weights: &Weights<T>,
        segment: Segment<'_, T>,
        sums: &mut Sums<T>,
    ) {
        let Segment { steps, gradients, loss_weights } = segment;
        for block in 0..self.blocks() {
            self.replay(weights, block, &segment);
            let coordinates = self.coordinates(block);
            let mut lambda = [T::ZERO; LANES];
            let lambda = &mut lambda[..coordinates.len()];
            self.segment[0].begin_backward();
            for t in (0..steps).rev() {
                let gradient = &gradients[(t + 1) * self.count..][coordinates.clone()];
                add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
                self.retreat(weights, block, t, lambda, false);
            }
            let ahead = if block + 1 < self.own_gates {
                let next = self.gates(block + 1, 0).start..self.gates(block + 1, steps - 1).end;
                Ahead::new(&self.gates, next, 1)
            } else {
                Ahead::none()
            };
            self.segment[0].add_weight_gradient(steps, sums, &ahead);
        }
    }

    /// As [`Coordinates::backward`], with the optimizee's gradients as the functions of θ that they are: `hessian` is given t,
    /// a direction v and where to write H(θₜ) v. θ₀ of the segment is held constant.
    pub(super) fn backward_exactly(
        &mut self,
        weights: &Weights<T>,
        segment: Segment<'_, T>,
        sums: &mut Sums<T>,
        [lambda, direction, product]: [&mut [T]; 3],
        mut hessian: impl FnMut(usize, &[T], &mut [T]),
    ) {
        let Segment { steps, gradients, loss_weights } = segment;
        for block in 0..self.blocks() {
            self.replay(weights, block, &segment);
            self.segment[block].begin_backward();
        }
        lambda.fill(T::ZERO);
        for t in (0..steps).rev() {
            // λₜ₊₁ += wₜ₊₁ ∇f(θₜ₊₁)
            let gradient = &gradients[(t + 1) * self.count..(t + 2) * self.count];
            add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
            for block in 0..self.blocks() {
                let coordinates = self.coordinates(block);
                self.retreat(weights, block, t, &lambda[coordinates.clone()], true);
                let gradient = &gradients[t * self.count..][coordinates.clone()];
                let cotangent = self.segment[block].input_cotangent();
                let direction = &mut direction[coordinates];
                self.reading.read_backward(self.instruction_set, gradient, cotangent, direction);
            }
            if t > 0 {
                // λₜ = λₜ₊₁ + H(θₜ) ∂g
                hessian(t, direction, product);
                add_scaled(self.instruction_set, T::ONE, product, lambda);
            }
        }
        for record in &self.segment {
            record.add_weight_gradient(steps, sums, &Ahead::none());
        }
    }

    /// Step `t` of a block backward, from the cotangent of the θ that it led to.
    fn retreat(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        t: usize,
        lambda: &[T],
        to_input: bool,
    ) {
        let gates = self.gates(block, t);
        let at = block.min(self.segment.len() - 1);
        let record = &mut self.segment[at];
        let (update, beyond) = record.output_cotangent_mut(t).split_at_mut(lambda.len());
        scale(self.instruction_set, self.output_scale, lambda, update);
        beyond.fill(T::ZERO);
        record.retreat(weights, t, &self.gates[gates], to_input);
    }
}
