//! Which rows a gradient by weights sums together, and which columns of their inputs: computed once.

use std::ops::Range;

use super::super::gather::{Group, evenly};
use super::super::lanes::LANES;
use super::super::{Gather, GatherRow, offset};

/// The most rows of a block.
pub(super) const ROWS: usize = 128;

/// The most input columns that are packed at a time, and the distance from one row of them to the next: an odd number
/// of cache lines, so that a column's places do not compete for the same lines of the cache.
pub(super) const COLUMNS: usize = 64;
pub(super) const STRIDE: usize = COLUMNS + LANES;

/// Inputs less deep than this have all taps in one tile.
const SHALLOW: usize = 16;

/// Some neighbouring columns of a tap's inputs.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Its place among the rows of the weights, `[taps · depth]`.
    pub(super) weight: usize,
    /// Its columns.
    pub(super) depth: usize,
    /// Where its rows begin in the inputs and in the cotangents.
    pub(super) rows: Vec<GatherRow>,
    /// Where they begin once they are packed.
    pub(super) packed: Vec<GatherRow>,
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
    /// The blocks of a part, and of the last, smaller one; none where the input is shallow.
    pub(super) blocks: [Vec<Block>; 2],
}

impl Outer {
    /// The gradient by the weights of `gather`, whose output's cotangent lies as the output does.
    pub(crate) fn of(gather: &Gather) -> Self {
        let shallow = gather.depth() < SHALLOW;
        let blocks =
            gather.kinds().map(|groups| if shallow { Vec::new() } else { blocks(gather, groups) });
        Self { gather: gather.clone(), blocks }
    }

    /// Whether all taps make one tile; there are no blocks then.
    pub(super) fn is_shallow(&self) -> bool {
        self.gather.depth() < SHALLOW
    }

    /// Rows of the weights, `[taps · depth]`.
    pub(super) fn rows(&self) -> usize {
        self.gather.taps() * self.gather.depth()
    }

    /// Products, each with an addition; those with a border's zeros are not counted.
    pub(crate) fn products(&self) -> usize {
        self.gather.products()
    }
}

/// The rows of a part in the order that they lie in, in even blocks.
fn blocks(gather: &Gather, groups: &[Group]) -> Vec<Block> {
    // (where the row's output begins, for each tap of the weights where its input begins, unless beyond the border)
    let mut rows: Vec<(u32, Vec<Option<u32>>)> = Vec::new();
    for group in groups {
        for row in &group.rows {
            let mut inputs = vec![None; gather.taps()];
            for tap in &group.taps {
                inputs[tap.index as usize] = Some(row.input + tap.input);
            }
            rows.push((row.output, inputs));
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    let block = |(start, length): (usize, usize)| {
        let rows = &rows[start..start + length];
        let read = || rows.iter().flat_map(|row| &row.1).flatten();
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

fn chunks(gather: &Gather, rows: &[(u32, Vec<Option<u32>>)]) -> Vec<Chunk> {
    let (taps, depth) = (gather.taps(), gather.depth());
    let mut chunks = Vec::new();
    for tap in 0..taps {
        // (a row's number, where it begins)
        let there: Vec<(usize, GatherRow)> = rows
            .iter()
            .enumerate()
            .filter_map(|(number, row)| {
                Some((number, GatherRow { input: row.1[tap]?, output: row.0 }))
            })
            .collect();
        for (first, length) in evenly(depth, COLUMNS) {
            let from_first = |row: GatherRow| GatherRow { input: row.input + offset(first), ..row };
            let side_by_side = |(place, number): (usize, usize)| GatherRow {
                input: offset(place * STRIDE),
                output: offset(number * LANES),
            };
            chunks.push(Chunk {
                weight: tap * depth + first,
                depth: length,
                rows: there.iter().map(|&(_, row)| from_first(row)).collect(),
                packed: there.iter().map(|row| row.0).enumerate().map(side_by_side).collect(),
            });
        }
    }
    chunks
}
