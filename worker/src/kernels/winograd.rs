//! Convolutions 3×3 with a border of one and a stride of one, by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray
//! 2016): sixteen products give the four outputs of a tile of 2×2, where they take thirty-six one by one.
//!
//! ```text
//!      1  0 −1  0        1  0  0         1  1  1  0
//! Bᵀ = 0  1  1  0    G = ½  ½  ½    Aᵀ = 0  1 −1 −1
//!      0 −1  1  0        ½ −½  ½
//!      0  1  0 −1        0  0  1
//!
//! for c, n:      U[c, n] = G w[c, n] Gᵀ
//! for tile, c:   V[tile, c] = Bᵀ x[the 4×4 places around tile, c] B
//! for tile, n:   y[tile, n] = start[n] + Aᵀ (Σ over terms, c of V[tile, c] ⊙ U[c, n]) A
//!
//! for c, n:      ∂U[c, n] = Σ over terms, tiles of V[tile, c] ⊙ (A ∂y[tile, n] Aᵀ)
//!                ∂w[c, n] = Gᵀ ∂U[c, n] G
//! ```
//!
//! The places of V are taken row by row, as each adds its part to y or ∂U. So many tiles go together that a row's V, U and
//! the sums of their products stay in the second-level cache; each of its four places is a matrix product of its own.

mod filters;
mod tiles;

pub(crate) use filters::{Filters, filter_gradient, transform_filters};

use std::cell::RefCell;
use std::ops::Range;

use super::gather::tiles as runs;
use super::lanes::LANES;
use super::outer::{Columns, ONE_TAP, Operands, Sums, Target};
use super::prefetch::Ahead;
use super::real::Real;
use super::scratch::Scratch;
use super::{Blocks, Gather, GatherRow, Group, InstructionSet, Tap, offset, product};
use tiles::{Given, Returned, Seen, Spread, Tiled};

/// Rows and columns of a filter, of a tile, and of what a tile sees.
const FILTER: usize = 3;
const TILE: usize = 2;
const EDGE: usize = 4;

/// Products of a tile.
const PLACES: usize = EDGE * EDGE;

/// Numbers of V and of sums, at a place, of the tiles that go together: of 64 channels in and out forty-eight tiles.
const TOGETHER: usize = 48 * 128;

/// As many, of a gradient, whose sums stay in registers for as many tiles.
const TOGETHER_IN_A_GRADIENT: usize = 96 * 128;

/// A convolution of such images, and its gradient by the filters.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    x: Tiled,
    y: Tiled,
    /// The products of tiles that go together, row by row: of the longer runs, and of those that are one shorter.
    products: [Box<[Gather; EDGE]>; 2],
    /// Tiles of a gradient, as rows of V and of ∂y.
    rows: Vec<GatherRow>,
}

impl Winograd {
    /// Of `[images, height, width, inputs]`, channels last, to as many `outputs`.
    pub(crate) fn new(
        [images, height, width]: [usize; 3],
        (inputs, outputs): (usize, usize),
    ) -> Self {
        let x = Tiled { images, height, width, channels: inputs };
        let y = Tiled { channels: outputs, ..x };
        let [longer, shorter] = product_runs(x, y).map(|(_, _, length)| length);
        let row = |tile: usize| GatherRow {
            input: offset(tile * distance(inputs)),
            output: offset(tile * LANES),
        };
        let most = tiles_together(TOGETHER_IN_A_GRADIENT, x, y).min(x.tiles());
        Self {
            x,
            y,
            products: [longer, shorter].map(|tiles| {
                let of_row = |row| products(row, (tiles, longer), (inputs, outputs));
                Box::new(std::array::from_fn(of_row))
            }),
            rows: (0..most).map(row).collect(),
        }
    }

    /// Numbers of the filters, transformed.
    fn filters(&self) -> Filters {
        Filters { inputs: self.x.channels, outputs: self.y.channels, turned: false }
    }

    /// Products, each with an addition.
    pub(crate) fn products(&self) -> usize {
        self.x.tiles() * self.filters().transformed_len()
    }

    /// Products of so many images' tiles with a pair of channels.
    pub(crate) fn products_of(images: usize, height: usize, width: usize) -> usize {
        Tiled { images, height, width, channels: 1 }.tiles() * PLACES
    }

    fn check<T>(&self, x: &[T], y: &[T]) {
        assert!(x.len() >= self.x.len(), "{} numbers are read, of {}", self.x.len(), x.len());
        assert!(y.len() >= self.y.len(), "{} outputs, in {} numbers", self.y.len(), y.len());
    }
}

