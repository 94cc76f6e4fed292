//! A linear layer of sixteen problems side by side.

use super::{Feature, Layer, Parameter, Products};
use crate::kernels::{Grid, LANES, Real, SideBySide};
use crate::ops::{Pass, Planner, SumRows};

/// y = x Wᵀ + b, or its positive part: x is `[rows, inputs]`, W `[outputs, inputs]`, each number in sixteen lanes.
pub(crate) struct DenseSideBySide {
    rows: usize,
    outputs: usize,
    rectified: Rectified,
    forward: SideBySide,
    input_gradient: SideBySide,
    weight_gradient: SideBySide,
    x: Feature,
    weight: Parameter,
    bias: Parameter,
    pub(crate) y: Feature,
}

/// Which of a layer's features are positive parts: their cotangents are then those of what the parts were taken of, and
/// neither takes a pass of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rectified {
    pub(crate) x: bool,
    pub(crate) y: bool,
}

impl DenseSideBySide {
    pub(crate) fn plan(
        planner: &mut Planner,
        rows: usize,
        outputs: usize,
        x: Feature,
        moves: bool,
        rectified: Rectified,
    ) -> Self {
        let inputs = x.value.len() / LANES / rows;
        let weight = Parameter::plan(planner, inputs * outputs * LANES, moves);
        let bias = Parameter::plan(planner, outputs * LANES, moves);
        Self {
            rows,
            outputs,
            rectified,
            forward: SideBySide::forward(rows, inputs, outputs),
            input_gradient: SideBySide::input_gradient(rows, inputs, outputs),
            weight_gradient: SideBySide::weight_gradient(rows, inputs, outputs),
            x,
            weight,
            bias,
            y: Feature::plan(planner, rows * outputs * LANES, moves || x.value.moves()),
        }
    }
}

impl<T: Real> Layer<T> for DenseSideBySide {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let (x, weight, bias) = (self.x.value, self.weight.value, self.bias.value);
        if self.rectified.y {
            pass.gated(&self.forward, Some(bias), [x, weight], self.y.value, self.y.value);
        } else {
            pass.bilinear(&self.forward, Some(bias), x, weight, self.y.value);
        }
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        pass.bilinear(&self.weight_gradient, None, dy, self.x.value, self.weight.gradient);
        let grid = Grid { rows: self.rows, channels: self.outputs * LANES };
        pass.linear(&SumRows(grid), dy, self.bias.gradient);
        let Some(dx) = self.x.cotangent else { return };
        if self.rectified.x {
            let (factors, gate) = ([dy, self.weight.value], self.x.value);
            pass.gated(&self.input_gradient, None, factors, gate, dx);
        } else {
            pass.bilinear(&self.input_gradient, None, dy, self.weight.value, dx);
        }
    }

    fn products(&self) -> Products {
        let nominal = self.forward.products();
        Products { nominal, input_gradient: self.x.cotangent.is_some() }
    }
}
