//! Batch norm with the batch's own statistics, a ReLU, and a max pool if there is one.

use std::ops::Range;

use super::{Feature, Parameter};
use crate::kernels::{Places, Real, SomeRows};
use crate::ops::{
    BatchStatistics, InputCotangent, NormaliseRectify, ParameterSums, Pass, Planner, Slot,
};

/// y = max(0, γ (x − μ) / √(σ² + ε) + β), over all rows of `[rows, channels]`; of the windows of 2×2 of images that are
/// pooled the maximum, an odd last row or column falling off.
pub(super) struct BatchNormRelu {
    images: usize,
    places: Places,
    pub(super) statistics: Slot,
    /// (γ, β).
    affine: Parameter,
    pub(super) y: Feature,
}

impl BatchNormRelu {
    /// `is_last` says that a layer of another kind reads y. Another block reads some images of y for the last time before it
    /// writes their cotangents, which can take their place.
    pub(super) fn plan(
        planner: &mut Planner,
        images: usize,
        places: Places,
        (x_moves, moves): (bool, bool),
        is_last: bool,
    ) -> Self {
        let grid = places.grid();
        let gamma = Parameter::plan(planner, grid.channels, moves);
        let beta = Parameter::plan(planner, grid.channels, moves);
        let affine = Parameter {
            value: gamma.value.joined(beta.value),
            gradient: gamma.gradient.joined(beta.gradient),
        };
        let statistics = planner.statistics(grid, x_moves);
        let (len, y_moves) = (places.pooled_len(), moves || x_moves);
        let y = if is_last || planner.keeps_values() {
            Feature::plan(planner, len, y_moves)
        } else {
            let value = planner.slot(len, y_moves);
            Feature { value, cotangent: Some(value) }
        };
        Self { images, places, statistics, affine, y }
    }

    pub(super) fn all_images(&self) -> Range<usize> {
        0..self.images
    }

    /// (μ, r), once x of the last images is given, those before them before.
    pub(super) fn statistics<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        x: Slot,
    ) {
        let grid = |images: usize| self.places.of_images(self.images, images).grid();
        let some = SomeRows {
            grid: grid(images.len()),
            before: grid(images.start).rows,
            all: grid(self.images).rows,
        };
        pass.nonlinear(&BatchStatistics(some), &[x], self.statistics);
    }

    /// y of some images.
    pub(super) fn forward<T: Real>(&self, pass: &mut dyn Pass<T>, images: &Range<usize>, x: Slot) {
        let op = NormaliseRectify(self.places.of_images(self.images, images.len()));
        let inputs = [x, self.statistics, self.affine.value];
        pass.nonlinear(&op, &inputs, self.part(self.y.value, images));
    }

    /// (∂γ, ∂β), over some images and those before them.
    pub(super) fn sums<T: Real>(&self, pass: &mut dyn Pass<T>, images: &Range<usize>, x: Slot) {
        let places = self.places.of_images(self.images, images.len());
        let op = ParameterSums { places, adds: images.start > 0 };
        let dy = self.part(self.y.output_cotangent(), images);
        let inputs = [x, self.statistics, self.affine.value, dy];
        pass.nonlinear(&op, &inputs, self.affine.gradient);
    }

    /// ∂x of some images.
    pub(super) fn backward<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        [x, dx]: [Slot; 2],
    ) {
        let op = InputCotangent {
            places: self.places.of_images(self.images, images.len()),
            all: self.places.grid().rows,
        };
        let dy = self.part(self.y.output_cotangent(), images);
        let inputs = [x, self.statistics, self.affine.value, dy, self.affine.gradient];
        pass.nonlinear(&op, &inputs, dx);
    }
    /// What is some images' in a slot of all.
    fn part(&self, slot: Slot, images: &Range<usize>) -> Slot {
        let each = slot.len() / self.images;
        slot.part(images.start * each..images.end * each)
    }
}
