//! Max pool 2×2.

use super::{Feature, Layer};
use crate::kernels::{Pool, Real};
use crate::ops::{MaxPool, MaxPoolBackward, Pass, Planner};

/// y = the maximum of each window of 2×2; an odd last row or column falls off.
pub(crate) struct MaxPoolLayer {
    pool: Pool,
    x: Feature,
    pub(crate) y: Feature,
}

impl MaxPoolLayer {
    pub(crate) fn plan(planner: &mut Planner, pool: Pool, x: Feature) -> Self {
        Self { pool, x, y: Feature::plan(planner, pool.output_len(), x.value.moves()) }
    }
}

impl<T: Real> Layer<T> for MaxPoolLayer {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.nonlinear(&MaxPool(self.pool), &[self.x.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        if let Some(dx) = self.x.cotangent {
            pass.nonlinear(
                &MaxPoolBackward(self.pool),
                &[self.x.value, self.y.output_cotangent()],
                dx,
            );
        }
    }
}
