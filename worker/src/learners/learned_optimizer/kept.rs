//! What the way there keeps of a segment for the way back: every coordinate's state at some steps, and the gates and c of
//! all steps for as many blocks of sixteen coordinates as a budget allows. The others compute them again.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_LAYERS as LAYERS;

use super::lstm::Shape;
use crate::kernels::{Ahead, CellValues, Kept, LANES, Real};
use crate::ops::Aligned;

/// How many steps before it reads what was kept the way back asks for it.
const STEPS_AHEAD: usize = 3;

/// How many blocks, where it goes step by step.
const BLOCKS_AHEAD: usize = 2;

/// How many steps are gone back through at once where the way back goes step by step: what it records of them is as large
/// again as what is kept of them, and the sums of the weights' gradient are read and written once a window. The order of
/// these sums, and so their bits, depends on it, but not on how much is kept.
const WINDOW: usize = 8;

/// What each layer of a block kept of a step, and its c before that step.
pub(super) type Values<'a, T> = [CellValues<'a, T>; LAYERS];

/// States within a segment, and what its steps kept.
pub(super) struct KeptSegment<T> {
    /// At the first step of each window: a block's state behind the other's.
    first_states: Aligned<T>,
    /// Rooms, a block's behind the other's: what each of its steps kept.
    rows: Aligned<T>,
    rooms: Rooms,
    blocks: usize,
    shape: Shape,
}

/// How steps and blocks are kept.
#[derive(Clone, Copy)]
pub(super) struct Rooms {
    /// Steps of a segment at most.
    unroll: usize,
    /// Steps that are gone back through at once.
    pub(super) window: usize,
    /// Blocks that keep all steps on the way there.
    own: usize,
    /// Whether the others, who compute theirs again, have a window's room each. They share room for one else.
    each: bool,
}

impl Rooms {
    /// Bytes that a block's steps take.
    fn block_bytes<T>(shape: Shape, unroll: usize) -> usize {
        unroll * shape.kept_rows() * LANES * size_of::<T>()
    }

    /// Where the way back goes block by block: as many of these keep their steps as `bytes` are enough for.
    pub(super) fn by_block<T>(shape: Shape, unroll: usize, blocks: usize, bytes: usize) -> Self {
        let own = blocks.min(bytes / Self::block_bytes::<T>(shape, unroll));
        Self { unroll, window: unroll, own, each: false }
    }

    /// Where it goes step by step, in windows: all blocks keep their steps if `bytes` are enough for that, or none does.
    pub(super) fn by_step<T>(shape: Shape, unroll: usize, blocks: usize, bytes: usize) -> Self {
        let fits = blocks * Self::block_bytes::<T>(shape, unroll) <= bytes;
        let (own, window) = (if fits { blocks } else { 0 }, unroll.min(WINDOW));
        Self { unroll, window, own, each: true }
    }

    /// Steps that there is room for, of as many blocks.
    fn room(self, blocks: usize) -> [usize; 2] {
        match (self.each, self.own == blocks) {
            (_, true) => [self.unroll, blocks],
            (true, false) => [self.window, blocks],
            (false, false) => [self.unroll, self.own + 1],
        }
    }
}

impl<T: Real> KeptSegment<T> {
    /// For so many blocks.
    pub(super) fn new(shape: Shape, blocks: usize, rooms: Rooms) -> Self {
        let [steps, kept_blocks] = rooms.room(blocks);
        let windows = rooms.unroll.div_ceil(rooms.window);
        Self {
            first_states: Aligned::zeros(windows * blocks * shape.state_rows() * LANES),
            rows: Aligned::zeros(kept_blocks * steps * shape.kept_rows() * LANES),
            rooms,
            blocks,
            shape,
        }
    }

    /// These are the states at step `t`.
    pub(super) fn note(&mut self, t: usize, states: &[T]) {
        if t.is_multiple_of(self.rooms.window) {
            let at = t / self.rooms.window * states.len();
            self.first_states[at..at + states.len()].copy_from_slice(states);
        }
    }

    /// The windows of a segment of `steps` steps, the last one first.
    pub(super) fn windows(&self, steps: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let window = self.rooms.window;
        let range = move |begin: usize| begin..steps.min(begin + window);
        (0..steps).step_by(window).rev().map(range)
    }

    /// The state of a block at the first step, `t`, of a window.
    pub(super) fn first_state(&self, block: usize, t: usize) -> &[T] {
        let length = self.shape.state_rows() * LANES;
        let at = (t / self.rooms.window * self.blocks + block) * length;
        &self.first_states[at..at + length]
    }

    /// Whether a block keeps its steps on the way there.
    pub(super) fn has_own(&self, block: usize) -> bool {
        block < self.rooms.own
    }

    /// Where a block keeps step `of_segment` on the way there: past the caches, and nowhere if it computes its steps again or
    /// there is no way back.
    pub(super) fn on_the_way(&mut self, block: usize, of_segment: Option<usize>) -> Kept<'_, T> {
        let own = of_segment.filter(|_| self.has_own(block));
        let place = own.map_or(0..0, |t| self.place(block, t));
        Kept { rows: &mut self.rows[place], past_caches: true }
    }

    /// Where a block keeps step `t` as it is computed again: in the caches, if it is gone back through right away.
    pub(super) fn again(&mut self, block: usize, t: usize) -> Kept<'_, T> {
        let place = self.place(block, t);
        Kept { rows: &mut self.rows[place], past_caches: self.rooms.each }
    }

    fn place(&self, block: usize, t: usize) -> Range<usize> {
        let length = self.shape.kept_rows() * LANES;
        let [steps, kept_blocks] = self.rooms.room(self.blocks);
        let at = (block.min(kept_blocks - 1) * steps + t % steps) * length;
        at..at + length
    }

    /// What a block kept of step `t`, and c before it.
    pub(super) fn values(&self, block: usize, t: usize) -> Values<'_, T> {
        let [gates, hidden] = [self.shape.gates(), self.shape.hidden].map(|rows| rows * LANES);
        let kept = &self.rows[self.place(block, t)];
        let (before, each, c) = if t.is_multiple_of(self.rooms.window) {
            (self.first_state(block, t), 2 * hidden, 0)
        } else {
            (&self.rows[self.place(block, t - 1)], gates + hidden, gates)
        };
        std::array::from_fn(|layer: usize| CellValues {
            kept: &kept[layer * (gates + hidden)..(layer + 1) * (gates + hidden)],
            c_before: &before[layer * each + c..layer * each + c + hidden],
        })
    }

    /// What the way back reads some blocks behind step `t` of a block, as it goes step by step.
    pub(super) fn ahead_by_step(&self, block: usize, t: usize) -> Ahead<T> {
        let block = block + BLOCKS_AHEAD;
        if block < self.blocks {
            Ahead::new(&self.rows, self.place(block, t), 1)
        } else {
            Ahead::none()
        }
    }

    /// What the way back reads some steps behind step `t` of a block, of `steps`: it goes from the last step to the first,
    /// block by block.
    pub(super) fn ahead_by_block(&self, block: usize, t: usize, steps: usize) -> Ahead<T> {
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
