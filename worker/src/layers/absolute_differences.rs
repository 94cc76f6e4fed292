//! Absolute differences of every query and every support example.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{AbsoluteDifference, AbsoluteDifferenceCotangent, Pass, Planner, Side};

/// y = |aᵢ − bⱼ|, number by number: a is `[rows, width]`, b `[columns, width]`, y `[rows, columns, width]`.
pub(crate) struct AbsoluteDifferences {
    width: usize,
    a: Feature,
    b: Feature,
    pub(crate) y: Feature,
}

impl AbsoluteDifferences {
    pub(crate) fn plan(planner: &mut Planner, width: usize, a: Feature, b: Feature) -> Self {
        let len = a.value.len() / width * b.value.len();
        let moves = a.value.moves() || b.value.moves();
        Self { width, a, b, y: Feature::plan(planner, len, moves) }
    }
}

impl<T: Real> Layer<T> for AbsoluteDifferences {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = AbsoluteDifference { width: self.width };
        pass.nonlinear(&op, &[self.a.value, self.b.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        for (own, other, side) in [(self.a, self.b, Side::Rows), (self.b, self.a, Side::Columns)] {
            let op = AbsoluteDifferenceCotangent { width: self.width, side };
            pass.nonlinear(&op, &[dy, own.value, other.value], own.output_cotangent());
        }
    }
}
