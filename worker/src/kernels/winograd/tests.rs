use proptest::prelude::*;

use super::*;
use crate::kernels::gather::panels;
use crate::kernels::test_support::{numbers, same_bits};

/// The convolution as the textbook has it; `inputs`, `outputs` and `filter` are called with places.
fn each_product([images, height, width]: [usize; 3], mut each: impl FnMut(usize, usize, usize)) {
    for place in 0..images * height * width {
        let (row, column) = (place / width % height, place % width);
        for tap in 0..9 {
            let at = |first: usize, tap: usize, extent: usize| {
                (first + tap).checked_sub(1).filter(|&at| at < extent)
            };
            if let (Some(r), Some(c)) = (at(row, tap / 3, height), at(column, tap % 3, width)) {
                each((place / width / height * height + r) * width + c, tap, place);
            }
        }
    }
}

struct Case {
    extent: [usize; 3],
    channels: (usize, usize),
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
    start: Vec<f32>,
}

impl Case {
    fn new(extent: [usize; 3], channels: (usize, usize), seed: u64) -> Self {
        let places: usize = extent.iter().product();
        let (inputs, outputs) = channels;
        Self {
            extent,
            channels,
            x: numbers(seed, places * inputs),
            w: numbers(seed + 1, 9 * inputs * outputs),
            dy: numbers(seed + 2, places * outputs),
            start: numbers(seed + 3, outputs),
        }
    }

    /// y, and ∂w as the weights lie, summed in f64.
    fn expected(&self) -> (Vec<f64>, Vec<f64>) {
        let (inputs, outputs) = self.channels;
        let mut y: Vec<f64> =
            (0..self.dy.len()).map(|at| f64::from(self.start[at % outputs])).collect();
        let mut dw = vec![0.0; self.w.len()];
        each_product(self.extent, |from, tap, to| {
            for c in 0..inputs {
                for n in 0..outputs {
                    let w = (tap * inputs + c) * outputs + n;
                    let x = f64::from(self.x[from * inputs + c]);
                    y[to * outputs + n] += x * f64::from(self.w[w]);
                    dw[w] += x * f64::from(self.dy[to * outputs + n]);
                }
            }
        });
        (y, dw)
    }

    /// The same as they are computed, of the sum of `terms` equal terms.
    fn computed(&self, set: InstructionSet, terms: usize) -> (Vec<f32>, Vec<f32>) {
        let (inputs, outputs) = self.channels;
        let winograd = Winograd::new(self.extent, self.channels);
        let filters = winograd.filters();
        let w: Vec<f32> = panels(9 * inputs, outputs).map(|plain| self.w[plain]).collect();
        let mut transformed = vec![f32::NAN; filters.transformed_len()];
        transform_filters(set, filters, &w, &mut transformed);
        let mut y = vec![f32::NAN; self.dy.len()];
        let of_y = vec![(&self.x[..], &transformed[..]); terms];
        winograd_product(set, &winograd, Some(&self.start), &of_y, &mut y);
        let mut gradient = vec![f32::NAN; transformed.len()];
        let of_w = vec![(&self.x[..], &self.dy[..]); terms];
        winograd_gradient(set, &winograd, &of_w, (&mut gradient, true));
        let mut in_panels = vec![f32::NAN; w.len()];
        filter_gradient(set, filters, &gradient, &mut in_panels);
        let mut dw = vec![0.0; w.len()];
        for (plain, value) in panels(9 * inputs, outputs).zip(in_panels) {
            dw[plain] = value;
        }
        (y, dw)
    }
}

/// |found − expected| / |expected|, of the whole vectors.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    let apart = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).powi(2));
    let norm: f64 = expected.iter().map(|b| b * b).sum();
    apart.sum::<f64>().sqrt() / norm.sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_instruction_set_does_what_the_formula_says(
        images in 1usize..4, height in 1usize..9, width in 1usize..9,
        inputs in 1usize..40, outputs in 1usize..40, seed in 0u64..1000,
    ) {
        let case = Case::new([images, height, width], (inputs, outputs), seed);
        let (y, dw) = case.expected();
        let first = case.computed(InstructionSet::PORTABLE, 1);
        prop_assert!(error(&first.0, &y) < 1e-6, "y: {}", error(&first.0, &y));
        prop_assert!(error(&first.1, &dw) < 1e-6, "∂w: {}", error(&first.1, &dw));
        for set in InstructionSet::available() {
            let found = case.computed(set, 1);
            prop_assert!(same_bits(&found.0, &first.0) && same_bits(&found.1, &first.1), "{set}");
        }
    }
}

#[test]
fn tiles_that_go_together_are_all_tiles_and_terms_add_up() {
    // Of these more tiles than one run has, in products and in gradients.
    let case = Case::new([5, 14, 14], (64, 48), 7);
    let (y, dw) = case.expected();
    let set = InstructionSet::best();
    let (found, gradient) = case.computed(set, 1);
    assert!(error(&found, &y) < 1e-6 && error(&gradient, &dw) < 1e-6);
    let (twice, gradient_twice) = case.computed(set, 2);
    let start = |at: usize| f64::from(case.start[at % 48]);
    let y: Vec<f64> = y.iter().enumerate().map(|(at, y)| 2.0 * y - start(at)).collect();
    let dw: Vec<f64> = dw.iter().map(|dw| 2.0 * dw).collect();
    assert!(error(&twice, &y) < 1e-6 && error(&gradient_twice, &dw) < 1e-6);
}
