//! A block of an encoder: convolution, batch norm, ReLU, and a max pool if there is one (Vinyals et al. 2016).

use std::ops::Range;
use std::sync::Arc;

use super::batch_norm::BatchNormRelu;
use super::convolution::{Convolution, Gathers};
use super::{Feature, Layer, Products};
use crate::kernels::{Places, Real};
use crate::ops::{ConvolutionShape, Pass, Planner, Slot};

/// Only the statistics of a batch norm, and on the way back its sums, are over all images. Between them images go some at
/// a time, through the norm before, the convolution, back, and into the sums of the norm before, so that what one op writes
/// is in the cache for the next; the cotangent between convolution and norm, which is larger than all else, is never kept
/// for more of them, and that of the input takes the input's place. All go together, and all is kept, where tangents will
/// read it.
pub(crate) struct ConvolutionBlock {
    /// The norm of the block before, whose output this one reads.
    before: Option<Arc<BatchNormRelu>>,
    convolution: Convolution,
    norm: Arc<BatchNormRelu>,
    /// ∂ of the convolution's output, of as many images as go together.
    cotangent: Slot,
    /// Numbers of one image's.
    plane: usize,
    parts: Vec<Part>,
    /// Of all parts but the last, smaller one; and of that.
    gathers: [Gathers; 2],
}

/// Images that go together.
struct Part {
    images: Range<usize>,
    is_rest: bool,
}

/// What a block reads: a feature, or the output of a block before that is still to be normalised.
pub(crate) struct BlockInput {
    x: Feature,
    norm: Option<Arc<BatchNormRelu>>,
}

impl From<Feature> for BlockInput {
    fn from(x: Feature) -> Self {
        Self { x, norm: None }
    }
}

impl BlockInput {
    /// Behind the last block: a feature, and the layer that normalises it.
    pub(crate) fn close(self) -> (Feature, Option<LastNorm>) {
        (self.x, self.norm.map(LastNorm))
    }
}

/// The batch norm behind the last convolution, with ReLU and max pool.
pub(crate) struct LastNorm(Arc<BatchNormRelu>);

impl<T: Real> Layer<T> for LastNorm {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        self.0.forward(pass, &self.0.all_images());
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.0.sums(pass, &self.0.all_images());
    }
}

impl ConvolutionBlock {
    /// `places` are those of the convolution's output, pooled or not; behind the last block is a layer of another kind.
    pub(crate) fn plan(
        planner: &mut Planner,
        shape: ConvolutionShape,
        places: Places,
        input: BlockInput,
        (moves, is_last): (bool, bool),
    ) -> Self {
        let convolution = Convolution::plan(planner, shape, input.x, moves);
        let (x, images) = (convolution.y, shape.images);
        let norm = BatchNormRelu::plan(planner, images, places, x, (moves, is_last));
        let together = if planner.keeps_values() { shape.images } else { shape.images_a_block() };
        let plane = shape.output_len() / shape.images;
        let parts = (0..shape.images).step_by(together).map(|start| {
            let images = start..shape.images.min(start + together);
            Part { is_rest: images.len() < together, images }
        });
        Self {
            before: input.norm,
            cotangent: planner.slot(plane * together, true),
            plane,
            parts: parts.collect(),
            gathers: [together, shape.images % together].map(|images| convolution.gathers(images)),
            convolution,
            norm: Arc::new(norm),
        }
    }

    /// What the next block reads.
    pub(crate) fn output(&self) -> BlockInput {
        BlockInput { x: self.norm.y, norm: Some(Arc::clone(&self.norm)) }
    }
}

impl<T: Real> Layer<T> for ConvolutionBlock {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        for Part { images, is_rest } in &self.parts {
            if let Some(before) = &self.before {
                before.forward(pass, images);
            }
            self.convolution.forward(pass, images, &self.gathers[usize::from(*is_rest)]);
        }
        self.norm.statistics(pass);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.convolution.prepare_backward(pass);
        for Part { images, is_rest } in &self.parts {
            let cotangent = self.cotangent.part(0..images.len() * self.plane);
            self.norm.backward(pass, images, cotangent);
            let gathers = &self.gathers[usize::from(*is_rest)];
            self.convolution.backward(pass, images, gathers, cotangent);
            if let Some(before) = &self.before {
                before.sums(pass, images);
            }
        }
    }

    fn products(&self) -> Products {
        self.convolution.products()
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{Conv4Config, Downsample, Features, NetworkConfig, Shape};
    use lyceum_common::model::Head;

    use crate::episodes::Batch;
    use crate::kernels::InstructionSet;
    use crate::kernels::test_support::numbers;
    use crate::layers::LossKind;
    use crate::networks::Network;
    use crate::objective::Objective;

    #[test]
    fn some_images_at_a_time_are_all_at_once() {
        // Of the first layer's images six or two go together, of the last one's all.
        const IMAGES: usize = 20;
        for downsample in [Downsample::Stride, Downsample::MaxPool] {
            let config = Conv4Config { filters: 24, downsample, features: Features::Flatten };
            let shape = Shape::Image { height: 28, width: 28, channels: 1 };
            let network =
                Network::new(&NetworkConfig::Conv4(config), shape, Head::Linear(4)).unwrap();
            let parameters = network.layout().len();
            let theta: Vec<f32> = numbers(1, parameters).iter().map(|x| 0.3 * x).collect();
            let batch = Batch {
                inputs: numbers(2, IMAGES * shape.len()),
                targets: (0..4 * IMAGES).map(|at| f32::from(at % 4 == at / 4 % 4)).collect(),
            };
            for set in InstructionSet::available() {
                let [together, some] = [0..parameters, 0..0].map(|adapted| {
                    let kind = LossKind::CrossEntropy;
                    let objective = Objective::<f32>::new(&network, kind, IMAGES, adapted, set);
                    let mut frame = objective.frame();
                    objective.load(&mut frame, &batch);
                    objective.set_parameters(&mut frame, &theta);
                    objective.gradient(&mut frame);
                    let outputs = objective.outputs_of(&frame).to_vec();
                    (outputs, objective.gradient_of(&frame).to_vec(), objective.frame_bytes())
                });
                assert_eq!(some.0, together.0, "the way forward has the same sums");
                let apart = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
                let error: f64 = some.1.iter().zip(&together.1).map(apart).sum();
                let norm: f64 = together.1.iter().map(|&x| f64::from(x).powi(2)).sum();
                assert!(error.sqrt() < 1e-5 * norm.sqrt(), "{set}: {error} of {norm}");
                assert!(some.2 < together.2, "less is kept");
            }
        }
    }
}
