//! A step of a learned optimizer's second layer: its gates, and the cell behind them.

use super::{Sample, numbers};
use crate::kernels::{Kept, LANES, lane_gates, lstm_cell};

const HIDDEN: usize = 20;
const GATES: usize = 4 * HIDDEN;
/// The layer's own h, and that of the layer below.
const DEPTH: usize = 2 * HIDDEN;

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// i, f, g, o = σ, σ, tanh, σ of `matrix[0, row] + Σ_d operand[d] matrix[1 + d, row]`, of each coordinate.
pub(super) fn gates() -> Sample {
    let (matrix, operands) = (numbers((1 + DEPTH) * GATES), numbers(DEPTH * LANES));
    let (weights, rows) = (matrix.clone(), operands.clone());
    Sample {
        name: "gates of an LSTM of 20 over 20 for 16 coordinates",
        work: LANES * DEPTH * GATES,
        output: vec![0.0; GATES * LANES],
        call: Box::new(move |set, out| {
            let (own, below) = rows.split_at(HIDDEN * LANES);
            lane_gates(set, &weights, &[own, below], out);
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (row, lane) = (at / LANES, at % LANES);
                let mut sum = matrix[row];
                for d in 0..DEPTH {
                    sum = operands[d * LANES + lane].mul_add(matrix[(1 + d) * GATES + row], sum);
                }
                *out = if row / HIDDEN == 2 { libm::tanhf(sum) } else { sigmoid(sum) };
            }
        }),
    }
}

/// c = f ∘ c + i ∘ g;  h = o ∘ tanh c.
pub(super) fn cell() -> Sample {
    const LEN: usize = HIDDEN * LANES;
    let (gates, before) = (numbers(4 * LEN), numbers(LEN));
    let (rows, c_before) = (gates.clone(), before.clone());
    Sample {
        name: "cell of an LSTM of 20 for 16 coordinates",
        work: LEN,
        output: vec![0.0; 2 * LEN],
        call: Box::new(move |set, out| {
            let (c, h) = out.split_at_mut(LEN);
            c.copy_from_slice(&c_before);
            lstm_cell(set, &rows, c, h, Kept { rows: &mut [], past_caches: false });
        }),
        naive: Box::new(move |out| {
            for at in 0..LEN {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * LEN + at]);
                let c = f * before[at] + i * g;
                out[at] = c;
                out[LEN + at] = o * libm::tanhf(c);
            }
        }),
    }
}
