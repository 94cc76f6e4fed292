//! Each channel's mean over a group: an image's positions, or a class's examples.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{MeanOverGroup, Pass, Planner, SpreadOverGroup};

/// `[groups, members, channels]` → `[groups, channels]`.
pub(crate) struct GroupMean {
    members: usize,
    channels: usize,
    x: Feature,
    pub(crate) y: Feature,
}

impl GroupMean {
    pub(crate) fn plan(planner: &mut Planner, members: usize, channels: usize, x: Feature) -> Self {
        let y = Feature::plan(planner, x.value.len() / members, x.value.moves());
        Self { members, channels, x, y }
    }
}

impl<T: Real> Layer<T> for GroupMean {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op = MeanOverGroup { members: self.members, channels: self.channels };
        pass.linear(&op, self.x.value, self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        if let Some(dx) = self.x.cotangent {
            let op = SpreadOverGroup { members: self.members, channels: self.channels };
            pass.linear(&op, self.y.output_cotangent(), dx);
        }
    }
}
