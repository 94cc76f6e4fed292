//! Convolution 3×3 with a border of one, ahead of a batch norm.

use std::ops::Range;

use super::{Feature, Parameter, Products};
use crate::kernels::{Filters, Real};
use crate::ops::{
    ConvolutionShape, Convolve, ConvolveGradient, FilterGradient, FurtherGradient, Pass, Planner,
    Slot, TransformFilters, TransposeTaps,
};

/// y = x * W + b. Images are channels last; W is `[3, 3, inputs, outputs]`, in panels.
///
/// The batch norm behind it takes b away again, so the loss does not depend on b: its gradient is zero, exactly, and
/// is never computed.
pub(super) struct Convolution {
    shape: ConvolutionShape,
    input: Option<InputGradient>,
    x: Feature,
    weight: Parameter,
    /// W as products are taken with it, where that is not W itself.
    transformed: Option<Transformed>,
    /// Absent where another one's y has it, to which this one's y is added.
    bias: Option<Slot>,
    /// Whether y moves with a parameter.
    pub(super) y_moves: bool,
}

/// W transformed, and the loss's gradient by that.
struct Transformed {
    filters: Filters,
    factor: Parameter,
}

/// What the input's cotangent is computed with.
struct InputGradient {
    transpose: TransposeTaps,
    transposed: Slot,
    /// That transformed in its turn.
    transformed: Option<(Filters, Slot)>,
    dx: Slot,
}

/// The products of some images on the way back.
pub(super) struct BackwardProducts {
    weight_gradient: ConvolveGradient,
    input_gradient: Option<Convolve>,
}

impl Convolution {
    pub(super) fn plan(
        planner: &mut Planner,
        shape: ConvolutionShape,
        x: Feature,
        moves: bool,
    ) -> Self {
        let weight = Parameter::plan(planner, shape.weights(), moves);
        let bias = Parameter::plan(planner, shape.outputs, moves).value;
        Self::of(planner, shape, x, (weight, Some(bias)), moves)
    }

    /// The one with another share of the same filters, whose y is to be added to this one's; it goes back after this one.
    pub(super) fn sibling(
        &self,
        planner: &mut Planner,
        shape: ConvolutionShape,
        x: Feature,
        moves: bool,
    ) -> Self {
        Self::of(planner, shape, x, (self.weight, None), moves)
    }

    fn of(
        planner: &mut Planner,
        shape: ConvolutionShape,
        x: Feature,
        (weight, bias): (Parameter, Option<Slot>),
        moves: bool,
    ) -> Self {
        let filters = shape.winograd_filters();
        let transformed = filters.map(|filters| {
            let len = filters.transformed_len();
            let (value, gradient) = (planner.slot(len, moves), planner.slot(len, true));
            Transformed { filters, factor: Parameter { value, gradient } }
        });
        let input = x.cotangent.map(|dx| InputGradient {
            transpose: TransposeTaps {
                taps: shape.taps(),
                rows: shape.inputs,
                columns: shape.outputs,
            },
            transposed: planner.slot(shape.weights(), moves),
            transformed: filters
                .map(|filters| (filters.back(), planner.slot(filters.transformed_len(), moves))),
            dx,
        });
        let y_moves = moves || x.value.moves();
        Self { shape, input, x, weight, transformed, bias, y_moves }
    }

    /// Numbers of an image's y.
    pub(super) fn output_plane(&self) -> usize {
        self.shape.output_len() / self.shape.images
    }

    /// The product forward, of so many images.
    pub(super) fn forward_product(&self, images: usize) -> Convolve {
        ConvolutionShape { images, ..self.shape }.forward()
    }

    /// The products back, of so many images.
    pub(super) fn backward_products(&self, images: usize) -> BackwardProducts {
        let shape = ConvolutionShape { images, ..self.shape };
        BackwardProducts {
            weight_gradient: shape.weight_gradient(),
            input_gradient: self.input.as_ref().map(|_| shape.input_gradient()),
        }
    }

    /// What the way forward of all images needs.
    pub(super) fn prepare_forward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        if let Some(Transformed { filters, factor }) = &self.transformed {
            pass.linear(&TransformFilters(*filters), self.weight.value, factor.value);
        }
    }

    /// y of some images.
    pub(super) fn forward<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        product: &Convolve,
        y: Slot,
    ) {
        let x = self.part(self.x.value, images);
        pass.bilinear(product, self.bias, x, self.factor().value, y);
    }

    /// What the way back of all images needs.
    pub(super) fn prepare_backward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        if let Some(InputGradient { transpose, transposed, transformed, .. }) = &self.input {
            pass.linear(transpose, self.weight.value, *transposed);
            if let Some((filters, to)) = transformed {
                pass.linear(&TransformFilters(*filters), *transposed, *to);
            }
        }
    }

    /// The way back of some images, the first ones first, from their ∂y.
    pub(super) fn backward<T: Real>(
        &self,
        pass: &mut dyn Pass<T>,
        images: &Range<usize>,
        products: &BackwardProducts,
        dy: Slot,
    ) {
        let (x, gradient) = (self.part(self.x.value, images), self.factor().gradient);
        let is_sibling = self.bias.is_none();
        if images.start == 0 && !is_sibling {
            pass.bilinear(&products.weight_gradient, None, x, dy, gradient);
        } else {
            pass.bilinear(&FurtherGradient(&products.weight_gradient), None, x, dy, gradient);
        }
        if let (Some(input), Some(product)) = (&self.input, &products.input_gradient) {
            let factor = input.transformed.map_or(input.transposed, |(_, transformed)| transformed);
            pass.bilinear(product, None, dy, factor, self.part(input.dx, images));
        }
    }

    /// What is left once all images went back.
    pub(super) fn finish_backward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        if let Some(Transformed { filters, factor }) = &self.transformed {
            pass.linear(&FilterGradient(*filters), factor.gradient, self.weight.gradient);
        }
    }

    /// What products are taken with.
    fn factor(&self) -> Parameter {
        self.transformed.as_ref().map_or(self.weight, |transformed| transformed.factor)
    }

    /// All images.
    pub(super) fn all_images(&self) -> Range<usize> {
        0..self.shape.images
    }

    /// What is some images' in a slot of all.
    fn part(&self, slot: Slot, images: &Range<usize>) -> Slot {
        let each = slot.len() / self.shape.images;
        slot.part(images.start * each..images.end * each)
    }

    pub(super) fn products(&self) -> Products {
        Products { nominal: self.shape.nominal_products(), input_gradient: self.input.is_some() }
    }
}
