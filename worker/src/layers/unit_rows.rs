//! Rows of one length, whose products are the cosines between them.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{Pass, Planner, UnitRow, UnitRowBackward};

/// y = s x / ‖x‖, row by row of `[rows, width]`.
pub(crate) struct UnitRows {
    width: usize,
    /// s.
    scale: f32,
    x: Feature,
    pub(crate) y: Feature,
}

impl UnitRows {
    /// Rows of length `scale`.
    pub(crate) fn plan(planner: &mut Planner, width: usize, scale: f32, x: Feature) -> Self {
        Self { width, scale, x, y: Feature::plan(planner, x.value.len(), x.value.moves()) }
    }
}

impl<T: Real> Layer<T> for UnitRows {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = UnitRow { width: self.width, scale: self.scale };
        pass.nonlinear(&op, &[self.x.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let inputs = [self.x.value, self.y.value, self.y.output_cotangent()];
        let op = UnitRowBackward { width: self.width, scale: self.scale };
        pass.nonlinear(&op, &inputs, self.x.output_cotangent());
    }
}
