//! Attention over the support examples, class by class.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{LogSoftmax, LogSoftmaxBackward, LogSumExp, LogSumExpBackward, Pass, Planner};

/// y = ln Σ of softmax(x) over the examples of each class: x is `[rows, ways, shots]`, its softmax over all ways and
/// shots, y `[rows, ways]`.
///
/// Sums are taken within classes first, then over them: no attention is ever divided by, however small.
pub(crate) struct ClassAttention {
    ways: usize,
    shots: usize,
    x: Feature,
    /// ln Σ eˣ of each class.
    classes: Feature,
    pub(crate) y: Feature,
}

impl ClassAttention {
    pub(crate) fn plan(planner: &mut Planner, ways: usize, shots: usize, x: Feature) -> Self {
        let (len, moves) = (x.value.len() / shots, x.value.moves());
        let classes = Feature::plan(planner, len, moves);
        Self { ways, shots, x, classes, y: Feature::plan(planner, len, moves) }
    }
}

impl<T: Real> Layer<T> for ClassAttention {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let (of_class, of_all) = (LogSumExp { width: self.shots }, LogSoftmax { width: self.ways });
        pass.nonlinear(&of_class, &[self.x.value], self.classes.value);
        pass.nonlinear(&of_all, &[self.classes.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let of_all = LogSoftmaxBackward { width: self.ways };
        let inputs = [self.classes.value, self.y.output_cotangent()];
        pass.nonlinear(&of_all, &inputs, self.classes.output_cotangent());
        let of_class = LogSumExpBackward { width: self.shots };
        let inputs = [self.x.value, self.classes.output_cotangent()];
        pass.nonlinear(&of_class, &inputs, self.x.output_cotangent());
    }
}
