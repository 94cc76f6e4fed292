//! A linear layer.

use super::{Feature, Layer, Parameter, Products};
use crate::kernels::{Gather, Grid, Outer, Real};
use crate::ops::{Pass, Planner, Slot, SumRows, TransposeTaps};

/// y = x W + b, or without b: x is `[rows, inputs]`, W `[inputs, outputs]`, in panels.
pub(crate) struct Dense {
    rows: usize,
    inputs: usize,
    outputs: usize,
    forward: Gather,
    weight_gradient: Outer,
    input: Option<InputGradient>,
    x: Feature,
    weight: Parameter,
    bias: Option<Parameter>,
    pub(crate) y: Feature,
}

/// What the input's cotangent is computed with.
struct InputGradient {
    product: Gather,
    transposed: Slot,
    dx: Slot,
}

impl Dense {
    pub(crate) fn plan(
        planner: &mut Planner,
        rows: usize,
        outputs: usize,
        x: Feature,
        moves: bool,
    ) -> Self {
        Self::plan_with(planner, rows, outputs, x, moves, true)
    }

    /// As [`Dense::plan`], without a bias.
    pub(crate) fn plan_unbiased(
        planner: &mut Planner,
        rows: usize,
        outputs: usize,
        x: Feature,
        moves: bool,
    ) -> Self {
        Self::plan_with(planner, rows, outputs, x, moves, false)
    }

    fn plan_with(
        planner: &mut Planner,
        rows: usize,
        outputs: usize,
        x: Feature,
        moves: bool,
        biased: bool,
    ) -> Self {
        let inputs = x.value.len() / rows;
        let weight = Parameter::plan(planner, inputs * outputs, moves);
        let bias = biased.then(|| Parameter::plan(planner, outputs, moves));
        let y = Feature::plan(planner, rows * outputs, moves || x.value.moves());
        let forward = Gather::matrix(rows, inputs, outputs);
        let weight_gradient = Outer::of(&forward);
        let input = x.cotangent.map(|dx| InputGradient {
            product: Gather::matrix(rows, outputs, inputs),
            transposed: planner.slot(inputs * outputs, moves),
            dx,
        });
        Self { rows, inputs, outputs, forward, weight_gradient, input, x, weight, bias, y }
    }
}

impl<T: Real> Layer<T> for Dense {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.bilinear(
            &self.forward,
            self.bias.map(|bias| bias.value),
            self.x.value,
            self.weight.value,
            self.y.value,
        );
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        pass.bilinear(&self.weight_gradient, None, self.x.value, dy, self.weight.gradient);
        if let Some(bias) = self.bias {
            let sum = SumRows(Grid { rows: self.rows, channels: self.outputs });
            pass.linear(&sum, dy, bias.gradient);
        }
        if let Some(input) = &self.input {
            let transpose = TransposeTaps { taps: 1, rows: self.inputs, columns: self.outputs };
            pass.linear(&transpose, self.weight.value, input.transposed);
            pass.bilinear(&input.product, None, dy, input.transposed, input.dx);
        }
    }

    fn products(&self) -> Products {
        Products {
            nominal: self.rows * self.inputs * self.outputs,
            input_gradient: self.input.is_some(),
        }
    }
}
