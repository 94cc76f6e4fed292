//! All coordinates of an optimizee, in blocks of sixteen: each with a state of its own, all with the same LSTM.
//!
//! The way back goes block by block through a whole segment, so that a block stays in the cache. What the way there
//! computed is too much to keep for every coordinate: the gates are kept for as many blocks as a budget allows, and
//! computed again from the segment's first state for the others. Both give the same bits.

use std::ops::Range;

use super::lstm::{Record, Shape, Sums, Weights};
use crate::kernels::pointwise::{add_scaled, scale};
use crate::kernels::{InstructionSet, LANES, LogAndSign, Real};

/// The state of every coordinate, and the records of the segment that is under way.
pub(super) struct Coordinates<T> {
    count: usize,
    unroll: usize,
    /// A block's state behind the other's; and as they were at the segment's first step.
    states: Vec<T>,
    first_states: Vec<T>,
    /// `[kept blocks, unroll]` steps' gates.
    kept: Vec<T>,
    one_step: Record<T>,
    /// One for all blocks in turn; or one a block, where the way back goes step by step.
    segment: Vec<Record<T>>,
    update: Vec<T>,
    reading: LogAndSign<T>,
    output_scale: T,
    instruction_set: InstructionSet,
    shape: Shape,
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
        let states = vec![T::ZERO; blocks * shape.state_rows() * LANES];
        let block_gates = unroll * shape.gate_rows() * LANES;
        let kept_blocks = blocks.min(setup.kept_bytes / (block_gates * size_of::<T>()));
        let records = if setup.step_by_step { blocks } else { 1 };
        Self {
            count,
            unroll,
            first_states: states.clone(),
            states,
            kept: vec![T::ZERO; kept_blocks * block_gates],
            one_step: Record::new(shape, 1, instruction_set),
            segment: (0..records).map(|_| Record::new(shape, unroll, instruction_set)).collect(),
            update: vec![T::ZERO; LANES],
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

    /// Where the gates of a block's step are kept, if they are.
    fn kept(&self, block: usize, t: usize) -> Option<Range<usize>> {
        let length = self.shape.gate_rows() * LANES;
        let at = (block * self.unroll + t) * length;
        (at < self.kept.len()).then_some(at..at + length)
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
        for block in 0..self.blocks() {
            let (state, coordinates) = (self.state(block), self.coordinates(block));
            let record = &mut self.one_step;
            record.begin(&self.states[state.clone()]);
            let gradient = &gradient[coordinates.clone()];
            self.reading.read(self.instruction_set, gradient, record.input_mut(0));
            record.advance(weights, 0, None);
            record.end(1, &mut self.states[state]);
            record.output(weights, 0, &mut self.update);
            let update = &self.update[..coordinates.len()];
            add_scaled(self.instruction_set, self.output_scale, update, &mut theta[coordinates]);
            if let Some(kept) = self.kept(block, t) {
                self.one_step.keep_gates(0, &mut self.kept[kept]);
            }
        }
    }

    /// Computes a block's segment again.
    fn replay(&mut self, weights: &Weights<T>, block: usize, gradients: &[T], steps: usize) {
        let (state, coordinates) = (self.state(block), self.coordinates(block));
        for t in 0..steps {
            let kept = self.kept(block, t);
            let at = block.min(self.segment.len() - 1);
            let record = &mut self.segment[at];
            if t == 0 {
                record.begin(&self.first_states[state.clone()]);
            }
            let gradient = &gradients[t * self.count..][coordinates.clone()];
            self.reading.read(self.instruction_set, gradient, record.input_mut(t));
            record.advance(weights, t, kept.map(|kept| &self.kept[kept]));
        }
    }

    /// Adds the segment's meta-gradient to `sums`, with the optimizee's gradients held constant. `gradients` are
    /// `[steps + 1, coordinates]`: those that the LSTM read, and the last one.
    ///
    /// θ at a step is the sum of all updates before it, so an update's cotangent is the sum of the gradients behind it.
    pub(super) fn backward(
        &mut self,
        weights: &Weights<T>,
        gradients: &[T],
        steps: usize,
        sums: &mut Sums<T>,
    ) {
        for block in 0..self.blocks() {
            self.replay(weights, block, gradients, steps);
            let coordinates = self.coordinates(block);
            let record = &mut self.segment[0];
            let mut lambda = [T::ZERO; LANES];
            let lambda = &mut lambda[..coordinates.len()];
            record.begin_backward();
            for t in (0..steps).rev() {
                let gradient = &gradients[(t + 1) * self.count..][coordinates.clone()];
                add_scaled(self.instruction_set, T::ONE, gradient, lambda);
                retreat(record, self.instruction_set, weights, t, self.output_scale, lambda);
            }
            record.add_weight_gradient(steps, sums);
        }
    }

    /// As [`Coordinates::backward`], with the optimizee's gradients as the functions of θ that they are: `hessian` is given t,
    /// a direction v and where to write H(θₜ) v. θ₀ of the segment is held constant.
    pub(super) fn backward_exactly(
        &mut self,
        weights: &Weights<T>,
        gradients: &[T],
        steps: usize,
        sums: &mut Sums<T>,
        [lambda, direction, product]: [&mut [T]; 3],
        mut hessian: impl FnMut(usize, &[T], &mut [T]),
    ) {
        for block in 0..self.blocks() {
            self.replay(weights, block, gradients, steps);
            self.segment[block].begin_backward();
        }
        lambda.fill(T::ZERO);
        for t in (0..steps).rev() {
            // λₜ₊₁ += ∇f(θₜ₊₁)
            let gradient = &gradients[(t + 1) * self.count..(t + 2) * self.count];
            add_scaled(self.instruction_set, T::ONE, gradient, lambda);
            for block in 0..self.blocks() {
                let coordinates = self.coordinates(block);
                let record = &mut self.segment[block];
                let lambda = &lambda[coordinates.clone()];
                retreat(record, self.instruction_set, weights, t, self.output_scale, lambda);
                let gradient = &gradients[t * self.count..][coordinates.clone()];
                let cotangent = record.input_cotangent();
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
            record.add_weight_gradient(steps, sums);
        }
    }
}

/// Step `t` of a block backward, from the cotangent of the θ that it led to.
fn retreat<T: Real>(
    record: &mut Record<T>,
    instruction_set: InstructionSet,
    weights: &Weights<T>,
    t: usize,
    output_scale: T,
    lambda: &[T],
) {
    let (update, beyond) = record.output_cotangent_mut(t).split_at_mut(lambda.len());
    scale(instruction_set, output_scale, lambda, update);
    beyond.fill(T::ZERO);
    record.retreat(weights, t);
}
