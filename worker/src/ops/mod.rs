//! The primitives that a network's forward and backward passes are programs of, and the interpreters of such programs.
//!
//! A program is Rust code that calls a [`Pass`]. One interpreter computes values; another the tangents along a
//! direction, reading the values that the first one left. The tangent of the backward program along v is the
//! Hessian-vector product. A linear op is its own tangent, a bilinear one is applied twice, and a non-linear one has a
//! rule of its own.

mod absolute_difference;
mod activation;
mod attention_lstm;
mod balanced_pairs;
mod batch_normalisation;
mod binary_cross_entropy;
mod convolution;
mod convolve;
mod distance;
mod dot_product;
mod linear;
mod log_sum_exp;
mod loss;
mod lstm_cell;
mod lstm_sequence;
mod pairs;
mod partial_sums;
mod pass;
mod planes;
mod step;
mod unit_rows;

pub(crate) use absolute_difference::{AbsoluteDifference, AbsoluteDifferenceCotangent};
pub(crate) use activation::{ActivationBackward, ActivationForward};
pub(crate) use attention_lstm::{AttentionLstm, AttentionLstmBackward};
pub(crate) use balanced_pairs::{Balance, BalancedCrossEntropy, BalancedCrossEntropyBackward};
pub(crate) use batch_normalisation::{
    BatchStatistics, InputCotangent, NormaliseRectify, ParameterSums,
};
pub(crate) use binary_cross_entropy::{BinaryCrossEntropy, BinaryCrossEntropyBackward};
pub(crate) use convolution::{ConvolutionShape, Share};
pub(crate) use convolve::{
    Convolve, ConvolveGradient, FilterGradient, FurtherGradient, TransformFilters,
};
pub(crate) use distance::{DistanceCotangent, NegativeSquaredDistance, Side};
pub(crate) use dot_product::{DotProduct, DotProductCotangent};
pub(crate) use linear::{SpreadOverGroup, SumOverGroup, SumRows, TransposeTaps};
pub(crate) use log_sum_exp::{LogSoftmax, LogSoftmaxBackward, LogSumExp, LogSumExpBackward};
pub(crate) use loss::{CrossEntropy, CrossEntropyBackward, SquaredError, SquaredErrorBackward};
pub(crate) use lstm_sequence::{LstmSequence, LstmSequenceBackward, RowCotangent, SumOfThree};
pub(crate) use pairs::PairSums;
pub(crate) use partial_sums::inner_product;
pub(crate) use pass::{InductiveValues, Pass, Tangents, Values};
pub(crate) use planes::{Aligned, Plane, Planner, Slot, Statistics};
pub(crate) use step::{From, Part, Step, take_step};
pub(crate) use unit_rows::{UnitRow, UnitRowBackward};

use crate::kernels::{
    Gate, Gather, InstructionSet, LANES, Outcome, Outer, Real, SideBySide, outer_product, product,
    side_by_side,
};

/// out = A x.
pub(crate) trait Linear<T: Real> {
    /// Overwrites `out`.
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]);

    /// What a profile calls it: its type.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// out = start + Σ B(a, b).
pub(crate) trait Bilinear<T: Real> {
    /// Overwrites `out` with the sum over `terms`, each `(a, b)`, from `start` on (zero where absent). A tangent has
    /// two terms, `(ȧ, b)` and `(a, ḃ)`, and one sweep over `out`.
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    );

    /// A step along the sum over `terms`, for which there is `room`: `out = from + scale · Σ`.
    fn apply_step(
        &self,
        instruction_set: InstructionSet,
        terms: &[(&[T], &[T])],
        (from, scale): Part<'_, T>,
        room: &mut [T],
        out: &mut [T],
    ) {
        self.apply(instruction_set, None, terms, room);
        take_step(instruction_set, (from, scale), room, out);
    }

    /// Products, each with an addition, of one term.
    fn products(&self) -> usize;

    /// What a profile calls it: its type.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// out = start + Σ B(a, b) where a gate is positive, and zero elsewhere: a product with ReLU, forward and backward.
pub(crate) trait Gated<T: Real>: Bilinear<T> {
    /// As [`Bilinear::apply`], but for what `gate` shuts out.
    fn apply_gated(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        gate: Gate<'_, T>,
        out: &mut [T],
    );
}

/// out = f(x₁, …): an op with a tangent rule of its own.
pub(crate) trait Nonlinear<T: Real> {
    /// Overwrites `out`.
    fn value(&self, instruction_set: InstructionSet, x: &[&[T]], out: &mut [T]);

    /// Overwrites `out` with the derivative of f at `x` along `x_dot`; `y` is f's value there.
    ///
    /// # Panics
    /// Where the op has no rule, so that a network with it has a gradient and no Hessian-vector product. Metric
    /// learners ask for none.
    fn tangent(
        &self,
        _instruction_set: InstructionSet,
        _x: &[&[T]],
        _y: &[T],
        _x_dot: &[&[T]],
        _out: &mut [T],
    ) {
        unreachable!("an op of metric learners alone, which take no Hessian-vector product");
    }

    /// What a profile calls it: its type.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

impl<T: Real> Bilinear<T> for Gather {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        product(instruction_set, self, start, terms, out);
    }

    fn products(&self) -> usize {
        Self::products(self)
    }
}

impl<T: Real> Bilinear<T> for Outer {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        assert!(start.is_none(), "a gradient by weights starts from zero");
        outer_product(instruction_set, self, terms, out);
    }

    fn products(&self) -> usize {
        Self::products(self)
    }
}

impl<T: Real> Bilinear<T> for SideBySide {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        let outcome = Outcome::Through(Gate::Open);
        side_by_side(instruction_set, self, start, terms, outcome, out);
    }

    fn apply_step(
        &self,
        instruction_set: InstructionSet,
        terms: &[(&[T], &[T])],
        (from, scale): Part<'_, T>,
        _: &mut [T],
        out: &mut [T],
    ) {
        side_by_side(instruction_set, self, None, terms, Outcome::Step { from, scale }, out);
    }

    /// Of all problems that lie side by side.
    fn products(&self) -> usize {
        LANES * Self::products(self)
    }
}

impl<T: Real> Gated<T> for SideBySide {
    fn apply_gated(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        gate: Gate<'_, T>,
        out: &mut [T],
    ) {
        side_by_side(instruction_set, self, start, terms, Outcome::Through(gate), out);
    }
}

/// The inputs of an op that takes exactly `N`.
fn inputs<'x, T, const N: usize>(x: &[&'x [T]]) -> [&'x [T]; N] {
    x.try_into().expect("a program gives an op as many inputs as it takes")
}
