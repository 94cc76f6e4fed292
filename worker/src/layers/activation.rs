//! An element-wise non-linearity.

use lyceum_common::config::Activation;

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{ActivationBackward, ActivationForward, Pass, Planner};

/// y = f(x).
pub(crate) struct ActivationLayer {
    activation: Activation,
    x: Feature,
    pub(crate) y: Feature,
}

impl ActivationLayer {
    pub(crate) fn plan(planner: &mut Planner, activation: Activation, x: Feature) -> Self {
        Self { activation, x, y: Feature::plan(planner, x.value.len(), x.value.moves()) }
    }
}

impl<T: Real> Layer<T> for ActivationLayer {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.nonlinear(&ActivationForward(self.activation), &[self.x.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        if let Some(dx) = self.x.cotangent {
            let inputs = [self.y.value, self.y.output_cotangent()];
            pass.nonlinear(&ActivationBackward(self.activation), &inputs, dx);
        }
    }
}
