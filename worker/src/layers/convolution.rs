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
    input: Option<InputGradient>,
    x: Feature,
    weight: Parameter,
    bias: Parameter,
    /// Whether y moves with a parameter.
    pub(super) y_moves: bool,
}

/// What the input's cotangent is computed with.
struct InputGradient {
    transpose: TransposeTaps,
    transposed: Slot,
    dx: Slot,
}

/// Where some images are read and written on the way back.
pub(super) struct Gathers {
    weight_gradient: Outer,
    input_gradient: Option<Gather>,
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
        let input = x.cotangent.map(|dx| InputGradient {
            transpose: TransposeTaps {
                taps: ConvolutionShape::taps(),
                rows: shape.inputs,
                columns: shape.outputs,
            },
            transposed: planner.slot(shape.weights(), moves),
            dx,
        });
        Self { shape, input, x, weight, bias, y_moves: moves || x.value.moves() }
    }

    /// Numbers of an image's y.
    pub(super) fn output_plane(&self) -> usize {
        self.shape.output_len() / self.shape.images
    }

    /// The way forward of so many images.
    pub(super) fn forward_gather(&self, images: usize) -> Gather {
        ConvolutionShape { images, ..self.shape }.forward()
    }

    /// The way back of so many images.
    pub(super) fn gathers(&self, images: usize) -> Gathers {
        let shape = ConvolutionShape { images, ..self.shape };
        Gathers {
            weight_gradient: Outer::of(&shape.forward()),
            input_gradient: self.input.as_ref().map(|_| shape.input_gradient()),
        }
    }

    /// y of some images.
    pub(super) fn forward<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        gather: &Gather,
        y: Slot,
    ) {
        let x = self.part(self.x.value, images);
        pass.bilinear(gather, Some(self.bias.value), x, self.weight.value, y);
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
        gathers: &Gathers,
        dy: Slot,
    ) {
        let (x, gradient) = (self.part(self.x.value, images), self.weight.gradient);
        if images.start == 0 {
            pass.bilinear(&gathers.weight_gradient, None, x, dy, gradient);
        } else {
            pass.bilinear(&FurtherOuter(&gathers.weight_gradient), None, x, dy, gradient);
        }
        if let (Some(input), Some(gather)) = (&self.input, &gathers.input_gradient) {
            let dx = self.part(input.dx, images);
            pass.bilinear(gather, None, dy, input.transposed, dx);
        }
    }

    /// What is some images' in a slot of all.
    fn part(&self, slot: Slot, images: &Range<usize>) -> Slot {
        let each = slot.len() / self.shape.images;
        slot.part(images.start * each..images.end * each)
    }

    pub(super) fn products(&self) -> Products {
        let nominal = self.shape.output_len() * ConvolutionShape::taps() * self.shape.inputs;
        Products { nominal, input_gradient: self.input.is_some() }
    }
}
