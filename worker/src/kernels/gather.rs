//! Where a convolution or a matrix product reads and writes: computed once, checked once.

use std::ops::Range;

use super::lanes::LANES;

/// One place of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Added to [`GatherRow::input`].
    pub(crate) input: u32,
    /// Which of the weights' taps it is.
    pub(crate) index: u32,
}

/// One output row of `width` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GatherRow {
    /// What the taps' offsets start from.
    pub(crate) input: u32,
    /// Where the row is written.
    pub(crate) output: u32,
}

/// Rows that have the same taps. Taps that fall on a zero border are left out, so rows at a border form groups of
/// their own and cost no products with zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) taps: Vec<Tap>,
    pub(crate) rows: Vec<GatherRow>,
}

/// A part of the work: the groups of a block of images, from where its images begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'g> {
    pub(crate) groups: &'g [Group],
    /// Added to [`GatherRow::input`].
    pub(crate) input: usize,
    /// Added to [`GatherRow::output`].
    pub(crate) output: usize,
    /// Whether its groups are those of a last, smaller block.
    pub(crate) last: bool,
}

/// What the blocks of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// How many blocks of the first kind there are.
    pub(crate) whole: usize,
    /// From one block's inputs to the next one's.
    pub(crate) input: usize,
    /// From one block's outputs to the next one's.
    pub(crate) output: usize,
}

/// A sum of products over gathered inputs: `out[row] = Σ_tap in[row + tap][..depth] · weight[tap][depth, width]`.
///
/// A convolution has a tap for each place of its filter; a matrix product has one tap. A batch is worked off in blocks
/// of images, so that a block's inputs are in the cache for all of its groups; what is planned is one block, and the
/// smaller one that may be left.
///
/// Weights lie in panels of sixteen columns, `[width / 16, taps, depth, 16]`; the last panel is as narrow as what is left.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    block: Vec<Group>,
    rest: Vec<Group>,
    blocks: Blocks,
    taps: usize,
    depth: usize,
    width: usize,
    input_len: usize,
    output_len: usize,
    rounding: bool,
}

impl Gather {
    /// Work of `blocks.whole` times the groups of `block`, and once those of `rest`. Lengths of input and output
    /// follow from the furthest offsets.
    pub(crate) fn new(
        block: Vec<Group>,
        rest: Vec<Group>,
        blocks: Blocks,
        (taps, depth, width): (usize, usize, usize),
    ) -> Self {
        let mut gather = Self {
            block,
            rest,
            blocks,
            taps,
            depth,
            width,
            input_len: 0,
            output_len: 0,
            rounding: false,
        };
        let (mut input_len, mut output_len) = (0, 0);
        for part in gather.parts() {
            for group in part.groups {
                let furthest = group.taps.iter().map(|tap| tap.input as usize + depth).max();
                let taps_exist = group.taps.iter().all(|tap| (tap.index as usize) < taps);
                assert!(taps_exist, "taps are among those of the weights");
                for row in &group.rows {
                    let input = part.input + row.input as usize + furthest.unwrap_or(0);
                    input_len = input_len.max(input);
                    output_len = output_len.max(part.output + row.output as usize + width);
                }
            }
        }
        (gather.input_len, gather.output_len) = (input_len, output_len);
        gather
    }

    /// The matrix product `[rows, depth] · [depth, width]`.
    pub(crate) fn matrix(rows: usize, depth: usize, width: usize) -> Self {
        let row =
            |row: usize| GatherRow { input: offset(row * depth), output: offset(row * width) };
        let group =
            Group { taps: vec![Tap { input: 0, index: 0 }], rows: (0..rows).map(row).collect() };
        let blocks = Blocks { whole: 1, input: rows * depth, output: rows * width };
        Self::new(vec![group], Vec::new(), blocks, (1, depth, width))
    }

    /// The same, of numbers that are rounded to bfloat16 where `rounding` asks for it and whole vectors of them meet; sums
    /// stay as they are.
    pub(crate) fn rounding(self, rounding: bool) -> Self {
        let whole = self.depth.is_multiple_of(LANES) && self.width.is_multiple_of(LANES);
        let is_even = |group: &Group| {
            let taps = group.taps.iter().map(|tap| tap.input);
            group.rows.iter().map(|row| row.input).chain(taps).all(|place| place.is_multiple_of(2))
        };
        let furthest = |group: &Group| {
            let tap = group.taps.iter().map(|tap| tap.input as usize).max().unwrap_or(0);
            group.rows.iter().map(|row| row.input as usize).max().unwrap_or(0) + tap + self.depth
        };
        // Pairs begin at even places, and are rounded block by block.
        let in_pairs = self.kinds().into_iter().flatten().all(is_even);
        let apart = self.block.iter().all(|group| furthest(group) <= self.blocks.input);
        let apart = apart || self.blocks.whole == 0;
        Self { rounding: rounding && whole && in_pairs && apart, ..self }
    }

