//! Tiles of 2×2 of an image: what they see, what they get, and what comes back.

use std::ops::Range;

use super::super::Kernel;
use super::super::lanes::{LANES, Lanes, load, store};
use super::super::real::Real;
use super::super::scratch::Scratch;
use super::{EDGE, TILE};

/// The extents of images in tiles. An odd last row or column is half of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiled {
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Tiled {
    /// Numbers of all images.
    pub(super) fn len(self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    /// Tiles of all images.
    pub(super) fn tiles(self) -> usize {
        self.images * self.height.div_ceil(TILE) * self.width.div_ceil(TILE)
    }

    /// Where some tiles are.
    #[inline(always)]
    fn places(self, tiles: Range<usize>) -> impl Iterator<Item = At> {
        let (rows, columns) = (self.height.div_ceil(TILE), self.width.div_ceil(TILE));
        let Range { start, end } = tiles;
        let image = start / columns / rows * self.height * self.width;
        let first =
            At { image, row: start / columns % rows * TILE, column: start % columns * TILE };
        std::iter::successors(Some(first), move |&At { image, row, column }| {
            Some(if column + TILE < self.width {
                At { image, row, column: column + TILE }
            } else if row + TILE < self.height {
                At { image, row: row + TILE, column: 0 }
            } else {
                At { image: image + self.height * self.width, row: 0, column: 0 }
            })
        })
        .take(end - start)
    }

    /// The `N`×`N` places of `numbers` that begin so many rows and columns ahead of a tile; `beyond` for those beyond the image.
    #[inline(always)]
    fn window<T, const N: usize>(
        self,
        numbers: *const T,
        At { image, row, column }: At,
        ahead: usize,
        beyond: *const T,
    ) -> [[*const T; N]; N] {
        let mut window = [[beyond; N]; N];
        for (i, window) in window.iter_mut().enumerate() {
            for (j, place) in window.iter_mut().enumerate() {
                // Ahead of the first one is far behind the last one.
                let row = (row + i).wrapping_sub(ahead);
                let column = (column + j).wrapping_sub(ahead);
                if row < self.height && column < self.width {
                    let at = image + row * self.width + column;
                    *place = numbers.wrapping_add(at * self.channels);
                }
            }
        }
        window
    }
}

/// A tile: the first place of its image, and its first row and column.
#[derive(Clone, Copy)]
struct At {
    image: usize,
    row: usize,
    column: usize,
}

/// Where numbers of a row of places of tiles lie: `[places, tiles, channels]`, with `place` numbers from one place to the next
/// and `tile` from one tile to the next.
#[derive(Clone, Copy)]
pub(super) struct Spread<T> {
    pub(super) start: *mut T,
    pub(super) place: usize,
    pub(super) tile: usize,
    /// From one panel of sixteen channels to the next.
    pub(super) panel: usize,
}

impl<T> Spread<T> {
    /// In that room, with `[place, tile, panel]` numbers from one to the next.
    pub(super) fn new(room: &mut Scratch, [place, tile, panel]: [usize; 3]) -> Self {
        Self { start: room.room(EDGE * place), place, tile, panel }
    }

    /// All numbers.
    ///
    /// # Safety
    /// It is in a room that is not written meanwhile, and bits of any kind are numbers.
    pub(super) unsafe fn numbers<'a>(self) -> &'a [T] {
        // SAFETY: the room has as many.
        unsafe { std::slice::from_raw_parts(self.start, EDGE * self.place) }
    }

    /// All numbers.
    ///
    /// # Safety
    /// It is in a room that nobody else reads or writes meanwhile, and bits of any kind are numbers.
    pub(super) unsafe fn numbers_mut<'a>(self) -> &'a mut [T] {
        // SAFETY: the room has as many.
        unsafe { std::slice::from_raw_parts_mut(self.start, EDGE * self.place) }
    }

    /// Where the channels from `channel` on, the first one of a panel, begin.
    #[inline(always)]
    fn at(self, place: usize, tile: usize, channel: usize) -> *mut T {
        let panel = channel / LANES * self.panel;
        self.start.wrapping_add(place * self.place + tile * self.tile + panel)
    }
}

/// V = Bᵀ x B of some tiles, its row `ROW`.
pub(super) struct Seen<'a, T, const ROW: usize> {
    pub(super) images: Tiled,
    pub(super) x: &'a [T],
    pub(super) tiles: Range<usize>,
    /// As many zeros as there are channels.
    pub(super) zeros: *const T,
    pub(super) to: Spread<T>,
}

