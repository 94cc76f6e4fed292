//! A block of an encoder: convolution, batch norm, ReLU, and a max pool if there is one (Vinyals et al. 2016).

use std::ops::Range;
use std::sync::Arc;

use super::batch_norm::BatchNormRelu;
use super::convolution::{BackwardProducts, Convolution};
use super::{Feature, Layer, Products};
use crate::kernels::{Places, Real};
use crate::ops::{ConvolutionShape, Convolve, Pass, Planner, Slot};

/// Only the statistics of a batch norm, and on the way back its sums, are over all images. Between them images go some at
/// a time, through the norm before, the convolution, back, and into the sums of the norm before, so that what one op writes
/// is in the cache for the next; the cotangent between convolution and norm, which is larger than all else, is never kept
/// for more of them, and that of the input takes the input's place. All go together, and all is kept, where tangents will
/// read it. The output of a shallow convolution over many images is never whole either: see [`Maps`].
pub(crate) struct ConvolutionBlock {
    before: Option<Before>,
    convolution: Arc<Convolution>,
    forward: Forward,
    /// The convolution's output, and where others find it.
    maps: Maps,
    source: Source,
    norm: Arc<BatchNormRelu>,
    /// ∂ of the convolution's output, of as many images as go together.
    cotangent: Slot,
    parts: Vec<Part>,
    /// Of all parts but the last, smaller one; and of that.
    backward: [BackwardProducts; 2],
}

/// Images that go together.
struct Part {
    images: Range<usize>,
    is_rest: bool,
}

/// The block before, whose output this one reads.
struct Before {
    maps: Maps,
    norm: Arc<BatchNormRelu>,
}

/// A convolution on its way forward.
struct Forward {
    convolution: Arc<Convolution>,
    /// As [`ConvolutionBlock::backward`].
    products: [Convolve; 2],
}

impl Forward {
    fn new(convolution: &Arc<Convolution>, sizes: [usize; 2]) -> Self {
        let products = sizes.map(|images| convolution.forward_product(images));
        Self { convolution: Arc::clone(convolution), products }
    }

    /// Of some images.
    fn run<T: Real>(&self, pass: &mut dyn Pass<T>, Part { images, is_rest }: &Part, y: Slot) {
        self.convolution.forward(pass, images, &self.products[usize::from(*is_rest)], y);
    }
}

/// A convolution's output: kept; or computed again for some images, in one place for all, wherever it is read.
struct Maps {
    place: Slot,
    /// Numbers of an image.
    plane: usize,
    again: Option<Forward>,
}

/// Where a convolution's output comes from.
#[derive(Clone)]
enum Source {
    Kept(Slot),
    Again(Arc<Convolution>),
}

impl Maps {
    /// For readers of as many images as `sizes` says.
    fn new(planner: &mut Planner, plane: usize, source: &Source, sizes: [usize; 2]) -> Self {
        match source {
            Source::Kept(place) => Self { place: *place, plane, again: None },
            Source::Again(convolution) => {
                let place = planner.slot(sizes[0] * plane, true);
                Self { place, plane, again: Some(Forward::new(convolution, sizes)) }
            }
        }
    }

    /// The place of some images'.
    fn of(&self, images: &Range<usize>) -> Slot {
        let first = if self.again.is_none() { images.start } else { 0 };
        self.place.part(first * self.plane..(first + images.len()) * self.plane)
    }

    /// Those of some images, which were computed before.
    fn get<T: Real>(&self, pass: &mut dyn Pass<T>, part: &Part) -> Slot {
        let maps = self.of(&part.images);
        if let Some(again) = &self.again {
            again.run(pass, part, maps);
        }
        maps
    }
}

/// What a block reads: a feature, or the output of a block before that is still to be normalised.
pub(crate) struct BlockInput {
    x: Feature,
    before: Option<Unnormalised>,
}

/// A convolution's output, with `plane` numbers of an image.
struct Unnormalised {
    source: Source,
    plane: usize,
    norm: Arc<BatchNormRelu>,
}

impl From<Feature> for BlockInput {
    fn from(x: Feature) -> Self {
        Self { x, before: None }
    }
}

impl BlockInput {
    /// Maps of `plane` numbers each that are kept, and are to be normalised.
    pub(super) fn kept(maps: Slot, plane: usize, norm: &Arc<BatchNormRelu>) -> Self {
        let (source, norm) = (Source::Kept(maps), Arc::clone(norm));
        Self { x: norm.y, before: Some(Unnormalised { source, plane, norm }) }
    }

    /// Behind the last block: a feature, and the layer that normalises it.
    pub(crate) fn close(self) -> (Feature, Option<LastNorm>) {
        let last = |Unnormalised { source, norm, .. }| match source {
            Source::Kept(maps) => LastNorm { maps, norm },
            Source::Again(_) => unreachable!("the last block's output is kept"),
        };
        (self.x, self.before.map(last))
    }
}

/// The batch norm behind the last convolution, with ReLU and max pool.
pub(crate) struct LastNorm {
    maps: Slot,
    norm: Arc<BatchNormRelu>,
}

