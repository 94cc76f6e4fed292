//! An LSTM cell, forward and backward. Rows are sixteen examples, as in `lane_product`.
//!
//! ```text
//! i, f, g, o = σ, σ, tanh, σ of matrix[0, r] + Σ_d (h, below)[d] · matrix[1 + d, r], from the first d on, a quarter of the r each
//! c = f ∘ c + i ∘ g
//! h = o ∘ tanh c
//! ```
//!
//! A tile has the sums of all four gates of some units in registers, so that their c and what is kept follow from it; those
//! lines then go to memory between products, instead of all at once. Where there are 32 registers a tile is of two blocks of
//! sixteen examples: a weight that was loaded serves two sums.

mod backward;

use super::lanes::{LANES, Lanes, STREAM_ALIGNMENT};
use super::real::Real;
use super::transcendental::{sigmoid_of_each, tanh_of_each};
use super::{InstructionSet, Kernel};

pub(crate) use backward::{CellValues, lstm_cell_backward};

/// What a step of a cell leaves for [`lstm_cell_backward`]: of each block, `[hidden, 5]` rows, i, f, g, o and c of a unit.
pub(crate) struct Kept<'a, T> {
    /// Begins at a cache line. Empty where nothing is kept.
    pub(crate) rows: &'a mut [T],
    /// Whether they are written past the caches, so that [`streamed`](super::streamed) is to be behind it before another
    /// thread reads.
    pub(crate) past_caches: bool,
}

/// A step of a cell of `BLOCKS` blocks of sixteen examples, its state in place: matrix `[1 + hidden + inputs, 4 · hidden]`,
/// gates in PyTorch's order, input, forget, cell and output; below `[inputs]` rows, state `[2 · hidden]` rows, c and then h, of
/// each block. `room` is for `[BLOCKS, hidden]` rows.
pub(crate) fn lstm_cell<T: Real, const BLOCKS: usize>(
    instruction_set: InstructionSet,
    matrix: &[T],
    below: [&[T]; BLOCKS],
    state: [&mut [T]; BLOCKS],
    room: &mut [T],
    kept: Kept<'_, T>,
) {
    let (len, inputs) = (state[0].len() / 2, below[0].len());
    assert!(len.is_multiple_of(LANES) && inputs.is_multiple_of(LANES), "whole rows");
    assert!(state.iter().all(|block| block.len() == 2 * len), "c and h of every block");
    assert!(below.iter().all(|block| block.len() == inputs), "as many rows of every block");
    let hidden = len / LANES;
    assert_eq!(matrix.len(), (1 + hidden + inputs / LANES) * 4 * hidden, "four gates of one size");
    assert_eq!(room.len(), BLOCKS * len, "a row for every unit");
    assert!(kept.rows.is_empty() || kept.rows.len() == BLOCKS * 5 * len, "four gates and c");
    let misaligned = kept.rows.as_ptr().align_offset(STREAM_ALIGNMENT);
    assert!(kept.rows.is_empty() || misaligned == 0, "kept rows begin at a cache line");
    T::dispatch(instruction_set, Cells { matrix, below, state, room, kept, hidden });
}

struct Cells<'a, T, const BLOCKS: usize> {
    matrix: &'a [T],
    below: [&'a [T]; BLOCKS],
    state: [&'a mut [T]; BLOCKS],
    room: &'a mut [T],
    kept: Kept<'a, T>,
    hidden: usize,
}

impl<T: Real, const BLOCKS: usize> Kernel<T> for Cells<'_, T, BLOCKS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(mut self) {
        // SAFETY: `lstm_cell` has settled the lengths, and the caller has the instructions.
        unsafe {
            if L::REGISTERS > 24 && BLOCKS == 2 {
                self.tiles::<L, 2>(0);
            } else {
                for block in 0..BLOCKS {
                    self.tiles::<L, 1>(block);
                }
            }
            for (state, o) in self.state.iter_mut().zip(self.room.chunks_exact(self.hidden * LANES))
            {
                let mut unit = 0;
                while unit + 4 <= self.hidden {
                    outputs::<L, 4>(state, o, unit);
                    unit += 4;
                }
                while unit < self.hidden {
                    outputs::<L, 1>(state, o, unit);
                    unit += 1;
                }
            }
        }
    }
}