    /// Whether its numbers are rounded.
    pub(super) fn is_rounding(&self) -> bool {
        self.rounding
    }

    /// All parts, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let Blocks { whole, input, output } = self.blocks;
        (0..=whole).map(move |block| Part {
            groups: if block < whole { &self.block } else { &self.rest },
            input: block * input,
            output: block * output,
            last: block == whole,
        })
    }

    /// The inputs of a part.
    pub(super) fn inputs_of(&self, part: &Part<'_>) -> Range<usize> {
        let end = if part.last { self.input_len } else { part.input + self.blocks.input };
        part.input.min(self.input_len)..end.min(self.input_len)
    }

    /// The inputs of the part behind `part`; none behind the last one.
    pub(super) fn inputs_behind(&self, part: &Part<'_>) -> Range<usize> {
        let start = part.input + self.blocks.input;
        if part.last { 0..0 } else { start..self.input_len.min(start + self.blocks.input) }
    }

    /// The groups of a block, and those of the last, smaller one.
    pub(crate) fn kinds(&self) -> [&[Group]; 2] {
        [&self.block, &self.rest]
    }

    /// Products, each with an addition: those with a border's zeros are not among them.
    pub(crate) fn products(&self) -> usize {
        let groups = self.parts().flat_map(|part| part.groups);
        let pairs: usize = groups.map(|group| group.taps.len() * group.rows.len()).sum();
        pairs * self.depth * self.width
    }

    /// Taps of the weights.
    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The furthest offset.
    #[cfg(test)]
    pub(crate) fn input_len(&self) -> usize {
        self.input_len
    }

    pub(crate) fn weight_len(&self) -> usize {
        self.taps * self.depth * self.width
    }

    /// The furthest offset.
    #[cfg(test)]
    pub(crate) fn output_len(&self) -> usize {
        self.output_len
    }

    /// # Panics
    /// Where a slice is shorter than the furthest offset. What may be read and written is settled here.
    pub(super) fn check(&self, input: usize, weight: usize, output: usize) {
        assert!(
            input >= self.input_len,
            "the input has {input} numbers, and {} are gathered",
            self.input_len
        );
        assert!(
            weight >= self.weight_len(),
            "there are {weight} weights, and {} are read",
            self.weight_len()
        );
        assert!(
            output >= self.output_len,
            "the output has {output} numbers, and {} are written",
            self.output_len
        );
    }
}

/// For each place of a matrix `[rows, columns]` in panels of sixteen columns, its place in the plain matrix.
pub(crate) fn panels(rows: usize, columns: usize) -> impl Iterator<Item = usize> {
    (0..columns).step_by(LANES).flat_map(move |first| {
        let width = LANES.min(columns - first);
        (0..rows).flat_map(move |row| (0..width).map(move |j| row * columns + first + j))
    })
}

/// `items` in runs of nearly the same length, none above `most`: (start, length).
pub(super) fn evenly(items: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    tiles(items, most).into_iter().flat_map(|(start, end, length)| {
        (start..end).step_by(length.max(1)).map(move |start| (start, length))
    })
}

/// The runs of [`evenly`] by their two lengths: (start, end, length), the longer ones first.
pub(super) fn tiles(items: usize, most: usize) -> [(usize, usize, usize); 2] {
    let runs = items.div_ceil(most);
    let length = items.checked_div(runs).unwrap_or(0);
    let longer = (items - runs * length) * (length + 1);
    [(0, longer, length + 1), (longer, items, length)]
}

/// An offset as the plans keep it.
///
/// # Panics
/// Where a layer's input or output has more than 2³² numbers.
pub(crate) fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("a layer has fewer than 2³² numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_even_and_cover_all() {
        for items in 0..40 {
            for most in 1..9 {
                let runs: Vec<_> = evenly(items, most).collect();
                let mut next = 0;
                for &(start, length) in &runs {
                    assert_eq!(start, next);
                    assert!(length > 0 && length <= most);
                    next += length;
                }
                assert_eq!(next, items);
                let lengths = runs.iter().map(|run| run.1);
                assert!(lengths.clone().max().unwrap_or(0) <= lengths.min().unwrap_or(0) + 1);
            }
        }
    }

    #[test]
    fn panels_are_a_permutation_that_keeps_sixteen_columns_together() {
        let places: Vec<_> = panels(3, 20).collect();
        assert_eq!(&places[..18], &(0..16).chain(20..22).collect::<Vec<_>>());
        assert_eq!(&places[48..], &[16, 17, 18, 19, 36, 37, 38, 39, 56, 57, 58, 59]);
        let mut sorted = places;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..60));
    }
}
