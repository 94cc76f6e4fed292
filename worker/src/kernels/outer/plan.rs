//! Which rows a gradient by weights sums together, and which columns of their inputs: computed once.

use std::ops::Range;

use super::super::gather::{Group, evenly};
use super::super::lanes::LANES;
use super::super::{Gather, offset};

/// The most rows of a block.
pub(super) const ROWS: usize = 128;

/// The most input columns that are packed at a time, and the distance from one row of them to the next: an odd number
/// of cache lines, so that a column's places do not compete for the same lines of the cache.
pub(super) const COLUMNS: usize = 64;
pub(super) const STRIDE: usize = COLUMNS + LANES;

/// Inputs less deep than this have their taps packed together.
const SHALLOW: usize = 16;

/// In place of an input's offset: the tap lies beyond the border there.
pub(super) const BEYOND: u32 = u32::MAX;

/// Some neighbouring columns of the packed inputs: one tap's, or several taps' of a shallow input.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Its place among the rows of the weights, `[taps · depth]`.
    pub(super) weight: usize,
    /// Numbers a tap.
    pub(super) depth: usize,
    pub(super) taps: usize,
    /// For each row the place of each tap's numbers.
    pub(super) inputs: Vec<u32>,
    /// Which of the block's rows they are.
    pub(super) rows: Vec<u32>,
}

/// Rows that are summed in registers.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// All places that its rows read.
    pub(super) inputs: Range<usize>,
    /// Where each row's cotangent begins.
    pub(super) cotangents: Vec<u32>,
    pub(super) chunks: Vec<Chunk>,
}

/// The gradient of a [`Gather`] by its weights.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    pub(super) gather: Gather,
    /// The blocks of a part, and of the last, smaller one.
    pub(super) blocks: [Vec<Block>; 2],
}

impl Outer {
    /// The gradient by the weights of `gather`, whose output's cotangent lies as the output does.
    pub(crate) fn of(gather: &Gather) -> Self {
        let blocks = gather.kinds().map(|groups| blocks(gather, groups));
        Self { gather: gather.clone(), blocks }
    }

    /// Products, each with an addition; those with a border's zeros are not counted.
    pub(crate) fn products(&self) -> usize {
        self.gather.products()
    }
}

/// The rows of a part in the order that they lie in, in even blocks.
fn blocks(gather: &Gather, groups: &[Group]) -> Vec<Block> {
    // (where the row's output begins, for each tap of the weights where its input begins)
    let mut rows: Vec<(u32, Vec<u32>)> = Vec::new();
    for group in groups {
        for row in &group.rows {
            let mut inputs = vec![BEYOND; gather.taps()];
            for tap in &group.taps {
                inputs[tap.index as usize] = row.input + tap.input;
            }
            rows.push((row.output, inputs));
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    let block = |(start, length): (usize, usize)| {
        let rows = &rows[start..start + length];
        let read = || rows.iter().flat_map(|row| &row.1).filter(|&&place| place != BEYOND);
        let first = read().min().map_or(0, |&place| place as usize);
        let end = read().max().map_or(0, |&place| place as usize + gather.depth());
        Block {
            inputs: first..end,
            cotangents: rows.iter().map(|row| row.0).collect(),
            chunks: chunks(gather, rows),
        }
    };
    evenly(rows.len(), ROWS).map(block).collect()
}

fn chunks(gather: &Gather, rows: &[(u32, Vec<u32>)]) -> Vec<Chunk> {
    let (taps, depth) = (gather.taps(), gather.depth());
    let mut chunks = Vec::new();
    if depth < SHALLOW {
        let most = COLUMNS / depth.max(1);
        for first in (0..taps).step_by(most) {
            let end = (first + most).min(taps);
            chunks.push(Chunk {
                weight: first * depth,
                depth,
                taps: end - first,
                inputs: rows.iter().flat_map(|row| row.1[first..end].iter().copied()).collect(),
                rows: (0..rows.len()).map(offset).collect(),
            });
        }
        return chunks;
    }
    for tap in 0..taps {
        let there = || rows.iter().zip(0..).filter(|(row, _)| row.1[tap] != BEYOND);
        for (first, length) in evenly(depth, COLUMNS) {
            chunks.push(Chunk {
                weight: tap * depth + first,
                depth: length,
                taps: 1,
                inputs: there().map(|(row, _)| row.1[tap] + offset(first)).collect(),
                rows: there().map(|(_, number)| number).collect(),
            });
        }
    }
    chunks
}
