//! The LSTM alone, for benchmarks: steps forward and the way back, with gradients that are given.

use lyceum_common::model::OPTIMIZER_READS;

use super::coordinates::{Coordinates, Segment, Setup};
use super::lstm::{Shape, Sums, Weights};
use super::profile;
use super::update_rule::Observed;
use crate::kernels::{InstructionSet, LogAndSign};
use crate::profile::Timing;

/// A segment of a learned optimizer's training without an optimizee.
#[expect(missing_debug_implementations, reason = "it is megabytes of numbers")]
pub struct LstmWorkload {
    coordinates: Coordinates<f32>,
    weights: Weights<f32>,
    sums: Sums<f32>,
    gradients: Vec<f32>,
    loss_weights: Vec<f32>,
    theta: Vec<f32>,
    meta_gradient: Vec<f32>,
    setup: Setup<f32>,
}

impl LstmWorkload {
    /// Two layers of `hidden` over `count` coordinates and `steps` steps, with as many kept bytes as a run has.
    #[must_use]
    pub fn new(
        hidden: usize,
        count: usize,
        steps: usize,
        kept_bytes: usize,
        instruction_set: InstructionSet,
    ) -> Self {
        let shape = Shape { inputs: OPTIMIZER_READS, hidden };
        let setup = Setup {
            shape,
            unroll: steps,
            reading: LogAndSign::new(10.0),
            output_scale: 0.1,
            instruction_set,
            kept_bytes,
            step_by_step: false,
        };
        // Numbers of either sign and of many sizes; no kernel's time depends on which.
        let number = |at: usize| ((at * 37 % 101) as f32 / 50.0 - 1.0) / (1 + at % 1000) as f32;
        let mut weights = Weights::new(shape);
        let phi: Vec<f32> = (0..shape.parameters()).map(|at| 20.0 * number(at)).collect();
        weights.set(&phi);
        Self {
            coordinates: Coordinates::new(count, setup),
            weights,
            sums: Sums::new(shape),
            gradients: (0..(steps + 1) * count).map(number).collect(),
            loss_weights: vec![1.0; steps],
            theta: vec![0.0; count],
            meta_gradient: vec![0.0; shape.parameters()],
            setup,
        }
    }

    /// All steps forward, and the way back. Returns a number that depends on all of it.
    pub fn run(&mut self) -> f32 {
        self.forward();
        self.backward();
        self.meta_gradient[0] + self.theta[0]
    }

    fn forward(&mut self) {
        let Self { coordinates, weights, gradients, theta, setup, .. } = self;
        let count = theta.len();
        coordinates.reset();
        for t in 0..setup.unroll {
            let gradient = &gradients[t * count..(t + 1) * count];
            coordinates.step(weights, Some(t), Observed { gradient, direction: &[] }, theta);
        }
    }

    fn backward(&mut self) {
        let Self { coordinates, weights, sums, gradients, loss_weights, meta_gradient, .. } = self;
        let steps = self.setup.unroll;
        sums.clear();
        coordinates.backward(
            weights,
            Segment { steps, gradients, directions: &[], loss_weights },
            sums,
        );
        sums.write(self.setup.instruction_set, meta_gradient);
    }

    /// Times a run's way forward and its way back, the medians of `repeats`.
    pub fn profile(&mut self, repeats: usize) -> Vec<Timing> {
        let runs: Vec<_> =
            (0..repeats).map(|_| profile::of_lstm(self, Self::forward, Self::backward)).collect();
        let (steps, count) = (self.setup.unroll, self.theta.len());
        let (forward, backward) = self.setup.shape.products();
        profile::timings(&runs, [0, 0, steps, steps], [0, 0, count * forward, count * backward])
    }

    /// Products of a run, each with an addition: of a coordinate's step 4,980 forward for layers of 20, and twice that
    /// less the first layer's inputs backward.
    #[must_use]
    pub fn products(&self) -> usize {
        let (forward, backward) = self.setup.shape.products();
        self.setup.unroll * self.theta.len() * (forward + backward)
    }
}