impl<T: Real> Layer<T> for LastNorm {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        self.norm.forward(pass, &self.norm.all_images(), self.maps);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.norm.sums(pass, &self.norm.all_images(), self.maps);
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
        let convolution = Arc::new(Convolution::plan(planner, shape, input.x, moves));
        let x_moves = convolution.y_moves;
        let keeps = is_last || planner.keeps_values() || !shape.is_sooner_computed_than_read();
        let kept = keeps.then(|| planner.slot(shape.output_len(), x_moves));
        let norm = BatchNormRelu::plan(planner, shape.images, places, (x_moves, moves), is_last);
        let together = if planner.keeps_values() { shape.images } else { shape.images_a_block() };
        let sizes = [together, shape.images % together];
        let parts = (0..shape.images).step_by(together).map(|start| {
            let images = start..shape.images.min(start + together);
            Part { is_rest: images.len() < together, images }
        });
        let before = input.before.map(|Unnormalised { source, plane, norm }| Before {
            maps: Maps::new(planner, plane, &source, sizes),
            norm,
        });
        let source = kept.map_or_else(|| Source::Again(Arc::clone(&convolution)), Source::Kept);
        let plane = convolution.output_plane();
        Self {
            before,
            forward: Forward::new(&convolution, sizes),
            maps: Maps::new(planner, plane, &source, sizes),
            source,
            cotangent: planner.slot(plane * together, true),
            parts: parts.collect(),
            backward: sizes.map(|images| convolution.backward_products(images)),
            convolution,
            norm: Arc::new(norm),
        }
    }

    /// What the next block reads.
    pub(crate) fn output(&self) -> BlockInput {
        let (source, plane) = (self.source.clone(), self.maps.plane);
        let before = Unnormalised { source, plane, norm: Arc::clone(&self.norm) };
        BlockInput { x: self.norm.y, before: Some(before) }
    }
}

impl<T: Real> Layer<T> for ConvolutionBlock {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let is_given = pass.given_statistics(self.norm.statistics);
        self.convolution.prepare_forward(pass);
        for part in &self.parts {
            if let Some(Before { maps, norm }) = &self.before {
                let x = maps.get(pass, part);
                norm.forward(pass, &part.images, x);
            }
            let x = self.maps.of(&part.images);
            // With given statistics, nobody reads what is computed again later.
            if !is_given || self.maps.again.is_none() {
                self.forward.run(pass, part, x);
            }
            if !is_given {
                self.norm.statistics(pass, &part.images, x);
            }
        }
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.convolution.prepare_backward(pass);
        for part in &self.parts {
            let Part { images, is_rest } = part;
            let cotangent = self.cotangent.part(0..images.len() * self.maps.plane);
            let x = self.maps.get(pass, part);
            self.norm.backward(pass, images, [x, cotangent]);
            let products = &self.backward[usize::from(*is_rest)];
            self.convolution.backward(pass, images, products, cotangent);
            if let Some(Before { maps, norm }) = &self.before {
                let x = maps.get(pass, part);
                norm.sums(pass, images, x);
            }
        }
        self.convolution.finish_backward(pass);
    }

    fn products(&self) -> Products {
        self.convolution.products()
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{
        Conv4Config, Downsample, Features, NetworkConfig, Precision, Shape,
    };
    use lyceum_common::model::Head;

    use crate::episodes::Batch;
    use crate::kernels::InstructionSet;
    use crate::kernels::test_support::numbers;
    use crate::layers::LossKind;
    use crate::networks::Network;
    use crate::objective::Objective;
    use crate::ops::{ConvolutionShape, Share};

    #[test]
    fn some_images_at_a_time_are_all_at_once() {
        // Of the first layer's images six or two go together, of the last one's all.
        check(Downsample::Stride, (24, 20), InstructionSet::available());
        check(Downsample::MaxPool, (24, 20), InstructionSet::available());
    }

    #[test]
    fn maps_that_are_computed_again_are_those_that_are_kept() {
        let (filters, images) = (64, 86);
        let shape = ConvolutionShape {
            images,
            height: 28,
            width: 28,
            inputs: 1,
            outputs: filters,
            stride: 1,
            share: Share::ALL,
            precision: Precision::Float32,
        };
        assert!(shape.is_sooner_computed_than_read());
        check(Downsample::MaxPool, (filters, images), [InstructionSet::best()].into_iter());
    }

    /// The gradient of blocks that go through images some at a time is that of blocks that keep all for tangents.
    fn check(
        downsample: Downsample,
        (filters, images): (usize, usize),
        sets: impl Iterator<Item = InstructionSet>,
    ) {
        let config = Conv4Config { filters, downsample, features: Features::Flatten };
        let shape = Shape::Image { height: 28, width: 28, channels: 1 };
        let network = Network::new(&NetworkConfig::Conv4(config), shape, Head::Linear(4)).unwrap();
        let parameters = network.layout().len();
        let theta: Vec<f32> = numbers(1, parameters).iter().map(|x| 0.3 * x).collect();
        let batch = Batch {
            inputs: numbers(2, images * shape.len()),
            targets: (0..4 * images).map(|at| f32::from(at % 4 == at / 4 % 4)).collect(),
        };
        for set in sets {
            let [together, some] = [0..parameters, 0..0].map(|adapted| {
                let kind = LossKind::CrossEntropy;
                let objective = Objective::<f32>::new(&network, kind, images, adapted, set);
                let mut frame = objective.frame();
                objective.load(&mut frame, &batch);
                objective.set_parameters(&mut frame, &theta);
                objective.gradient(&mut frame);
                let outputs = objective.outputs_of(&frame).to_vec();
                (outputs, objective.gradient_of(&frame).to_vec(), objective.frame_bytes())
            });
            for (some, together) in [(&some.0, &together.0), (&some.1, &together.1)] {
                let apart = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
                let error: f64 = some.iter().zip(together).map(apart).sum();
                let norm: f64 = together.iter().map(|&x| f64::from(x).powi(2)).sum();
                assert!(error.sqrt() < 1e-5 * norm.sqrt(), "{set}: {error} of {norm}");
            }
            assert!(some.2 < together.2, "less is kept");
        }
    }
}
