//! Tiles: as many sums as there are registers for.

use super::{Gate, Origin, Outcome, Product, SideBySide};
use crate::kernels::lanes::{LANES, Lanes};
use crate::kernels::real::Real;

#[inline(always)]
pub(super) unsafe fn tiles<L: Lanes, const ROWS: usize, const COLUMNS: usize, const STEP: bool>(
    product: &mut Product<'_, L::Scalar>,
) {
    let ([first, mut column], [end_row, end_column]) = (product.at, product.end);
    let block = product.columns_of_a_block() / COLUMNS * COLUMNS;
    while column < end_column {
        let end_of_block = end_column.min(column + block);
        let mut row = first;
        while row < end_row {
            let mut at = column;
            while at < end_of_block {
                // SAFETY: the caller's.
                unsafe { tile::<L, ROWS, COLUMNS, STEP>(product, row, at) };
                at += COLUMNS;
            }
            row += ROWS;
        }
        column = end_of_block;
    }
}

/// Two by two, where there are few registers.
#[inline(always)]
pub(super) unsafe fn small_tiles<L: Lanes, const STEP: bool>(product: &mut Product<'_, L::Scalar>) {
    let ([first, mut column], [end_row, end_column]) = (product.at, product.end);
    while column < end_column {
        let is_pair = column + 2 <= end_column;
        let mut row = first;
        while row < end_row {
            // SAFETY: the caller's.
            unsafe {
                match (row + 2 <= end_row, is_pair) {
                    (true, true) => tile::<L, 2, 2, STEP>(product, row, column),
                    (true, false) => tile::<L, 2, 1, STEP>(product, row, column),
                    (false, true) => tile::<L, 1, 2, STEP>(product, row, column),
                    (false, false) => tile::<L, 1, 1, STEP>(product, row, column),
                }
            }
            row += 2;
        }
        column += 2;
    }
}

/// `ROWS` × `COLUMNS` sums in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize, const STEP: bool>(
    product: &mut Product<'_, L::Scalar>,
    row: usize,
    column: usize,
) {
    let SideBySide { columns, depth, .. } = *product.sizes;
    // SAFETY: the caller gives rows and columns that are there, and all of the depth is within the slices.
    unsafe {
        let mut sums = [[L::splat(L::Scalar::ZERO); COLUMNS]; ROWS];
        if let Some(start) = product.start {
            for j in 0..COLUMNS {
                let start = if start.len() == columns {
                    L::splat(start[column + j])
                } else {
                    L::load(start.as_ptr().add((column + j) * LANES))
                };
                for i in 0..ROWS {
                    sums[i][j] = start;
                }
            }
        }
        for (a, b) in product.terms {
            let at = (a.as_ptr(), row, b.as_ptr(), column);
            if b.len() == columns * depth {
                add_term::<L, InCommon, ROWS, COLUMNS>(product.sizes, at, &mut sums);
            } else {
                add_term::<L, InLanes, ROWS, COLUMNS>(product.sizes, at, &mut sums);
            }
        }
        let first = row * columns + column;
        let out = product.out.as_mut_ptr().add(first * LANES);
        if STEP {
            take_step(product, sums, first, out);
        } else {
            let_through(product, sums, first, out);
        }
    }
}

/// Stores a tile's sums as a gate lets them through.
#[inline(always)]
unsafe fn let_through<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &Product<'_, L::Scalar>,
    mut sums: [[L; COLUMNS]; ROWS],
    first: usize,
    out: *mut L::Scalar,
) {
    let columns = product.sizes.columns;
    // SAFETY: as in `tile`.
    unsafe {
        let zero = L::splat(L::Scalar::ZERO);
        match product.outcome {
            Outcome::Through(Gate::Sum) => {
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        sums[i][j] = zero.max(sums[i][j]);
                    }
                }
            }
            Outcome::Through(Gate::Number(gate)) => {
                let gate = gate.as_ptr().add(first * LANES);
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        let number = L::load(gate.add((i * columns + j) * LANES));
                        sums[i][j] = number.if_greater(zero, sums[i][j], zero);
                    }
                }
            }
            _ => {}
        }
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i][j].store(out.add((i * columns + j) * LANES));
            }
        }
    }
}

/// Stores the step along a tile's sums.
#[inline(always)]
unsafe fn take_step<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    product: &Product<'_, L::Scalar>,
    sums: [[L; COLUMNS]; ROWS],
    first: usize,
    out: *mut L::Scalar,
) {
    let columns = product.sizes.columns;
    let Outcome::Step { from, scale } = product.outcome else { return };
    let (from, is_common) = match from {
        Origin::At(from) if from.len() < product.out.len() => {
            (from.as_ptr().wrapping_add(first), true)
        }
        Origin::At(from) => (from.as_ptr().wrapping_add(first * LANES), false),
        Origin::There => (out.cast_const(), false),
        Origin::Zero => (std::ptr::null(), false),
    };
    // SAFETY: as in `tile`.
    unsafe {
        let scale = L::splat(scale);
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                let place = i * columns + j;
                let sum = if from.is_null() {
                    sums[i][j].mul(scale)
                } else if is_common {
                    L::splat(*from.add(place)).mul_add(scale, sums[i][j])
                } else {
                    L::load(from.add(place * LANES)).mul_add(scale, sums[i][j])
                };
                sum.store(out.add(place * LANES));
            }
        }
    }
}

/// Where a right matrix has its numbers.
trait Right {
    /// Numbers from one vector to the next.
    const NUMBERS: usize;

    unsafe fn load<L: Lanes>(from: *const L::Scalar) -> L;
}

/// One in each lane.
struct InLanes;

impl Right for InLanes {
    const NUMBERS: usize = LANES;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const L::Scalar) -> L {
        // SAFETY: the caller gives a vector.
        unsafe { L::load(from) }
    }
}

/// One for all lanes.
struct InCommon;

impl Right for InCommon {
    const NUMBERS: usize = 1;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const L::Scalar) -> L {
        // SAFETY: the caller gives a number.
        unsafe { L::splat(*from) }
    }
}

/// sums += a · b, from a row of `a` and a column of `b` on.
#[inline(always)]
unsafe fn add_term<L: Lanes, B: Right, const ROWS: usize, const COLUMNS: usize>(
    sizes: &SideBySide,
    (a, row, b, column): (*const L::Scalar, usize, *const L::Scalar, usize),
    sums: &mut [[L; COLUMNS]; ROWS],
) {
    let (a_across, a_along) = (sizes.a.across * LANES, sizes.a.along * LANES);
    let (b_across, b_along) = (sizes.b.across * B::NUMBERS, sizes.b.along * B::NUMBERS);
    // SAFETY: as in `tile`.
    unsafe {
        let mut a = a.add(row * a_across);
        let mut b = b.add(column * b_across);
        for _ in 0..sizes.depth {
            let mut right = [L::splat(L::Scalar::ZERO); COLUMNS];
            for j in 0..COLUMNS {
                right[j] = B::load::<L>(b.add(j * b_across));
            }
            for i in 0..ROWS {
                let left = L::load(a.add(i * a_across));
                for j in 0..COLUMNS {
                    sums[i][j] = sums[i][j].mul_add(left, right[j]);
                }
            }
            a = a.wrapping_add(a_along);
            b = b.wrapping_add(b_along);
        }
    }
}
