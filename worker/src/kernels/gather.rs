//! Where a convolution or a matrix product reads and writes: computed once, checked once.

/// One place of the filter: what it adds to a row's place in the input, and where its weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Added to [`GatherRow::input`].
    pub(crate) input: u32,
    /// Where `[depth, width]` weights begin.
    pub(crate) weight: u32,
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

/// A sum of products over gathered inputs: `out[row] = Σ_tap in[row + tap][..depth] · weight[tap][depth, width]`.
///
/// A convolution has a tap for each place of its filter; a matrix product has one tap.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    groups: Vec<Group>,
    depth: usize,
    width: usize,
    input_len: usize,
    weight_len: usize,
    output_len: usize,
}

impl Gather {
    /// Lengths of input, weights and output follow from the furthest offsets.
    pub(crate) fn new(groups: Vec<Group>, depth: usize, width: usize) -> Self {
        let mut gather = Self { groups, depth, width, input_len: 0, weight_len: 0, output_len: 0 };
        for group in &gather.groups {
            let furthest =
                group.taps.iter().map(|tap| tap.input as usize + depth).max().unwrap_or(0);
            for tap in &group.taps {
                gather.weight_len = gather.weight_len.max(tap.weight as usize + depth * width);
            }
            for row in &group.rows {
                gather.input_len = gather.input_len.max(row.input as usize + furthest);
                gather.output_len = gather.output_len.max(row.output as usize + width);
            }
        }
        gather
    }

    /// The matrix product `[rows, depth] · [depth, width]`.
    pub(crate) fn matrix(rows: usize, depth: usize, width: usize) -> Self {
        let row =
            |row: usize| GatherRow { input: offset(row * depth), output: offset(row * width) };
        let group =
            Group { taps: vec![Tap { input: 0, weight: 0 }], rows: (0..rows).map(row).collect() };
        Self::new(vec![group], depth, width)
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn width(&self) -> usize {
        self.width
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
            weight >= self.weight_len,
            "there are {weight} weights, and {} are read",
            self.weight_len
        );
        assert!(
            output >= self.output_len,
            "the output has {output} numbers, and {} are written",
            self.output_len
        );
    }
}

/// An offset as the plans keep it.
///
/// # Panics
/// Where a layer's input or output has more than 2³² numbers.
pub(crate) fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("a layer has fewer than 2³² numbers")
}
