//! Fixed calls of kernels, each beside its naive twin: for benchmarks, and for counting instructions. Their sizes are those
//! of what is trained: conv4 of 64 filters on images of 28×28, perceptrons of 40 units, LSTMs of 20.

mod convolution;
mod lstm;
mod normalisation;
mod pointwise;
mod products;
mod side_by_side;

use super::{InstructionSet, panels};

type Call = Box<dyn FnMut(InstructionSet, &mut [f32])>;
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
            products::matrix_product(),
            products::rounded_product(),
            products::weight_gradient(),
            convolution::forward(),
            convolution::gradient(),
            normalisation::forward(),
            normalisation::backward(),
            lstm::cell(),
            lstm::back(),
            side_by_side::forward(),
            side_by_side::step(),
            pointwise::sum_of_vectors(),
            pointwise::hyperbolic_tangents(),
            pointwise::probabilities(),
        ]
    }
}

/// Numbers in [−1, 1).
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// The same, sixteen times as small: sums of many products lose few digits.
fn small_numbers(count: usize) -> Vec<f32> {
    numbers(count).into_iter().map(|x| x / 16.0).collect()
}

/// A matrix `[rows, columns]` as products read it.
fn in_panels(weight: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    panels(rows, columns).map(|plain| weight[plain]).collect()
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