impl<T: Real, const BLOCKS: usize> Cells<'_, T, BLOCKS> {
    /// All units of `ABREAST` blocks, from `block` on.
    #[inline(always)]
    unsafe fn tiles<L: Lanes<Scalar = T>, const ABREAST: usize>(&mut self, block: usize) {
        let (mut unit, hidden) = (0, self.hidden);
        // SAFETY: the caller's.
        unsafe {
            while L::REGISTERS > 24 && unit + 6 / ABREAST <= hidden {
                self.tile::<L, ABREAST, 6>(block, unit);
                unit += 6 / ABREAST;
            }
            while L::REGISTERS > 16 && unit + 4 / ABREAST <= hidden {
                self.tile::<L, ABREAST, 4>(block, unit);
                unit += 4 / ABREAST;
            }
            while unit < hidden {
                self.tile::<L, ABREAST, ABREAST>(block, unit);
                unit += 1;
            }
        }
    }

    /// The four gates' sums of `CELLS` cells in registers: of units of `ABREAST` blocks, from `unit` and `block` on.
    #[inline(always)]
    unsafe fn tile<L: Lanes<Scalar = T>, const ABREAST: usize, const CELLS: usize>(
        &mut self,
        block: usize,
        unit: usize,
    ) {
        let hidden = self.hidden;
        // SAFETY: the cells' units are there in every block, and in the columns of every gate.
        unsafe {
            let mut weights = self.matrix.as_ptr().add(unit);
            let mut sums = [[L::splat(T::ZERO); CELLS]; 4];
            for i in 0..CELLS / ABREAST {
                for gate in 0..4 {
                    let weight = L::splat(*weights.add(gate * hidden + i));
                    for j in 0..ABREAST {
                        sums[gate][i * ABREAST + j] = weight;
                    }
                }
            }
            let len = hidden * LANES;
            let mut operands = [[self.matrix.as_ptr(); ABREAST]; 2];
            for j in 0..ABREAST {
                operands[0][j] = self.state[block + j].as_ptr().add(len);
                operands[1][j] = self.below[block + j].as_ptr();
            }
            for (mut from, rows) in operands.into_iter().zip([len, self.below[block].len()]) {
                for _ in 0..rows / LANES {
                    weights = weights.wrapping_add(4 * hidden);
                    let mut x = [L::load(from[0]); ABREAST];
                    for j in 1..ABREAST {
                        x[j] = L::load(from[j]);
                    }
                    for i in 0..CELLS / ABREAST {
                        for gate in 0..4 {
                            let weight = L::splat(*weights.add(gate * hidden + i));
                            for j in 0..ABREAST {
                                let at = i * ABREAST + j;
                                sums[gate][at] = sums[gate][at].mul_add(x[j], weight);
                            }
                        }
                    }
                    for from in &mut from {
                        *from = from.wrapping_add(LANES);
                    }
                }
            }
            self.finish::<L, ABREAST, CELLS>(block, unit, sums);
        }
    }

    /// Goes on from the sums to c; o waits in `room`, as the other tiles have yet to read h.
    #[inline(always)]
    unsafe fn finish<L: Lanes<Scalar = T>, const ABREAST: usize, const CELLS: usize>(
        &mut self,
        block: usize,
        unit: usize,
        [i, f, g, o]: [[L; CELLS]; 4],
    ) {
        let len = self.hidden * LANES;
        // SAFETY: as in `tile`, and there is room for five rows of every unit where any are kept.
        unsafe {
            let (i, f) = (sigmoid_of_each(i), sigmoid_of_each(f));
            let (g, o) = (tanh_of_each(g), sigmoid_of_each(o));
            for cell in 0..CELLS {
                let (block, at) = (block + cell % ABREAST, (unit + cell / ABREAST) * LANES);
                let place = self.state[block].as_mut_ptr().add(at);
                let c = f[cell].mul(L::load(place)).mul_add(i[cell], g[cell]);
                c.store(place);
                o[cell].store(self.room.as_mut_ptr().add(block * len + at));
                if self.kept.rows.is_empty() {
                    continue;
                }
                let kept = self.kept.rows.as_mut_ptr().add(5 * (block * len + at));
                let rows = [i[cell], f[cell], g[cell], o[cell], c];
                for (which, row) in rows.into_iter().enumerate() {
                    if self.kept.past_caches {
                        row.stream(kept.add(which * LANES));
                    } else {
                        row.store(kept.add(which * LANES));
                    }
                }
            }
        }
    }
}

/// `h = o ∘ tanh c` of `UNITS` units of a block's state.
#[inline(always)]
unsafe fn outputs<L: Lanes, const UNITS: usize>(
    state: &mut [L::Scalar],
    o: &[L::Scalar],
    unit: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let c = state.as_mut_ptr().add(unit * LANES);
        let (h, o) = (c.add(o.len()), o.as_ptr().add(unit * LANES));
        let mut tanh = [L::splat(L::Scalar::ZERO); UNITS];
        for i in 0..UNITS {
            tanh[i] = L::load(c.add(i * LANES));
        }
        for (i, tanh) in tanh_of_each(tanh).into_iter().enumerate() {
            L::load(o.add(i * LANES)).mul(tanh).store(h.add(i * LANES));
        }
    }
}

#[cfg(test)]
mod tests;