impl<T: Real, const ROW: usize> Kernel<T> for Seen<'_, T, ROW> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for (n, at) in self.images.places(self.tiles).enumerate() {
            let from: [[_; EDGE]; EDGE] = self.images.window(self.x.as_ptr(), at, 1, self.zeros);
            for channel in (0..self.images.channels).step_by(LANES) {
                let count = LANES.min(self.images.channels - channel);
                // SAFETY: the images' length was checked; the caller vouches for zeros and target.
                unsafe {
                    let mut row = [L::splat(T::ZERO); EDGE];
                    for j in 0..EDGE {
                        let mut column = [L::splat(T::ZERO); EDGE];
                        for i in 0..EDGE {
                            column[i] = load(from[i][j].wrapping_add(channel), count);
                        }
                        row[j] = seen(ROW, column);
                    }
                    for j in 0..EDGE {
                        store(seen(j, row), self.to.at(j, n, channel), count);
                    }
                }
            }
        }
    }
}

/// Row i of Bᵀ x.
#[inline(always)]
unsafe fn seen<L: Lanes>(i: usize, x: [L; EDGE]) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        match i {
            0 => x[0].sub(x[2]),
            1 => x[1].add(x[2]),
            2 => x[2].sub(x[1]),
            _ => x[1].sub(x[3]),
        }
    }
}

/// start + Aᵀ m A of some tiles: what row `ROW` of m adds to it, the rows before it first.
pub(super) struct Given<'a, T, const ROW: usize> {
    pub(super) images: Tiled,
    pub(super) from: Spread<T>,
    pub(super) start: Option<&'a [T]>,
    pub(super) tiles: Range<usize>,
    pub(super) y: &'a mut [T],
}

impl<T: Real, const ROW: usize> Kernel<T> for Given<'_, T, ROW> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let y = self.y.as_mut_ptr();
        for (n, at) in self.images.places(self.tiles).enumerate() {
            let to: [[_; TILE]; TILE] = self.images.window(y, at, 0, std::ptr::null());
            for channel in (0..self.images.channels).step_by(LANES) {
                let count = LANES.min(self.images.channels - channel);
                // SAFETY: the lengths were checked; the caller vouches for `from`.
                unsafe {
                    let mut row = [L::splat(T::ZERO); EDGE];
                    for j in 0..EDGE {
                        row[j] = load(self.from.at(j, n, channel).cast_const(), count);
                    }
                    let row = [row[0].add(row[1]).add(row[2]), row[1].sub(row[2]).sub(row[3])];
                    let mut start = L::splat(T::ZERO);
                    if let Some(from) = self.start {
                        start = load(from.as_ptr().add(channel), count);
                    }
                    for j in 0..TILE {
                        let [above, below] = [to[0][j], to[1][j]].map(<*const T>::cast_mut);
                        if ROW < 3 && !above.is_null() {
                            let above = above.wrapping_add(channel);
                            let before = if ROW == 0 { start } else { load(above, count) };
                            store(before.add(row[j]), above, count);
                        }
                        if ROW > 0 && !below.is_null() {
                            let below = below.wrapping_add(channel);
                            let sum = if ROW == 1 {
                                start.add(row[j])
                            } else {
                                load::<L>(below, count).sub(row[j])
                            };
                            store(sum, below, count);
                        }
                    }
                }
            }
        }
    }
}

/// A ∂y Aᵀ of some tiles, its row `ROW`: whole panels, which zeros fill.
pub(super) struct Returned<'a, T, const ROW: usize> {
    pub(super) images: Tiled,
    pub(super) dy: &'a [T],
    pub(super) tiles: Range<usize>,
    /// As many zeros as there are channels.
    pub(super) zeros: *const T,
    pub(super) to: Spread<T>,
}

impl<T: Real, const ROW: usize> Kernel<T> for Returned<'_, T, ROW> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for (n, at) in self.images.places(self.tiles).enumerate() {
            let from: [[_; TILE]; TILE] = self.images.window(self.dy.as_ptr(), at, 0, self.zeros);
            for channel in (0..self.images.channels).step_by(LANES) {
                let count = LANES.min(self.images.channels - channel);
                // SAFETY: as in `Seen`.
                unsafe {
                    let mut row = [L::splat(T::ZERO); TILE];
                    for j in 0..TILE {
                        let mut column = [L::splat(T::ZERO); TILE];
                        for i in 0..TILE {
                            column[i] = load(from[i][j].wrapping_add(channel), count);
                        }
                        row[j] = returned(ROW, column);
                    }
                    for j in 0..EDGE {
                        returned(j, row).store(self.to.at(j, n, channel));
                    }
                }
            }
        }
    }
}

/// Row i of A ∂y.
#[inline(always)]
unsafe fn returned<L: Lanes>(i: usize, dy: [L; TILE]) -> L {
    // SAFETY: the caller has the instructions.
    unsafe {
        match i {
            0 => dy[0],
            1 => dy[0].add(dy[1]),
            2 => dy[0].sub(dy[1]),
            _ => L::splat(L::Scalar::ZERO).sub(dy[1]),
        }
    }
}
