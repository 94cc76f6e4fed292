//! Each channel's mean over rows and columns.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{MeanOverPositions, Pass, Planner, SpreadOverPositions};

/// `[images, positions, channels]` → `[images, channels]`.
pub(crate) struct SpatialMean {
    positions: usize,
    channels: usize,
    x: Feature,
    pub(crate) y: Feature,
}

impl SpatialMean {
    pub(crate) fn plan(
        planner: &mut Planner,
        positions: usize,
        channels: usize,
        x: Feature,
    ) -> Self {
        let y = Feature::plan(planner, x.value.len() / positions, x.value.moves());
        Self { positions, channels, x, y }
    }
}

impl<T: Real> Layer<T> for SpatialMean {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = MeanOverPositions { positions: self.positions, channels: self.channels };
        pass.linear(&op, self.x.value, self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        if let Some(dx) = self.x.cotangent {
            let op = SpreadOverPositions { positions: self.positions, channels: self.channels };
            pass.linear(&op, self.y.output_cotangent(), dx);
        }
    }
}
