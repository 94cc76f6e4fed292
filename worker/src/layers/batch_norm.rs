//! Batch norm with the batch's own statistics, a ReLU, and a max pool if there is one.

use super::{Feature, Layer, Parameter};
use crate::kernels::{Places, Real};
use crate::ops::{
    BatchStatistics, InputCotangent, NormaliseRectify, ParameterSums, Pass, Planner, Slot,
};

/// y = max(0, γ (x − μ) / √(σ² + ε) + β), over all rows of `[rows, channels]`; of the windows of 2×2 of images that are
/// pooled the maximum, an odd last row or column falling off.
pub(crate) struct BatchNormRelu {
    places: Places,
    x: Feature,
    statistics: Slot,
    /// (γ, β).
    affine: Parameter,
    pub(crate) y: Feature,
}

impl BatchNormRelu {
    pub(crate) fn plan(planner: &mut Planner, places: Places, x: Feature, moves: bool) -> Self {
        let grid = places.grid();
        let gamma = Parameter::plan(planner, grid.channels, moves);
        let beta = Parameter::plan(planner, grid.channels, moves);
        let affine = Parameter {
            value: gamma.value.joined(beta.value),
            gradient: gamma.gradient.joined(beta.gradient),
        };
        let statistics = planner.statistics(grid, x.value.moves());
        let moves = moves || x.value.moves();
        let in_place = !planner.keeps_values() && matches!(places, Places::Rows(_));
        let y = match x.cotangent {
            Some(_) if in_place => {
                Feature { value: planner.slot(places.pooled_len(), moves), cotangent: x.cotangent }
            }
            _ => Feature::plan(planner, places.pooled_len(), moves),
        };
        Self { places, x, statistics, affine, y }
    }
}

impl<T: Real> Layer<T> for BatchNormRelu {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.statistics(&BatchStatistics(self.places.grid()), self.x.value, self.statistics);
        let inputs = [self.x.value, self.statistics, self.affine.value];
        pass.nonlinear(&NormaliseRectify(self.places), &inputs, self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        let [x, statistics, affine] = [self.x.value, self.statistics, self.affine.value];
        pass.nonlinear(
            &ParameterSums(self.places),
            &[x, statistics, affine, dy],
            self.affine.gradient,
        );
        if self.x.cotangent == self.y.cotangent {
            let inputs = [x, statistics, affine, self.affine.gradient];
            pass.in_place(&InputCotangent(self.places), &inputs, dy);
        } else if let Some(dx) = self.x.cotangent {
            let inputs = [x, statistics, affine, dy, self.affine.gradient];
            pass.nonlinear(&InputCotangent(self.places), &inputs, dx);
        }
    }
}
