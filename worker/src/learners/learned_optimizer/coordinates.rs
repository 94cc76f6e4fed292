//! All coordinates of an optimizee, in blocks of sixteen: each with a state of its own, all with the same LSTM.
//!
//! The way back goes block by block through a whole segment, so that a block stays in the cache. It reads the gates and c of
//! every step: they are kept for as many blocks as a budget allows, and computed again from the segment's first state for
//! the others. An exact meta-gradient's way back goes step by step through all blocks instead, a window of steps at a time,
//! and keeps all steps or computes a window's again from its first state. Both give the same bits.

use std::ops::Range;

use super::kept::{KeptSegment, PAIR, Rooms};
use super::lstm::{Shape, Sums, Weights};
use super::record::{Record, retreat};
use super::update_rule::{Observed, UpdateRule};
use crate::kernels::pointwise::add_scaled;
use crate::kernels::{Ahead, InstructionSet, LANES, LogAndSign, Real, prefetch, streamed};
use crate::ops::Aligned;

/// The state of every coordinate, and the records of the segment that is under way.
pub(super) struct Coordinates<T> {
    count: usize,
    /// A block's state behind the other's.
    states: Aligned<T>,
    kept: KeptSegment<T>,
    /// What a pair of blocks reads at a step, an h of both, and what is said of them.
    inputs: Aligned<T>,
    h: Aligned<T>,
    outputs: Aligned<T>,
    /// The state of a pair whose segment is computed again.
    state_again: Aligned<T>,
    /// Two for all pairs in turn; or one a block, where the way back goes step by step.
    records: Vec<Record<T>>,
    rule: UpdateRule<T>,
    instruction_set: InstructionSet,
    shape: Shape,
}

/// A segment of a trajectory, as the way back reads it.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a, T> {
    pub(super) steps: usize,
    /// `[steps + 1, coordinates]`: the optimizee's gradients that the LSTM read, and the last one.
    pub(super) gradients: &'a [T],
    /// `[steps, coordinates]`: what it read of the memory; nothing without one.
    pub(super) directions: &'a [T],
    /// `[steps]`: what the loss after each step counts in the meta-loss.
    pub(super) loss_weights: &'a [T],
}

