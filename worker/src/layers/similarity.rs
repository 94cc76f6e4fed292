//! Cosines of the angles between every two rows: rows of length one, and their products.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{DotProduct, DotProductCotangent, Pass, Planner, Side, UnitRow, UnitRowBackward};

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

/// y = a bᵀ: a is `[rows, width]`, b `[columns, width]`, y `[rows, columns]`.
pub(crate) struct Similarities {
    width: usize,
    a: Feature,
    b: Feature,
    pub(crate) y: Feature,
}

impl Similarities {
    pub(crate) fn plan(planner: &mut Planner, width: usize, a: Feature, b: Feature) -> Self {
        let (rows, columns) = (a.value.len() / width, b.value.len() / width);
        let moves = a.value.moves() || b.value.moves();
        Self { width, a, b, y: Feature::plan(planner, rows * columns, moves) }
    }
}

impl<T: Real> Layer<T> for Similarities {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = DotProduct { width: self.width };
        pass.nonlinear(&op, &[self.a.value, self.b.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        for (own, other, side) in [(self.a, self.b, Side::Rows), (self.b, self.a, Side::Columns)] {
            let op = DotProductCotangent { width: self.width, side };
            pass.nonlinear(&op, &[dy, other.value], own.output_cotangent());
        }
    }
}