/// Tiles whose V and sums are so many numbers at a place.
fn tiles_together(numbers: usize, x: Tiled, y: Tiled) -> usize {
    (numbers / (x.channels + y.channels).max(1)).max(1)
}

/// The runs of tiles that go together in a product.
fn product_runs(x: Tiled, y: Tiled) -> [(usize, usize, usize); 2] {
    runs(x.tiles(), tiles_together(TOGETHER, x, y))
}

/// From one tile's channels to the next one's: an odd number of cache lines, so that a channel's places do not compete for the
/// same lines of the cache.
fn distance(channels: usize) -> usize {
    (channels.div_ceil(LANES) | 1) * LANES
}

/// The same, from one place's tiles to the next one's.
fn place(tiles: usize, distance: usize) -> usize {
    (tiles * distance).div_ceil(LANES).next_multiple_of(2) * LANES + LANES
}

/// Of `tiles` tiles the matrix products of a row's places; their room is for `longer` tiles.
fn products(
    row: usize,
    (tiles, longer): (usize, usize),
    (inputs, outputs): (usize, usize),
) -> Gather {
    let (input, output) = (distance(inputs), distance(outputs));
    let group = |column: usize| Group {
        taps: vec![Tap { input: 0, index: offset(row * EDGE + column) }],
        rows: (0..tiles)
            .map(|tile| GatherRow {
                input: offset(column * place(longer, input) + tile * input),
                output: offset(column * place(longer, output) + tile * output),
            })
            .collect(),
    };
    let whole = Blocks { whole: 1, input: EDGE * place(longer, input), output: 0 };
    Gather::new((0..EDGE).map(group).collect(), Vec::new(), whole, (PLACES, inputs, outputs))
}

/// What a thread computes tiles in, as large as the largest layer's so far.
#[derive(Debug, Default)]
struct Room {
    /// V of the terms of a sum, of which there are two at most.
    seen: [Scratch; 2],
    /// The sums of products, or A ∂y Aᵀ.
    others: Scratch,
    /// Never written.
    zeros: Scratch,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// `y = start + Σ over terms of x * w`. Each term is `(x, U)`, U as [`transform_filters`] gives it.
///
/// # Panics
/// Where a slice is too short, or there are no terms or more than two.
pub(crate) fn winograd_product<T: Real>(
    instruction_set: InstructionSet,
    winograd: &Winograd,
    start: Option<&[T]>,
    terms: &[(&[T], &[T])],
    y: &mut [T],
) {
    assert!((1..=2).contains(&terms.len()), "a tangent has two terms");
    terms.iter().for_each(|(x, _)| winograd.check(x, y));
    assert!(start.is_none_or(|start| start.len() >= winograd.y.channels), "a row to start from");
    let lengths = product_runs(winograd.x, winograd.y);
    let spread = |room: &mut Scratch, channels: usize| {
        let tile = distance(channels);
        Spread::new(room, [place(lengths[0].2, tile), tile, LANES])
    };
    ROOM.with_borrow_mut(|room| {
        let zeros = room.zeros.room::<T>(winograd.x.channels).cast_const();
        let seen = room.seen.each_mut().map(|room| spread(room, winograd.x.channels));
        let sums = spread(&mut room.others, winograd.y.channels);
        for ((start_tile, end, length), products) in lengths.into_iter().zip(&winograd.products) {
            for first in (start_tile..end).step_by(length.max(1)) {
                let tiles = first..first + length;
                let some = Product { winograd, tiles, zeros, seen, sums, start, terms };
                some.row::<0>(instruction_set, &products[0], y);
                some.row::<1>(instruction_set, &products[1], y);
                some.row::<2>(instruction_set, &products[2], y);
                some.row::<3>(instruction_set, &products[3], y);
            }
        }
    });
}

/// Tiles that go together in a product.
struct Product<'a, T> {
    winograd: &'a Winograd,
    tiles: Range<usize>,
    zeros: *const T,
    seen: [Spread<T>; 2],
    sums: Spread<T>,
    start: Option<&'a [T]>,
    terms: &'a [(&'a [T], &'a [T])],
}

