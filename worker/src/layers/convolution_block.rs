//! A block of an encoder: convolution, batch norm, ReLU, and a max pool if there is one (Vinyals et al. 2016).

use std::ops::Range;

use super::batch_norm::BatchNormRelu;
use super::convolution::{Backward, Convolution};
use super::{Feature, Layer, Products};
use crate::kernels::{Places, Real};
use crate::ops::{ConvolutionShape, Pass, Planner, Slot};

/// The way forward goes through all images at once, for a batch norm must have seen them all. The way back, once it has
/// its sums, goes some images at a time: the cotangent between norm and convolution, which is larger than all else, then
/// never leaves the cache. It is kept whole where tangents will read it.
pub(crate) struct ConvolutionBlock {
    convolution: Convolution,
    norm: BatchNormRelu,
    /// ∂ of the convolution's output, of as many images as go together.
    cotangent: Slot,
    /// Numbers of one image's.
    plane: usize,
    parts: Vec<Part>,
    /// Of all parts but the last, smaller one; and of that.
    backward: [Backward; 2],
    pub(crate) y: Feature,
}

/// Images that go together.
struct Part {
    images: Range<usize>,
    is_rest: bool,
}

impl ConvolutionBlock {
    /// `places` are those of the convolution's output, pooled or not.
    pub(crate) fn plan(
        planner: &mut Planner,
        shape: ConvolutionShape,
        places: Places,
        x: Feature,
        moves: bool,
    ) -> Self {
        let convolution = Convolution::plan(planner, shape, x, moves);
        let norm = BatchNormRelu::plan(planner, shape.images, places, convolution.y, moves);
        let together = if planner.keeps_values() { shape.images } else { shape.images_a_block() };
        let plane = shape.output_len() / shape.images;
        let cotangent = planner.slot(plane * together, true);
        let parts = (0..shape.images).step_by(together).map(|start| {
            let images = start..shape.images.min(start + together);
            Part { is_rest: images.len() < together, images }
        });
        Self {
            parts: parts.collect(),
            backward: [together, shape.images % together]
                .map(|images| convolution.backward_of(images)),
            cotangent,
            plane,
            y: norm.y,
            convolution,
            norm,
        }
    }
}

impl<T: Real> Layer<T> for ConvolutionBlock {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        self.convolution.forward(pass);
        self.norm.forward(pass);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.norm.sums(pass);
        self.convolution.prepare_backward(pass);
        for Part { images, is_rest } in &self.parts {
            let cotangent = self.cotangent.part(0..images.len() * self.plane);
            self.norm.backward(pass, images, cotangent);
            let by = &self.backward[usize::from(*is_rest)];
            self.convolution.backward(pass, images, by, cotangent);
        }
    }

    fn products(&self) -> Products {
        self.convolution.products()
    }
}