impl<'a, T> Segment<'a, T> {
    /// What the LSTM read of some of `count` coordinates at step `t`.
    fn observed(&self, t: usize, count: usize, coordinates: Range<usize>) -> Observed<'a, T> {
        let all = Observed { gradient: self.gradients, direction: self.directions };
        all.of(t * count + coordinates.start..t * count + coordinates.end)
    }
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
            (blocks.min(PAIR), Rooms::by_block::<T>(shape, unroll, blocks, setup.kept_bytes))
        };
        let record = || Record::new(shape, rooms.window, instruction_set);
        Self {
            count,
            states: Aligned::zeros(blocks * shape.state_rows() * LANES),
            kept: KeptSegment::new(shape, blocks, rooms),
            inputs: Aligned::zeros(PAIR * shape.inputs * LANES),
            h: Aligned::zeros(PAIR * shape.hidden * LANES),
            outputs: Aligned::zeros(PAIR * LANES),
            state_again: Aligned::zeros(PAIR * shape.state_rows() * LANES),
            records: (0..records).map(|_| record()).collect(),
            rule: UpdateRule { reading, output_scale, instruction_set },
            instruction_set,
            shape,
        }
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(LANES)
    }

    /// The coordinates of some blocks.
    fn coordinates(&self, block: usize, blocks: usize) -> Range<usize> {
        block * LANES..self.count.min((block + blocks) * LANES)
    }

    fn state(&self, block: usize, blocks: usize) -> Range<usize> {
        let length = self.shape.state_rows() * LANES;
        block * length..(block + blocks) * length
    }

    /// All states as at an optimizee's first step.
    pub(super) fn reset(&mut self) {
        self.states.fill(T::ZERO);
    }

    /// The next step: the LSTM reads what is observed and changes θ. The way back goes through it if it is a segment's,
    /// as its step `of_segment`.
    pub(super) fn step(
        &mut self,
        weights: &Weights<T>,
        of_segment: Option<usize>,
        observed: Observed<'_, T>,
        theta: &mut [T],
    ) {
        if let Some(t) = of_segment {
            self.kept.note(t, &self.states);
        }
        for block in (0..self.blocks()).step_by(PAIR) {
            if block + PAIR <= self.blocks() {
                self.step_blocks::<PAIR>(weights, block, of_segment, observed, theta);
            } else {
                self.step_blocks::<1>(weights, block, of_segment, observed, theta);
            }
        }
        streamed();
    }

    fn step_blocks<const BLOCKS: usize>(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        of_segment: Option<usize>,
        observed: Observed<'_, T>,
        theta: &mut [T],
    ) {
        let input = self.shape.inputs * LANES;
        let state = self.state(block, BLOCKS);
        let coordinates: [_; BLOCKS] = std::array::from_fn(|j| self.coordinates(block + j, 1));
        for (rows, coordinates) in self.inputs.chunks_exact_mut(input).zip(&coordinates) {
            self.rule.read(observed.of(coordinates.clone()), rows);
        }
        prefetch(self.instruction_set, &self.states, self.state(block + BLOCKS, BLOCKS));
        weights.advance(
            self.instruction_set,
            cut(&self.inputs, input),
            cut_mut::<_, BLOCKS>(&mut self.states[state], self.shape.state_rows() * LANES),
            &mut self.h,
            self.kept.on_the_way([block, BLOCKS], of_segment),
            cut_mut(&mut self.outputs, LANES),
        );
        for (said, coordinates) in self.outputs.chunks_exact(LANES).zip(coordinates) {
            self.rule.update(said, observed.of(coordinates.clone()), &mut theta[coordinates]);
        }
    }

    /// Begins blocks' way back through a window: computes what they read, and what they have not kept, again.
    fn begin_backward<const BLOCKS: usize>(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        window: Range<usize>,
        segment: Segment<'_, T>,
    ) {
        let first = self.record_of(block);
        for j in 0..BLOCKS {
            let coordinates = self.coordinates(block + j, 1);
            let record = &mut self.records[first + j];
            record.begin(self.kept.first_state(block + j, window.start));
            for (at, t) in window.clone().enumerate() {
                let observed = segment.observed(t, self.count, coordinates.clone());
                self.rule.read(observed, record.input_mut(at));
            }
        }
        if self.kept.has_own(block) {
            return;
        }
        let length = self.shape.state_rows() * LANES;
        for (j, state) in self.state_again.chunks_exact_mut(length).take(BLOCKS).enumerate() {
            state.copy_from_slice(self.kept.first_state(block + j, window.start));
        }
        for (at, t) in window.enumerate() {
            weights.advance(
                self.instruction_set,
                std::array::from_fn(|j| self.records[first + j].input(at)),
                cut_mut::<_, BLOCKS>(&mut self.state_again, length),
                &mut self.h,
                self.kept.again([block, BLOCKS], t),
                cut_mut(&mut self.outputs, LANES),
            );
        }
    }

    /// The place of a block's record: each has its own, or two serve all in turn.
    fn record_of(&self, block: usize) -> usize {
        if self.records.len() == self.blocks() { block } else { block % PAIR }
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
        for block in (0..self.blocks()).step_by(PAIR) {
            if block + PAIR <= self.blocks() {
                self.blocks_backward::<PAIR>(weights, block, segment, sums);
            } else {
                self.blocks_backward::<1>(weights, block, segment, sums);
            }
        }
    }

    fn blocks_backward<const BLOCKS: usize>(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        segment: Segment<'_, T>,
        sums: &mut Sums<T>,
    ) {
        let Segment { steps, gradients, loss_weights, .. } = segment;
        let records = self.record_of(block)..self.record_of(block) + BLOCKS;
        self.records[records.clone()].iter_mut().for_each(Record::begin_segment);
        self.begin_backward::<BLOCKS>(weights, block, 0..steps, segment);
        let coordinates = self.coordinates(block, BLOCKS);
        let mut lambda = [[T::ZERO; LANES]; BLOCKS];
        let lambda = &mut lambda.as_flattened_mut()[..coordinates.len()];
        for t in (0..steps).rev() {
            let gradient = &gradients[(t + 1) * self.count..][coordinates.clone()];
            add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
            let ahead = self.kept.ahead_by_block(block, t, steps);
            self.retreat::<BLOCKS>(weights, block, [t, t], (lambda, segment), false, &ahead);
        }
        for record in &self.records[records] {
            record.add_weight_gradient(steps, sums);
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
        let Segment { steps, gradients, loss_weights, .. } = segment;
        self.records.iter_mut().for_each(Record::begin_segment);
        lambda.fill(T::ZERO);
        for window in self.kept.windows(steps) {
            for block in (0..self.blocks()).step_by(PAIR) {
                if block + PAIR <= self.blocks() {
                    self.begin_backward::<PAIR>(weights, block, window.clone(), segment);
                } else {
                    self.begin_backward::<1>(weights, block, window.clone(), segment);
                }
            }
            streamed();
            for (at, t) in window.clone().enumerate().rev() {
                // λₜ₊₁ += wₜ₊₁ ∇f(θₜ₊₁)
                let gradient = &gradients[(t + 1) * self.count..(t + 2) * self.count];
                add_scaled(self.instruction_set, loss_weights[t], gradient, lambda);
                for block in (0..self.blocks()).step_by(PAIR) {
                    let step = [t, at];
                    if block + PAIR <= self.blocks() {
                        self.direction::<PAIR>(weights, block, step, (lambda, segment), direction);
                    } else {
                        self.direction::<1>(weights, block, step, (lambda, segment), direction);
                    }
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

    /// Step `t` of blocks backward, the window's `at`-th, to the cotangent of the gradient that it read.
    fn direction<const BLOCKS: usize>(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        [t, at]: [usize; 2],
        (lambda, segment): (&[T], Segment<'_, T>),
        direction: &mut [T],
    ) {
        let ahead = self.kept.ahead_by_step(block, t);
        let lambda = &lambda[self.coordinates(block, BLOCKS)];
        self.retreat::<BLOCKS>(weights, block, [t, at], (lambda, segment), true, &ahead);
        for block in block..block + BLOCKS {
            let coordinates = self.coordinates(block, 1);
            let observed = segment.observed(t, self.count, coordinates.clone());
            let rows = self.records[block].input_cotangent();
            self.rule.read_backward(observed.gradient, rows, &mut direction[coordinates]);
        }
    }

    /// Step `t` of blocks backward, the window's `at`-th, from the cotangents λ of the θ that it led to.
    fn retreat<const BLOCKS: usize>(
        &mut self,
        weights: &Weights<T>,
        block: usize,
        [t, at]: [usize; 2],
        (lambda, segment): (&[T], Segment<'_, T>),
        to_input: bool,
        ahead: &Ahead<T>,
    ) {
        let first = self.record_of(block);
        for (j, lambda) in lambda.chunks(LANES).enumerate() {
            let observed = segment.observed(t, self.count, self.coordinates(block + j, 1));
            let rows = self.records[first + j].output_cotangent_mut(at);
            self.rule.update_backward(lambda, observed, rows);
        }
        let Some(records) = self.records[first..].first_chunk_mut::<BLOCKS>() else {
            unreachable!("there is a record for each of the blocks")
        };
        let values = self.kept.values(block, t);
        retreat(records.each_mut(), weights, at, values, to_input, ahead);
    }
}

/// The first `BLOCKS` parts of so many numbers.
fn cut<T, const BLOCKS: usize>(numbers: &[T], each: usize) -> [&[T]; BLOCKS] {
    std::array::from_fn(|j| &numbers[j * each..(j + 1) * each])
}

fn cut_mut<T, const BLOCKS: usize>(numbers: &mut [T], each: usize) -> [&mut [T]; BLOCKS] {
    let mut parts = numbers.chunks_exact_mut(each);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
