//! Convolution 3×3 with a border of one, ahead of a batch norm.

use std::ops::Range;

use super::{Feature, Parameter, Products};
use crate::kernels::{Gather, Outer, Real};
use crate::ops::{ConvolutionShape, FurtherOuter, Pass, Planner, Slot, TransposeTaps};

/// y = x * W + b. Images are channels last; W is `[3, 3, inputs, outputs]`, in panels.
///
/// The batch norm behind it takes b away again, so the loss does not depend on b: its gradient is zero, exactly, and
/// is never computed.
pub(super) struct Convolution {
    shape: ConvolutionShape,
    forward: Gather,
    input: Option<InputGradient>,
    x: Feature,
    weight: Parameter,
    bias: Parameter,
    pub(super) y: Slot,
}

/// What the input's cotangent is computed with.
struct InputGradient {
    transpose: TransposeTaps,
    transposed: Slot,
    dx: Slot,
}

/// How the gradients of some images are computed, however many there are of such images.
pub(super) struct Backward {
    weight: Outer,
    input: Option<Gather>,
}

impl Convolution {
    pub(super) fn plan(
        planner: &mut Planner,
        shape: ConvolutionShape,
        x: Feature,
        moves: bool,
    ) -> Self {
        let weight = Parameter::plan(planner, shape.weights(), moves);
        let bias = Parameter::plan(planner, shape.outputs, moves);
        let y = planner.slot(shape.output_len(), moves || x.value.moves());
        let input = x.cotangent.map(|dx| InputGradient {
            transpose: TransposeTaps {
                taps: ConvolutionShape::taps(),
                rows: shape.inputs,
                columns: shape.outputs,
            },
            transposed: planner.slot(shape.weights(), moves),
            dx,
        });
        Self { forward: shape.forward(), shape, input, x, weight, bias, y }
    }

    /// The way back of so many images.
    pub(super) fn backward_of(&self, images: usize) -> Backward {
        let shape = ConvolutionShape { images, ..self.shape };
        Backward {
            weight: Outer::of(&shape.forward()),
            input: self.input.as_ref().map(|_| shape.input_gradient()),
        }
    }

    pub(super) fn forward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        let [x, weight, bias] = [self.x.value, self.weight.value, self.bias.value];
        pass.bilinear(&self.forward, Some(bias), x, weight, self.y);
    }

    /// What the way back of all images needs.
    pub(super) fn prepare_backward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        if let Some(input) = &self.input {
            pass.linear(&input.transpose, self.weight.value, input.transposed);
        }
    }

    /// The way back of some images, the first ones first, from their ∂y.
    pub(super) fn backward<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        by: &Backward,
        dy: Slot,
    ) {
        let plane = self.shape.input_len() / self.shape.images;
        let places = images.start * plane..images.end * plane;
        let (x, gradient) = (self.x.value.part(places.clone()), self.weight.gradient);
        if images.start == 0 {
            pass.bilinear(&by.weight, None, x, dy, gradient);
        } else {
            pass.bilinear(&FurtherOuter(&by.weight), None, x, dy, gradient);
        }
        if let (Some(input), Some(gather)) = (&self.input, &by.input) {
            pass.bilinear(gather, None, dy, input.transposed, input.dx.part(places));
        }
    }

    pub(super) fn products(&self) -> Products {
        let nominal = self.shape.output_len() * ConvolutionShape::taps() * self.shape.inputs;
        Products { nominal, input_gradient: self.input.is_some() }
    }
}
