//! Convolution 3×3 with a border of one, ahead of a batch norm.

use super::{Feature, Layer, Parameter, Products};
use crate::kernels::{Gather, Outer, Real};
use crate::ops::{ConvolutionShape, Pass, Planner, Slot, TransposeTaps};

/// y = x * W + b. Images are channels last; W is `[3, 3, inputs, outputs]`, in panels.
///
/// The batch norm behind it takes b away again, so the loss does not depend on b: its gradient is zero, exactly, and
/// is never computed.
pub(crate) struct Convolution {
    shape: ConvolutionShape,
    forward: Gather,
    weight_gradient: Outer,
    input: Option<InputGradient>,
    x: Feature,
    weight: Parameter,
    bias: Parameter,
    pub(crate) y: Feature,
}

/// What the input's cotangent is computed with.
struct InputGradient {
    gather: Gather,
    transpose: TransposeTaps,
    transposed: Slot,
    dx: Slot,
}

impl Convolution {
    pub(crate) fn plan(
        planner: &mut Planner,
        shape: ConvolutionShape,
        x: Feature,
        moves: bool,
    ) -> Self {
        let weight = Parameter::plan(planner, shape.weights(), moves);
        let bias = Parameter::plan(planner, shape.outputs, moves);
        let y = Feature::plan(planner, shape.output_len(), moves || x.value.moves());
        let forward = shape.forward();
        let weight_gradient = Outer::of(&forward);
        let input = x.cotangent.map(|dx| InputGradient {
            gather: shape.input_gradient(),
            transpose: TransposeTaps {
                taps: ConvolutionShape::taps(),
                rows: shape.inputs,
                columns: shape.outputs,
            },
            transposed: planner.slot(shape.weights(), moves),
            dx,
        });
        Self { shape, forward, weight_gradient, input, x, weight, bias, y }
    }
}

impl<T: Real> Layer<T> for Convolution {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.bilinear(
            &self.forward,
            Some(self.bias.value),
            self.x.value,
            self.weight.value,
            self.y.value,
        );
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        pass.bilinear(&self.weight_gradient, None, self.x.value, dy, self.weight.gradient);
        if let Some(input) = &self.input {
            pass.linear(&input.transpose, self.weight.value, input.transposed);
            pass.bilinear(&input.gather, None, dy, input.transposed, input.dx);
        }
    }

    fn products(&self) -> Products {
        let nominal = self.shape.output_len() * ConvolutionShape::taps() * self.shape.inputs;
        Products { nominal, input_gradient: self.input.is_some() }
    }
}
