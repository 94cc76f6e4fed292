//! Layers: a forward and a backward program each, side by side, over slots that were planned once.

mod activation;
mod all_pairs;
mod attention;
mod batch_norm;
mod convolution;
mod convolution_block;
mod dense;
mod dense_side_by_side;
mod full_context;
mod group_sum;
mod loss;
mod pairs_block;
mod unit_rows;

pub(crate) use activation::ActivationLayer;
pub(crate) use all_pairs::{AllPairs, PairKind};
pub(crate) use attention::ClassAttention;
pub(crate) use convolution_block::{BlockInput, ConvolutionBlock};
pub(crate) use dense::Dense;
pub(crate) use dense_side_by_side::{DenseSideBySide, Rectified};
pub(crate) use full_context::{AttendingLstm, BidirectionalLstm, Fork};
pub(crate) use group_sum::GroupSum;
pub(crate) use loss::{Loss, LossKind};
pub(crate) use pairs_block::PairsBlock;
pub(crate) use unit_rows::UnitRows;

use std::ops::Range;

use crate::kernels::Real;
use crate::ops::{Pass, Planner, Slot};

/// A part of a network. `forward` computes its output from its input; `backward` the cotangents of its input and the
/// gradients of its parameters from the cotangent of its output.
pub(crate) trait Layer<T: Real>: Send + Sync {
    fn forward(&self, pass: &mut dyn Pass<T>);
    fn backward(&self, pass: &mut dyn Pass<T>);

    /// Multiplications with an addition each: of `forward`, and of the part of `backward` that computes the input's
    /// cotangent and that which computes the weights' gradient.
    fn products(&self) -> Products {
        Products::default()
    }
}

/// Products of a layer, for counting operations: convolutions and linear layers have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Products {
    /// Of one product of the layer's size, borders counted as if they were not zero.
    pub(crate) nominal: usize,
    /// Whether the input has a cotangent to compute.
    pub(crate) input_gradient: bool,
}

/// What flows between layers: a value, and the loss's gradient by it. The network's input has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    pub(crate) value: Slot,
    pub(crate) cotangent: Option<Slot>,
}

impl Feature {
    /// A layer's output: it has a cotangent.
    pub(crate) fn plan(planner: &mut Planner, len: usize, moves: bool) -> Self {
        Self { value: planner.slot(len, moves), cotangent: Some(planner.slot(len, true)) }
    }

    /// The numbers of `range` alone.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        let cotangent = self.cotangent.map(|slot| slot.part(range.clone()));
        Self { value: self.value.part(range), cotangent }
    }

    /// The cotangent of an output.
    pub(crate) fn output_cotangent(&self) -> Slot {
        self.cotangent.expect("only a network's input has no cotangent")
    }
}

/// A parameter and the loss's gradient by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) value: Slot,
    pub(crate) gradient: Slot,
}

impl Parameter {
    pub(crate) fn plan(planner: &mut Planner, len: usize, moves: bool) -> Self {
        let (value, gradient) = planner.parameter(len, moves);
        Self { value, gradient }
    }
}
