//! A step of a learned optimizer's second layer, forward and back, for two blocks of sixteen coordinates.

use super::{Sample, numbers};
use crate::kernels::{Ahead, Kept, LANES, lane_product, lstm_cell};

const BLOCKS: usize = 2;
const HIDDEN: usize = 20;
const GATES: usize = 4 * HIDDEN;
/// The layer's own h, and that of the layer below.
const DEPTH: usize = 2 * HIDDEN;

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// i, f, g, o = σ, σ, tanh, σ of `matrix[0, row] + Σ_d (h, below)[d] matrix[1 + d, row]`; c = f ∘ c + i ∘ g;  h = o ∘ tanh c.
pub(super) fn cell() -> Sample {
    const LEN: usize = HIDDEN * LANES;
    let matrix = numbers((1 + DEPTH) * GATES);
    let (before, below) = (numbers(BLOCKS * 2 * LEN), numbers(BLOCKS * LEN));
    let (weights, state_before, inputs) = (matrix.clone(), before.clone(), below.clone());
    let mut room = vec![0.0; BLOCKS * LEN];
    Sample {
        name: "step of an LSTM of 20 over 20 for 32 coordinates",
        work: BLOCKS * LANES * DEPTH * GATES,
        output: vec![0.0; BLOCKS * 2 * LEN],
        call: Box::new(move |set, out| {
            out.copy_from_slice(&state_before);
            let (first, second) = out.split_at_mut(2 * LEN);
            let below = [&inputs[..LEN], &inputs[LEN..]];
            let kept = Kept { rows: &mut [], past_caches: false };
            lstm_cell(set, &weights, below, [first, second], &mut room, kept);
        }),
        naive: Box::new(move |out| {
            for at in 0..BLOCKS * LEN {
                let (block, unit, lane) = (at / LEN, at % LEN / LANES, at % LANES);
                let (c, h) = before[block * 2 * LEN..][..2 * LEN].split_at(LEN);
                let rows = h.chunks(LANES).chain(below[block * LEN..][..LEN].chunks(LANES));
                let sum = |gate: usize| {
                    let column = gate * HIDDEN + unit;
                    let weights = matrix[GATES..].chunks(GATES);
                    rows.clone().zip(weights).fold(matrix[column], |sum, (row, weights)| {
                        row[lane].mul_add(weights[column], sum)
                    })
                };
                let (i, f) = (sigmoid(sum(0)), sigmoid(sum(1)));
                let c = f * c[at % LEN] + i * libm::tanhf(sum(2));
                out[block * 2 * LEN + at % LEN] = c;
                out[block * 2 * LEN + LEN + at % LEN] = sigmoid(sum(3)) * libm::tanhf(c);
            }
        }),
    }
}

/// `out[r] = Σ_g dz[g] matrix[1 + g, r]`: the cotangents of what a layer reads from those of its gates' sums.
pub(super) fn back() -> Sample {
    let (matrix, dz) = (numbers((1 + GATES) * DEPTH), numbers(BLOCKS * GATES * LANES));
    let (weights, rows) = (matrix.clone(), dz.clone());
    Sample {
        name: "step of an LSTM of 20 over 20 back for 32 coordinates",
        work: BLOCKS * LANES * DEPTH * GATES,
        output: vec![0.0; BLOCKS * DEPTH * LANES],
        call: Box::new(move |set, out| {
            let (first, second) = out.split_at_mut(DEPTH * LANES);
            let (dz, other_dz) = rows.split_at(GATES * LANES);
            lane_product(set, &weights, &[[dz, other_dz]], [first, second], &Ahead::none());
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (block, row, lane) = (at / (DEPTH * LANES), at / LANES % DEPTH, at % LANES);
                let mut sum = matrix[row];
                for d in 0..GATES {
                    let x = dz[(block * GATES + d) * LANES + lane];
                    sum = x.mul_add(matrix[(1 + d) * DEPTH + row], sum);
                }
                *out = sum;
            }
        }),
    }
}
