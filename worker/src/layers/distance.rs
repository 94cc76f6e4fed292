//! How far every query is from every prototype.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{DistanceCotangent, NegativeSquaredDistance, Pass, Planner, Side};

/// y = −‖aᵢ − bⱼ‖²: a is `[rows, width]`, b `[columns, width]`, y `[rows, columns]`.
pub(crate) struct NegativeSquaredDistances {
    width: usize,
    a: Feature,
    b: Feature,
    pub(crate) y: Feature,
}

impl NegativeSquaredDistances {
    pub(crate) fn plan(planner: &mut Planner, width: usize, a: Feature, b: Feature) -> Self {
        let (rows, columns) = (a.value.len() / width, b.value.len() / width);
        let moves = a.value.moves() || b.value.moves();
        Self { width, a, b, y: Feature::plan(planner, rows * columns, moves) }
    }
}

impl<T: Real> Layer<T> for NegativeSquaredDistances {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = NegativeSquaredDistance { width: self.width };
        pass.nonlinear(&op, &[self.a.value, self.b.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        for (own, other, side) in [(self.a, self.b, Side::Rows), (self.b, self.a, Side::Columns)] {
            let op = DistanceCotangent { width: self.width, side };
            pass.nonlinear(&op, &[dy, own.value, other.value], own.output_cotangent());
        }
    }
}
