//! What the way there keeps of a segment for the way back: every coordinate's first state, and the gates and c of every
//! step for as many blocks of sixteen coordinates as a budget allows. The others share room for one.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_LAYERS as LAYERS;

use super::lstm::Shape;
use crate::kernels::{Ahead, CellValues, Kept, LANES, Real};
use crate::ops::Aligned;

/// How many steps before it reads what was kept the way back asks for it.
const STEPS_AHEAD: usize = 3;

/// What each layer of a block kept of a step, and its c before that step.
pub(super) type Values<'a, T> = [CellValues<'a, T>; LAYERS];

/// A segment's first states, and what its steps kept.
pub(super) struct KeptSegment<T> {
    /// A block's state behind the other's.
    first_states: Aligned<T>,
    /// `[unroll]` steps of each block that has room of its own, and of one more that the others share.
    rows: Aligned<T>,
    own: usize,
    unroll: usize,
    shape: Shape,
}

impl<T: Real> KeptSegment<T> {
    /// Bytes that a block's steps take.
    pub(super) fn block_bytes(shape: Shape, unroll: usize) -> usize {
        unroll * shape.kept_rows() * LANES * size_of::<T>()
    }

    /// For `unroll` steps of `blocks` blocks, of which `own` have room of their own.
    pub(super) fn new(shape: Shape, unroll: usize, blocks: usize, own: usize) -> Self {
        let own = own.min(blocks);
        let rows = unroll * shape.kept_rows() * LANES;
        Self {
            first_states: Aligned::zeros(blocks * shape.state_rows() * LANES),
            rows: Aligned::zeros(blocks.min(own + 1) * rows),
            own,
            unroll,
            shape,
        }
    }

    /// A segment begins at these states.
    pub(super) fn begin(&mut self, states: &[T]) {
        self.first_states.copy_from_slice(states);
    }

    /// The state of a block at the segment's first step.
    pub(super) fn first_state(&self, block: usize) -> &[T] {
        let length = self.shape.state_rows() * LANES;
        &self.first_states[block * length..(block + 1) * length]
    }

    /// Whether a block has room of its own.
    pub(super) fn has_own(&self, block: usize) -> bool {
        block < self.own
    }

    /// Where a block keeps step `t` on the way there: past the caches, and nowhere if it has no room of its own.
    pub(super) fn of_own(&mut self, block: usize, t: usize) -> Kept<'_, T> {
        let place = if self.has_own(block) { self.place(block, t) } else { 0..0 };
        Kept { rows: &mut self.rows[place], past_caches: true }
    }

    /// Where a block that has no room of its own keeps step `t` as it is computed again: in the caches.
    pub(super) fn of_shared(&mut self, t: usize) -> Kept<'_, T> {
        let place = self.place(self.own, t);
        Kept { rows: &mut self.rows[place], past_caches: false }
    }

    fn place(&self, block: usize, t: usize) -> Range<usize> {
        let length = self.shape.kept_rows() * LANES;
        let at = (block.min(self.own) * self.unroll + t) * length;
        at..at + length
    }

    /// What a block kept of step `t`, and c before it.
    pub(super) fn values(&self, block: usize, t: usize) -> Values<'_, T> {
        let [gates, hidden] = [self.shape.gates(), self.shape.hidden].map(|rows| rows * LANES);
        let kept = &self.rows[self.place(block, t)];
        let (before, each, c) = match t.checked_sub(1) {
            Some(before) => (&self.rows[self.place(block, before)], gates + hidden, gates),
            None => (self.first_state(block), 2 * hidden, 0),
        };
        std::array::from_fn(|layer: usize| CellValues {
            kept: &kept[layer * (gates + hidden)..(layer + 1) * (gates + hidden)],
            c_before: &before[layer * each + c..layer * each + c + hidden],
        })
    }

    /// What the way back reads some steps behind step `t` of a block, of `steps`: it goes from the last step to the first,
    /// block by block.
    pub(super) fn ahead(&self, block: usize, t: usize, steps: usize) -> Ahead<T> {
        let (block, t) = match t.checked_sub(STEPS_AHEAD) {
            Some(t) => (block, t),
            None => (block + 1, (steps + t).saturating_sub(STEPS_AHEAD)),
        };
        if self.has_own(block) {
            Ahead::new(&self.rows, self.place(block, t), 1)
        } else {
            Ahead::none()
        }
    }
}
