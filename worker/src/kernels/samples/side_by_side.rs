//! A layer of 40 units over 40, on ten examples, of sixteen problems side by side: forward, and a step of its weights.

use super::{Sample, numbers};
use crate::kernels::{Gate, LANES, Origin, Outcome, SideBySide, side_by_side};

const ROWS: usize = 10;
const UNITS: usize = 40;
const RATE: f32 = 0.01;

/// y = max(0, x Wᵀ + b), with W and b that all problems share.
pub(super) fn forward() -> Sample {
    let x = numbers(ROWS * UNITS * LANES);
    let (weight, bias) = (numbers(UNITS * UNITS), numbers(UNITS));
    let sizes = SideBySide::forward(ROWS, UNITS, UNITS);
    let (rows, matrix, start) = (x.clone(), weight.clone(), bias.clone());
    Sample {
        name: "16 products of 10x40 and 40x40 side by side",
        work: LANES * ROWS * UNITS * UNITS,
        output: vec![0.0; ROWS * UNITS * LANES],
        call: Box::new(move |set, out| {
            let positive = Outcome::Through(Gate::Sum);
            side_by_side(set, &sizes, Some(&start), &[(&rows, &matrix)], positive, out);
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (row, n, lane) = (at / LANES / UNITS, at / LANES % UNITS, at % LANES);
                let mut sum = bias[n];
                for k in 0..UNITS {
                    let x = x[(row * UNITS + k) * LANES + lane];
                    sum = x.mul_add(weight[n * UNITS + k], sum);
                }
                *out = sum.max(0.0);
            }
        }),
    }
}

/// W − α ∂yᵀ x, from a W that all problems share.
pub(super) fn step() -> Sample {
    let (dy, x) = (numbers(ROWS * UNITS * LANES), numbers(ROWS * UNITS * LANES));
    let weight = numbers(UNITS * UNITS);
    let sizes = SideBySide::weight_gradient(ROWS, UNITS, UNITS);
    let (cotangent, rows, matrix) = (dy.clone(), x.clone(), weight.clone());
    Sample {
        name: "16 steps of 40x40 weights over 10 rows side by side",
        work: LANES * ROWS * UNITS * UNITS,
        output: vec![0.0; UNITS * UNITS * LANES],
        call: Box::new(move |set, out| {
            let step = Outcome::Step { from: Origin::At(&matrix[..]), scale: -RATE };
            side_by_side(set, &sizes, None, &[(&cotangent, &rows)], step, out);
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (n, k, lane) = (at / LANES / UNITS, at / LANES % UNITS, at % LANES);
                let mut sum = 0.0;
                for row in 0..ROWS {
                    let place = |unit: usize| (row * UNITS + unit) * LANES + lane;
                    sum = dy[place(n)].mul_add(x[place(k)], sum);
                }
                *out = (-RATE).mul_add(sum, weight[n * UNITS + k]);
            }
        }),
    }
}
