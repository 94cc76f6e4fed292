//! Matrix products, in f32 and of numbers rounded to bfloat16, and the gradient by the weights.

use super::{Sample, in_panels, numbers, small_numbers};
use crate::kernels::bfloat16::round;
use crate::kernels::{Gather, Outer, outer_product, panels, product};

const ROWS: usize = 100;
const DEPTH: usize = 128;
const WIDTH: usize = 64;

pub(super) fn matrix_product() -> Sample {
    let gather = Gather::matrix(ROWS, DEPTH, WIDTH);
    product_of("product of 100x128 and 128x64", gather, std::convert::identity)
}

pub(super) fn rounded_product() -> Sample {
    let gather = Gather::matrix(ROWS, DEPTH, WIDTH).rounding(true);
    let rounded = |number: f32| f32::from_bits(u32::from(round(number)) << 16);
    product_of("product of 100x128 and 128x64 in bfloat16", gather, rounded)
}

/// `out[row, n] = Σ_c input[row, c] weight[c, n]`, of what `rounded` makes of both.
fn product_of(name: &'static str, gather: Gather, rounded: fn(f32) -> f32) -> Sample {
    let (input, weight) = (numbers(ROWS * DEPTH), small_numbers(DEPTH * WIDTH));
    let (rows, in_panels) = (input.clone(), in_panels(&weight, DEPTH, WIDTH));
    let [input, weight] =
        [input, weight].map(|numbers| numbers.into_iter().map(rounded).collect::<Vec<f32>>());
    Sample {
        name,
        work: ROWS * DEPTH * WIDTH,
        output: vec![0.0; ROWS * WIDTH],
        call: Box::new(move |set, out| product(set, &gather, None, &[(&rows, &in_panels)], out)),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (row, n) = (at / WIDTH, at % WIDTH);
                *out = 0.0;
                for c in 0..DEPTH {
                    *out = input[row * DEPTH + c].mul_add(weight[c * WIDTH + n], *out);
                }
            }
        }),
    }
}

/// `∂w[c, n] = Σ_row input[row, c] cotangent[row, n]`.
pub(super) fn weight_gradient() -> Sample {
    let (input, cotangent) = (numbers(ROWS * DEPTH), numbers(ROWS * WIDTH));
    let outer = Outer::of(&Gather::matrix(ROWS, DEPTH, WIDTH));
    let (rows, cotangents) = (input.clone(), cotangent.clone());
    Sample {
        name: "gradient by weights of 128x64 over 100 rows",
        work: ROWS * DEPTH * WIDTH,
        output: vec![0.0; DEPTH * WIDTH],
        call: Box::new(move |set, out| outer_product(set, &outer, &[(&rows, &cotangents)], out)),
        naive: Box::new(move |out| {
            for (out, plain) in out.iter_mut().zip(panels(DEPTH, WIDTH)) {
                let (c, n) = (plain / WIDTH, plain % WIDTH);
                *out = 0.0;
                for row in 0..ROWS {
                    *out = input[row * DEPTH + c].mul_add(cotangent[row * WIDTH + n], *out);
                }
            }
        }),
    }
}
