//! Fixed calls of kernels, each beside its naive twin: for benchmarks, and for counting instructions.

use super::pointwise::{add_scaled, tanh_of};
use super::{
    Filters, Gather, InstructionSet, Outer, Winograd, outer_product, panels, product, softmax,
    transform_filters, winograd_product,
};

type Call = Box<dyn Fn(InstructionSet, &mut [f32])>;
type Naive = Box<dyn Fn(&mut [f32])>;

/// A call of a kernel on numbers of its own.
pub struct Sample {
    /// What is called, and on how much.
    pub name: &'static str,
    /// Products and sums, or numbers where there are none: what it takes grows with them.
    pub work: usize,
    output: Vec<f32>,
    call: Call,
    naive: Naive,
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sample").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Sample {
    /// Calls the kernel. Returns what it wrote.
    pub fn run(&mut self, instruction_set: InstructionSet) -> &[f32] {
        (self.call)(instruction_set, &mut self.output);
        &self.output
    }

    /// Does the same by the formula, a number at a time. Returns what it wrote.
    pub fn run_naive(&mut self) -> &[f32] {
        (self.naive)(&mut self.output);
        &self.output
    }

    /// All samples.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            matrix_product(),
            weight_gradient(),
            convolution(),
            sum_of_vectors(),
            hyperbolic_tangents(),
            probabilities(),
        ]
    }
}

/// Numbers in [−1, 1).
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0).collect()
}

const ROWS: usize = 100;
const DEPTH: usize = 128;
const WIDTH: usize = 64;

fn matrix_product() -> Sample {
    let (input, weight) = (numbers(ROWS * DEPTH), numbers(DEPTH * WIDTH));
    let mut in_panels = weight.clone();
    for (place, plain) in in_panels.iter_mut().zip(panels(DEPTH, WIDTH)) {
        *place = weight[plain];
    }
    let (gather, rows) = (Gather::matrix(ROWS, DEPTH, WIDTH), input.clone());
    Sample {
        name: "product of 100x128 and 128x64",
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

fn weight_gradient() -> Sample {
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

const EXTENT: usize = 14;
const CHANNELS: usize = 64;

fn convolution() -> Sample {
    const TAPS: usize = 9;
    let filters = Filters { inputs: CHANNELS, outputs: CHANNELS, turned: false };
    let images: Vec<f32> =
        numbers(EXTENT * EXTENT * CHANNELS).into_iter().map(|x| x / 16.0).collect();
    let weight = numbers(TAPS * CHANNELS * CHANNELS);
    let mut in_panels = weight.clone();
    for (place, plain) in in_panels.iter_mut().zip(panels(TAPS * CHANNELS, CHANNELS)) {
        *place = weight[plain];
    }
    let mut transformed = vec![0.0; filters.transformed_len()];
    transform_filters(InstructionSet::PORTABLE, filters, &in_panels, &mut transformed);
    let winograd = Winograd::new([1, EXTENT, EXTENT], (CHANNELS, CHANNELS));
    let image = images.clone();
    Sample {
        name: "convolution of 14x14x64 with 64 filters",
        work: EXTENT * EXTENT * TAPS * CHANNELS * CHANNELS,
        output: vec![0.0; EXTENT * EXTENT * CHANNELS],
        call: Box::new(move |set, out| {
            winograd_product(set, &winograd, None, &[(&image, &transformed)], out);
        }),
        naive: Box::new(move |out| {
            for (at, out) in out.iter_mut().enumerate() {
                let (place, n) = (at / CHANNELS, at % CHANNELS);
                *out = 0.0;
                for tap in 0..TAPS {
                    let row = (place / EXTENT + tap / 3).wrapping_sub(1);
                    let column = (place % EXTENT + tap % 3).wrapping_sub(1);
                    if row < EXTENT && column < EXTENT {
                        let x = &images[(row * EXTENT + column) * CHANNELS..][..CHANNELS];
                        for (c, &x) in x.iter().enumerate() {
                            *out = x.mul_add(weight[(tap * CHANNELS + c) * CHANNELS + n], *out);
                        }
                    }
                }
            }
        }),
    }
}

const LENGTH: usize = 10_000;

fn sum_of_vectors() -> Sample {
    let x = numbers(LENGTH);
    let same = x.clone();
    Sample {
        name: "x + 0.3 x over 10000 numbers",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| {
            out.copy_from_slice(&same);
            add_scaled(set, 0.3, &same, out);
        }),
        naive: Box::new(move |out| {
            for (out, x) in out.iter_mut().zip(&x) {
                *out = 0.3f32.mul_add(*x, *x);
            }
        }),
    }
}

fn hyperbolic_tangents() -> Sample {
    let x = numbers(LENGTH);
    let same = x.clone();
    Sample {
        name: "tanh of 10000 numbers",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| tanh_of(set, &same, out)),
        naive: Box::new(move |out| {
            for (out, x) in out.iter_mut().zip(&x) {
                *out = libm::tanhf(*x);
            }
        }),
    }
}

const WAYS: usize = 20;

fn probabilities() -> Sample {
    let logits = numbers(LENGTH);
    let same = logits.clone();
    Sample {
        name: "softmax of 500 rows of 20",
        work: LENGTH,
        output: vec![0.0; LENGTH],
        call: Box::new(move |set, out| softmax(set, WAYS, &same, out)),
        naive: Box::new(move |out| {
            for (out, logits) in out.chunks_exact_mut(WAYS).zip(logits.chunks_exact(WAYS)) {
                let mut total = 0.0;
                for (out, logit) in out.iter_mut().zip(logits) {
                    *out = libm::expf(*logit);
                    total += *out;
                }
                out.iter_mut().for_each(|out| *out /= total);
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_does_what_its_naive_twin_does() {
        for sample in &mut Sample::all() {
            let expected = sample.run_naive().to_vec();
            for set in InstructionSet::available() {
                let found = sample.run(set);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    let error = (found - expected).abs();
                    assert!(
                        error <= 1e-5 * expected.abs().max(1.0),
                        "{}, {set}: {error}",
                        sample.name
                    );
                }
            }
        }
    }
}
