//! All coordinates of an optimizee, in blocks of sixteen: each with a state of its own, all with the same LSTM.
//!
//! The way back goes block by block through a whole segment, so that a block stays in the cache. It reads the gates and c of
//! every step: they are kept for as many blocks as a budget allows, and computed again from the segment's first state for
//! the others. An exact meta-gradient's way back goes step by step through all blocks instead, a window of steps at a time,
//! and keeps all steps or computes a window's again from its first state. Both give the same bits.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_INPUTS as INPUTS;

use super::kept::{KeptSegment, Rooms};
use super::lstm::{Shape, Sums, Weights};
use super::record::Record;
use crate::kernels::pointwise::{add_scaled, scale};
use crate::kernels::{Ahead, InstructionSet, LANES, LogAndSign, Real, prefetch, streamed};
use crate::ops::Aligned;

/// The state of every coordinate, and the records of the segment that is under way.
pub(super) struct Coordinates<T> {
    count: usize,
    /// A block's state behind the other's.
    states: Aligned<T>,
    kept: KeptSegment<T>,
    /// What the blocks read at a step; a layer's gates and the update of one.
    inputs: Aligned<T>,
    layer_gates: Aligned<T>,
    update: Aligned<T>,
    /// The state of a block whose segment is computed again.
    state_again: Aligned<T>,
    /// One for all blocks in turn; or one a block, where the way back goes step by step.
    records: Vec<Record<T>>,
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
    /// Bytes for what is kept for the way back.
    pub(super) kept_bytes: usize,
    /// Whether the way back goes step by step through all coordinates.
    pub(super) step_by_step: bool,
}

impl<T: Real> Coordinates<T> {
    pub(super) fn new(count: usize, setup: Setup<T>) -> Self {
        let Setup { shape, unroll, reading, output_scale, instruction_set, .. } = setup;
        let blocks = count.div_ceil(LANES);
        let (records, rooms) = if setup.step_by_step {
            (blocks, Rooms::by_step::<T>(shape, unroll, blocks, setup.kept_bytes))
        } else {
            (1, Rooms::by_block::<T>(shape, unroll, blocks, setup.kept_bytes))
        };
        let record = || Record::new(shape, rooms.window, instruction_set);
        Self {
            count,
            states: Aligned::zeros(blocks * shape.state_rows() * LANES),
            kept: KeptSegment::new(shape, blocks, rooms),
            inputs: Aligned::zeros(blocks * INPUTS * LANES),
            layer_gates: Aligned::zeros(shape.gates() * LANES),
            update: Aligned::zeros(LANES),
            state_again: Aligned::zeros(shape.state_rows() * LANES),
            records: (0..records).map(|_| record()).collect(),
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

    /// All states as at an optimizee's first step.
    pub(super) fn reset(&mut self) {
        self.states.fill(T::ZERO);
    }

    /// The next step: the LSTM reads the gradient and changes θ. The way back goes through it if it is a segment's, as its
    /// step `of_segment`.
    pub(super) fn step(
        &mut self,
        weights: &Weights<T>,
        of_segment: Option<usize>,
        gradient: &[T],
        theta: &mut [T],
    ) {
        if let Some(t) = of_segment {
            self.kept.note(t, &self.states);
        }
        self.reading.read(self.instruction_set, gradient, &mut self.inputs);
        for block in 0..self.blocks() {
            let (state, coordinates) = (self.state(block), self.coordinates(block));
            prefetch(self.instruction_set, &self.states, self.state(block + 1));
            weights.advance(
                self.instruction_set,
                &self.inputs[block * INPUTS * LANES..(block + 1) * INPUTS * LANES],
                &mut self.states[state],
                &mut self.layer_gates,
                self.kept.on_the_way(block, of_segment),
                &mut self.update,
            );
            let update = &self.update[..coordinates.len()];
            add_scaled(self.instruction_set, self.output_scale, update, &mut theta[coordinates]);
        }
        streamed();
    }

    /// Begins a block's way back through a window: computes what it read, and what it has not kept, again.
    fn begin_backward(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        window: Range<usize>,
        gradients: &[T],
    ) {
        let coordinates = self.coordinates(block);
        let at = self.record_of(block);
        let record = &mut self.records[at];
        let first_state = self.kept.first_state(block, window.start);
        record.begin(first_state);
        for (at, t) in window.clone().enumerate() {
            let gradient = &gradients[t * self.count..][coordinates.clone()];
            self.reading.read(self.instruction_set, gradient, record.input_mut(at));
        }
        if self.kept.has_own(block) {
            return;
        }
        self.state_again.copy_from_slice(first_state);
        for (at, t) in window.enumerate() {
            weights.advance(
                self.instruction_set,
                record.input_mut(at),
                &mut self.state_again,
                &mut self.layer_gates,
                self.kept.again(block, t),
                &mut self.update,
            );
        }
    }

    /// The place of a block's record: each has its own, or one serves all in turn.
    fn record_of(&self, block: usize) -> usize {
        block.min(self.records.len() - 1)
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
            self.records[0].begin_segment();
            self.begin_backward(weights, block, 0..steps, gradients);
            let coordinates = self.coordinates(block);
            let mut lambda = [T::ZERO; LANES];
            let lambda = &mut lambda[..coordinates.len()];
            for t in (0..steps).rev() {
                let gradient = &gradients[(t + 1) * self.count..][coordinates.clone()];
                add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
                let ahead = self.kept.ahead_by_block(block, t, steps);
                self.retreat(weights, block, [t, t], lambda, false, &ahead);
            }
            self.records[0].add_weight_gradient(steps, sums);
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
        self.records.iter_mut().for_each(Record::begin_segment);
        lambda.fill(T::ZERO);
        for window in self.kept.windows(steps) {
            for block in 0..self.blocks() {
                self.begin_backward(weights, block, window.clone(), gradients);
            }
            streamed();
            for (at, t) in window.clone().enumerate().rev() {
                // λₜ₊₁ += wₜ₊₁ ∇f(θₜ₊₁)
                let gradient = &gradients[(t + 1) * self.count..(t + 2) * self.count];
                add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
                for block in 0..self.blocks() {
                    let coordinates = self.coordinates(block);
                    let lambda = &lambda[coordinates.clone()];
                    let ahead = self.kept.ahead_by_step(block, t);
                    self.retreat(weights, block, [t, at], lambda, true, &ahead);
                    let gradient = &gradients[t * self.count..][coordinates.clone()];
                    let cotangent = self.records[block].input_cotangent();
                    let direction = &mut direction[coordinates];
                    self.reading.read_backward(
                        self.instruction_set,
                        gradient,
                        cotangent,
                        direction,
                    );
                }
                if t > 0 {
                    // λₜ = λₜ₊₁ + H(θₜ) ∂g
                    hessian(t, direction, product);
                    add_scaled(self.instruction_set, T::ONE, product, lambda);
                }
            }
            for record in &self.records {
                record.add_weight_gradient(window.len(), sums);
            }
        }
    }

    /// Step `t` of a block backward, the window's `at`-th, from the cotangent of the θ that it led to.
    fn retreat(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        [t, at]: [usize; 2],
        lambda: &[T],
        to_input: bool,
        ahead: &Ahead<T>,
    ) {
        let place = self.record_of(block);
        let record = &mut self.records[place];
        let (update, beyond) = record.output_cotangent_mut(at).split_at_mut(lambda.len());
        scale(self.instruction_set, self.output_scale, lambda, update);
        beyond.fill(T::ZERO);
        record.retreat(weights, at, self.kept.values(block, t), to_input, ahead);
    }
}
