//! Each channel's sum or mean over a group: an image's positions, or a class's examples.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{Pass, Planner, SpreadOverGroup, SumOverGroup};

/// `[groups, members, channels]` → `[groups, channels]`.
pub(crate) struct GroupSum {
    /// As many as there are members for a mean, one for a sum.
    divisor: usize,
    members: usize,
    channels: usize,
    x: Feature,
    pub(crate) y: Feature,
}

impl GroupSum {
    /// The sum over the members of each group.
    pub(crate) fn sum(planner: &mut Planner, members: usize, channels: usize, x: Feature) -> Self {
        let y = Feature::plan(planner, x.value.len() / members, x.value.moves());
        Self { divisor: 1, members, channels, x, y }
    }

    /// The mean over the members of each group.
    pub(crate) fn mean(planner: &mut Planner, members: usize, channels: usize, x: Feature) -> Self {
        Self { divisor: members, ..Self::sum(planner, members, channels, x) }
    }
}

impl<T: Real> Layer<T> for GroupSum {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let op =
            SumOverGroup { divisor: self.divisor, members: self.members, channels: self.channels };
        pass.linear(&op, self.x.value, self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        if let Some(dx) = self.x.cotangent {
            let op = SpreadOverGroup {
                divisor: self.divisor,
                members: self.members,
                channels: self.channels,
            };
            pass.linear(&op, self.y.output_cotangent(), dx);
        }
    }
}
