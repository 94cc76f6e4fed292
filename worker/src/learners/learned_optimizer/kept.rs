//! What the way there keeps of a segment for the way back: every coordinate's state at some steps, and the gates and c of
//! all steps for as many blocks of sixteen coordinates as a budget allows. The others compute them again.

use std::ops::Range;

use lyceum_common::model::OPTIMIZER_LAYERS as LAYERS;

use super::lstm::Shape;
use crate::kernels::{Ahead, CellValues, Kept, LANES, Real};
use crate::ops::Aligned;

/// How many steps before it reads what was kept the way back asks for it.
const STEPS_AHEAD: usize = 3;

/// Blocks that are computed abreast; an odd last one is alone.
pub(super) const PAIR: usize = 2;

/// How many steps are gone back through at once where the way back goes step by step: what it records of them is as large
/// again as what is kept of them, and the sums of the weights' gradient are read and written once a window. The order of
/// these sums, and so their bits, depends on it, but not on how much is kept.
const WINDOW: usize = 8;

/// What each layer of some blocks kept of a step, and its c before that step.
pub(super) type Values<'a, T, const BLOCKS: usize> = [[CellValues<'a, T>; BLOCKS]; LAYERS];

/// States within a segment, and what its steps kept.
pub(super) struct KeptSegment<T> {
    /// At the first step of each window: a block's state behind the other's.
    first_states: Aligned<T>,
    /// Rooms, a pair of blocks' behind the other's: what each step kept of both, layer by layer.
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
    /// Blocks that keep all steps on the way there: of a pair both or neither.
    own: usize,
    /// Whether the others, who compute theirs again, have a window's room each. They share room for a pair else.
    each: bool,
}

impl Rooms {
    /// Bytes that a block's steps take.
    fn block_bytes<T>(shape: Shape, unroll: usize) -> usize {
        unroll * shape.kept_rows() * LANES * size_of::<T>()
    }

    /// Where the way back goes block by block: as many of these keep their steps as `bytes` are enough for.
    pub(super) fn by_block<T>(shape: Shape, unroll: usize, blocks: usize, bytes: usize) -> Self {
        let fit = bytes / Self::block_bytes::<T>(shape, unroll);
        let own = if fit < blocks { fit / PAIR * PAIR } else { blocks };
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
            (false, false) => [self.unroll, self.own + PAIR.min(blocks - self.own)],
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

    /// Where `blocks` blocks keep step `of_segment` on the way there: past the caches, and nowhere if they compute their steps
    /// again or there is no way back.
    pub(super) fn on_the_way(
        &mut self,
        [block, blocks]: [usize; 2],
        of_segment: Option<usize>,
    ) -> Kept<'_, T> {
        let own = of_segment.filter(|_| self.has_own(block));
        let place = own.map_or(0..0, |t| self.place([block, blocks], t));
        Kept { rows: &mut self.rows[place], past_caches: true }
    }

    /// Where they keep step `t` as it is computed again: in the caches, if it is gone back through right away.
    pub(super) fn again(&mut self, blocks: [usize; 2], t: usize) -> Kept<'_, T> {
        let place = self.place(blocks, t);
        Kept { rows: &mut self.rows[place], past_caches: self.rooms.each }
    }

    /// What `blocks` blocks, a pair or the last one, keep of a step.
    fn place(&self, [block, blocks]: [usize; 2], t: usize) -> Range<usize> {
        let length = self.shape.kept_rows() * LANES;
        let [steps, kept_blocks] = self.rooms.room(self.blocks);
        let at = block.min(kept_blocks - blocks) * steps + t % steps * blocks;
        at * length..(at + blocks) * length
    }

    /// What blocks kept of step `t`, and c before it.
    pub(super) fn values<const BLOCKS: usize>(
        &self,
        block: usize,
        t: usize,
    ) -> Values<'_, T, BLOCKS> {
        let [gates, hidden] = [self.shape.gates(), self.shape.hidden].map(|rows| rows * LANES);
        let kept = |t: usize| &self.rows[self.place([block, BLOCKS], t)];
        let (of_step, before) = (kept(t), kept(t.saturating_sub(1)));
        std::array::from_fn(|layer: usize| {
            std::array::from_fn(|j| {
                let at = (layer * BLOCKS + j) * (gates + hidden);
                let c_before = if t.is_multiple_of(self.rooms.window) {
                    &self.first_state(block + j, t)[layer * 2 * hidden..][..hidden]
                } else {
                    &before[at..at + gates + hidden]
                };
                CellValues { kept: &of_step[at..at + gates + hidden], c_before }
            })
        })
    }

    /// What the way back reads behind step `t` of a pair of blocks, as it goes step by step: the next pair's.
    pub(super) fn ahead_by_step(&self, block: usize, t: usize) -> Ahead<T> {
        self.ahead(block + PAIR, t)
    }

    /// What the way back reads some steps behind step `t` of a pair of blocks, of `steps`: it goes from the last step to the
    /// first, pair by pair.
    pub(super) fn ahead_by_block(&self, block: usize, t: usize, steps: usize) -> Ahead<T> {
        let (block, t) = match t.checked_sub(STEPS_AHEAD) {
            Some(t) => (block, t),
            None => (block + PAIR, (steps + t).saturating_sub(STEPS_AHEAD)),
        };
        if self.has_own(block) { self.ahead(block, t) } else { Ahead::none() }
    }

    fn ahead(&self, block: usize, t: usize) -> Ahead<T> {
        match self.blocks.saturating_sub(block) {
            0 => Ahead::none(),
            blocks => Ahead::new(&self.rows, self.place([block, blocks.min(PAIR)], t), 1),
        }
    }
}
