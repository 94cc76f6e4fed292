//! The loss at a network's end.

use lyceum_common::config::DataConfig;

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{
    Balance, BalancedCrossEntropy, BalancedCrossEntropyBackward, BinaryCrossEntropy,
    BinaryCrossEntropyBackward, CrossEntropy, CrossEntropyBackward, Pass, Planner, Slot,
    SquaredError, SquaredErrorBackward,
};

/// Which loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossKind {
    /// Softmax cross-entropy, the mean over examples.
    CrossEntropy,
    /// Squared error, the mean over all outputs.
    SquaredError,
    /// Binary cross-entropy of a logit, the mean over all outputs.
    BinaryCrossEntropy,
    /// The same over pairs with so many examples of each class, half of them of one class.
    BalancedPairs {
        /// Examples of a class that each row is paired with.
        examples: usize,
    },
    /// Squared error, the sum over all outputs.
    SumOfSquares,
}

impl LossKind {
    /// The loss that the examples of this data are learned by.
    pub(crate) fn of(data: &DataConfig) -> Self {
        match data {
            DataConfig::Quadratics(_) => Self::SumOfSquares,
            data if data.is_classification() => Self::CrossEntropy,
            _ => Self::SquaredError,
        }
    }
}

/// The loss of `outputs` against `targets`, both `[rows, width]`, of one problem or of several side by side.
pub(crate) struct Loss {
    kind: LossKind,
    abreast: usize,
    pub(crate) width: usize,
    pub(crate) outputs: Feature,
    pub(crate) targets: Slot,
    /// The loss; of problems side by side, one of each.
    pub(crate) value: Slot,
}

impl Loss {
    pub(crate) fn plan(
        planner: &mut Planner,
        kind: LossKind,
        rows: usize,
        outputs: Feature,
    ) -> Self {
        Self::plan_side_by_side(planner, kind, rows, 1, outputs)
    }

    /// As [`Loss::plan`], of `abreast` problems, each with a lane of every number.
    pub(crate) fn plan_side_by_side(
        planner: &mut Planner,
        kind: LossKind,
        rows: usize,
        abreast: usize,
        outputs: Feature,
    ) -> Self {
        let sums_squares = matches!(kind, LossKind::SquaredError | LossKind::SumOfSquares);
        assert!(abreast == 1 || sums_squares, "sums of squares alone are taken side by side");
        let width = outputs.value.len() / abreast / rows;
        let targets = planner.slot(outputs.value.len(), false);
        let value = planner.slot(abreast, false);
        Self { kind, abreast, width, outputs, targets, value }
    }

    /// Which pairs count, of so many examples of each class.
    fn balance(&self, examples: usize) -> Balance {
        Balance { classes: self.width / examples, examples }
    }

    /// What a sum of squares is divided by.
    fn divisor(&self) -> usize {
        if self.kind == LossKind::SumOfSquares { 1 } else { self.targets.len() / self.abreast }
    }

    /// Turns a row's outputs into what speaks for each of them, from 0 to 1: probabilities, of a softmax or one by one; or
    /// outputs that were to be 0 or 1.
    pub(crate) fn score(&self, row: &mut [f64]) {
        match self.kind {
            LossKind::CrossEntropy => {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.iter_mut().for_each(|output| *output = libm::exp(*output - largest));
                let total: f64 = row.iter().sum();
                row.iter_mut().for_each(|output| *output /= total);
            }
            LossKind::BinaryCrossEntropy | LossKind::BalancedPairs { .. } => {
                row.iter_mut().for_each(|output| *output = 1.0 / (1.0 + libm::exp(-*output)));
            }
            LossKind::SquaredError | LossKind::SumOfSquares => {}
        }
    }

    /// Whether a row's outputs stand for classes, one of which is right: not in regression, which has one output, nor in
    /// a quadratic.
    pub(crate) fn tells_apart(&self) -> bool {
        self.width > 1 && self.abreast == 1 && self.kind != LossKind::SumOfSquares
    }
}

impl<T: Real> Layer<T> for Loss {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let inputs = [self.outputs.value, self.targets];
        match self.kind {
            LossKind::CrossEntropy => {
                pass.nonlinear(&CrossEntropy { ways: self.width }, &inputs, self.value)
            }
            LossKind::BinaryCrossEntropy => {
                pass.nonlinear(&BinaryCrossEntropy, &inputs, self.value);
            }
            LossKind::BalancedPairs { examples } => {
                let op = BalancedCrossEntropy(self.balance(examples));
                pass.nonlinear(&op, &inputs, self.value);
            }
            LossKind::SquaredError | LossKind::SumOfSquares => {
                pass.nonlinear(&SquaredError { divisor: self.divisor() }, &inputs, self.value);
            }
        }
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let inputs = [self.outputs.value, self.targets];
        let cotangent = self.outputs.output_cotangent();
        match self.kind {
            LossKind::CrossEntropy => {
                pass.nonlinear(&CrossEntropyBackward { ways: self.width }, &inputs, cotangent);
            }
            LossKind::BinaryCrossEntropy => {
                pass.nonlinear(&BinaryCrossEntropyBackward, &inputs, cotangent);
            }
            LossKind::BalancedPairs { examples } => {
                let op = BalancedCrossEntropyBackward(self.balance(examples));
                pass.nonlinear(&op, &inputs, cotangent);
            }
            LossKind::SquaredError | LossKind::SumOfSquares => {
                let backward = SquaredErrorBackward { divisor: self.divisor() };
                pass.nonlinear(&backward, &inputs, cotangent);
            }
        }
    }
}