impl<T: Real> Product<'_, T> {
    /// What the places of a row add to y.
    fn row<const ROW: usize>(&self, set: InstructionSet, gather: &Gather, y: &mut [T]) {
        let Self { winograd, zeros, seen, sums, start, terms, .. } = *self;
        for ((x, _), to) in terms.iter().zip(seen) {
            let (images, tiles) = (winograd.x, self.tiles.clone());
            T::dispatch(set, Seen::<T, ROW> { images, x, tiles, zeros, to });
        }
        // SAFETY: the rooms are this thread's, each lent once; bits of any kind are numbers.
        let (seen, room) = unsafe { (seen.map(|seen| seen.numbers()), sums.numbers_mut()) };
        let mut factors = seen.map(|seen| (seen, &[][..]));
        for (factors, (_, transformed)) in factors.iter_mut().zip(terms) {
            factors.1 = transformed;
        }
        product(set, gather, None, &factors[..terms.len()], room);
        let (images, from, tiles) = (winograd.y, sums, self.tiles.clone());
        T::dispatch(set, Given::<T, ROW> { images, from, start, tiles, y });
    }
}

/// `∂U = Σ over terms of V ⊙ A ∂y Aᵀ`, or that and what `gradient` holds where it is not `blank`. Each term is `(x, ∂y)`.
///
/// # Panics
/// Where a slice is too short.
pub(crate) fn winograd_gradient<T: Real>(
    instruction_set: InstructionSet,
    winograd: &Winograd,
    terms: &[(&[T], &[T])],
    (gradient, is_blank): (&mut [T], bool),
) {
    terms.iter().for_each(|(x, dy)| winograd.check(x, dy));
    assert!(gradient.len() >= winograd.filters().transformed_len(), "sixteen numbers a filter");
    let (inputs, outputs) = (winograd.x.channels, winograd.y.channels);
    let most = winograd.rows.len();
    let rows = &winograd.rows;
    let tile = distance(inputs);
    let of_seen = [place(most, tile), tile, LANES];
    let of_returned = [place(most, outputs.next_multiple_of(LANES)), LANES, most * LANES];
    let target = Target::new(PLACES * inputs, gradient, is_blank);
    ROOM.with_borrow_mut(|room| {
        let zeros = room.zeros.room::<T>(inputs.max(outputs)).cast_const();
        let seen = Spread::new(&mut room.seen[0], of_seen);
        let returned = Spread::new(&mut room.others, of_returned);
        let mut target = target;
        for (start, end, length) in runs(winograd.x.tiles(), most) {
            for first in (start..end).step_by(length.max(1)) {
                for (x, dy) in terms {
                    let some = Gradient {
                        instruction_set,
                        winograd,
                        tiles: first..first + length,
                        zeros,
                        seen,
                        returned,
                        rows: &rows[..length],
                        target,
                    };
                    some.row::<0>(x, dy);
                    some.row::<1>(x, dy);
                    some.row::<2>(x, dy);
                    some.row::<3>(x, dy);
                    target = target.after(1);
                }
            }
        }
    });
}

/// Tiles that go together in a gradient.
struct Gradient<'a, T> {
    instruction_set: InstructionSet,
    winograd: &'a Winograd,
    tiles: Range<usize>,
    zeros: *const T,
    seen: Spread<T>,
    returned: Spread<T>,
    rows: &'a [GatherRow],
    target: Target<T>,
}

impl<T: Real> Gradient<'_, T> {
    /// The gradient at the places of a row.
    fn row<const ROW: usize>(&self, x: &[T], dy: &[T]) {
        let Self { instruction_set, ref tiles, zeros, seen, returned, rows, target, .. } = *self;
        let (images, to) = (self.winograd.x, seen);
        let kernel = Seen::<T, ROW> { images, x, tiles: tiles.clone(), zeros, to };
        T::dispatch(instruction_set, kernel);
        let (images, to) = (self.winograd.y, returned);
        let kernel = Returned::<T, ROW> { images, dy, tiles: tiles.clone(), zeros, to };
        T::dispatch(instruction_set, kernel);
        let inputs = self.winograd.x.channels;
        for column in 0..EDGE {
            let operands = Operands {
                input: seen.start.wrapping_add(column * seen.place).cast_const(),
                cotangent: returned.start.wrapping_add(column * returned.place).cast_const(),
                rows,
                panel: returned.panel,
                padded: true,
            };
            let weight = (ROW * EDGE + column) * inputs;
            let columns = Columns { taps: ONE_TAP, depth: inputs, weight };
            let sums = Sums { operands, columns, width: 0..self.winograd.y.channels, target };
            sums.add(instruction_set, &Ahead::none());
        }
    }
}

#[cfg(test)]
mod tests;
