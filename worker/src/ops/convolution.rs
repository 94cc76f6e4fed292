//! A 3×3 convolution with a border of one, and its two gradients, as gathered products or by Winograd's filtering.

use std::collections::BTreeMap;

use lyceum_common::config::Precision;

use super::{Convolve, ConvolveGradient};
use crate::kernels::{Blocks, Filters, Gather, GatherRow, Group, Outer, Tap, Winograd, offset};

/// Rows and columns of the filter.
const FILTER: usize = 3;

/// The extents of a convolution: images `[images, height, width, inputs]` in, channels last, weights
/// `[3, 3, inputs, outputs]` in panels of outputs (see [`Gather`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvolutionShape {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) stride: usize,
    /// Which of the filters' inputs the images have.
    pub(crate) share: Share,
    /// Of the numbers that are multiplied.
    pub(crate) precision: Precision,
}

/// The `index`-th of `of` equal parts of the channels that filters read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) index: usize,
    pub(crate) of: usize,
}

impl Share {
    /// All channels.
    pub(crate) const ALL: Self = Self { index: 0, of: 1 };
}

impl ConvolutionShape {
    /// Rows and columns of the output.
    pub(crate) fn output_extent(&self) -> (usize, usize) {
        (self.height.div_ceil(self.stride), self.width.div_ceil(self.stride))
    }

    /// Numbers in the output.
    pub(crate) fn output_len(&self) -> usize {
        let (height, width) = self.output_extent();
        self.images * height * width * self.outputs
    }

    /// How many images are worked off together, so that they stay in the cache.
    pub(crate) fn images_a_block(&self) -> usize {
        images_a_block(self.images, self.input_plane().len() + self.output_plane().len())
    }

    /// Whether it takes longer to write the output of all images to memory and to read it again than to compute it again: where
    /// it has little depth, and does not fit into a third-level cache.
    pub(crate) fn is_sooner_computed_than_read(&self) -> bool {
        FILTER * FILTER * self.inputs <= SHALLOW && self.output_len() > BEYOND_CACHES
    }

    /// Numbers in the weights.
    pub(crate) fn weights(&self) -> usize {
        self.taps() * self.inputs * self.outputs
    }

    /// Matrices from the images' channels to the outputs that the weights are: as many as the filter has places, of each share.
    pub(crate) fn taps(&self) -> usize {
        FILTER * FILTER * self.share.of
    }

    /// Products of all outputs, each with an addition, borders counted as if they were not zero.
    pub(crate) fn nominal_products(&self) -> usize {
        self.output_len() * FILTER * FILTER * self.inputs
    }

    /// The filters that Winograd's products are transformed for, where it has fewer by more than the transforms take: of stride
    /// one, of many channels, and in maps that tiles fill. Pairs of bfloat16 halve the products of every shape.
    pub(crate) fn winograd_filters(&self) -> Option<Filters> {
        let Self { height, width, inputs, outputs, .. } = *self;
        let tiles = Winograd::products_of(1, height, width);
        let filtered = tiles * (inputs * outputs + TRANSFORMS * (inputs + outputs));
        // The taps of a row or column that do not fall on the border.
        let taps = |extent: usize| (FILTER * extent).saturating_sub(2);
        let directly = taps(height) * taps(width) * inputs * outputs;
        let applies =
            self.stride == 1 && self.share == Share::ALL && self.precision == Precision::Float32;
        (applies && 10 * filtered < 9 * directly).then_some(Filters {
            inputs,
            outputs,
            turned: false,
        })
    }

    /// Images in, images out.
    pub(crate) fn forward(&self) -> Convolve {
        self.convolve((self.inputs, self.outputs), Self::gather_forward)
    }

    /// The output's cotangent in, the input's out; weights are transposed tap by tap, `[3, 3, outputs, inputs]`, and turned where
    /// they are transformed.
    pub(crate) fn input_gradient(&self) -> Convolve {
        self.convolve((self.outputs, self.inputs), Self::gather_back)
    }

    /// Images and the output's cotangent in, the weights' gradient out.
    pub(crate) fn weight_gradient(&self) -> ConvolveGradient {
        match self.forward() {
            Convolve::Directly(gather) => ConvolveGradient::Directly(Outer::of(&gather)),
            Convolve::Winograd(op) => ConvolveGradient::Winograd(op),
        }
    }

    fn convolve(&self, channels: (usize, usize), gather: impl FnOnce(&Self) -> Gather) -> Convolve {
        match self.winograd_filters() {
            Some(_) => {
                let extent = [self.images, self.height, self.width];
                Convolve::Winograd(Winograd::new(extent, channels))
            }
            None => Convolve::Directly(gather(self)),
        }
    }

    fn gather_forward(&self) -> Gather {
        let (height, width, stride) = (self.height, self.width, self.stride);
        self.gather(self.input_plane(), self.output_plane(), |(row, column), tap| {
            // The input that a tap of an output sees; none on the border.
            let seen = |place: usize, tap: usize, extent: usize| {
                (place * stride + tap).checked_sub(1).filter(|&seen| seen < extent)
            };
            Some((seen(row, tap.0, height)?, seen(column, tap.1, width)?))
        })
    }

    fn gather_back(&self) -> Gather {
        let (output, stride) = (self.output_plane(), self.stride);
        self.gather(output, self.input_plane(), |(row, column), tap| {
            // The output that saw this input through the tap, if one did.
            let saw = |place: usize, tap: usize, extent: usize| {
                let scaled = (place + 1).checked_sub(tap)?;
                let saw = scaled / stride;
                (scaled % stride == 0 && saw < extent).then_some(saw)
            };
            Some((saw(row, tap.0, output.rows)?, saw(column, tap.1, output.columns)?))
        })
    }

    fn input_plane(&self) -> Plane {
        Plane { rows: self.height, columns: self.width, channels: self.inputs }
    }

    fn output_plane(&self) -> Plane {
        let (rows, columns) = self.output_extent();
        Plane { rows, columns, channels: self.outputs }
    }

    /// Groups the places written to by the taps that they have, for a block of images. `seen` gives the place that is
    /// read through a tap, both as (row, column).
    fn gather(
        &self,
        read: Plane,
        written: Plane,
        seen: impl Fn((usize, usize), (usize, usize)) -> Option<(usize, usize)>,
    ) -> Gather {
        let groups = |images: usize| {
            let mut groups = BTreeMap::<Vec<(u32, u32)>, Vec<GatherRow>>::new();
            for image in 0..images {
                for place in 0..written.rows * written.columns {
                    let at = (place / written.columns, place % written.columns);
                    let mut taps = Vec::new();
                    for tap in 0..FILTER * FILTER {
                        if let Some(from) = seen(at, (tap / FILTER, tap % FILTER)) {
                            let index = tap * self.share.of + self.share.index;
                            taps.push((offset(read.place(image, from)), offset(index)));
                        }
                    }
                    let first = taps.iter().map(|tap| tap.0).min().unwrap_or(0);
                    taps.iter_mut().for_each(|tap| tap.0 -= first);
                    let row = GatherRow { input: first, output: offset(written.place(image, at)) };
                    groups.entry(taps).or_default().push(row);
                }
            }
            let group = |(taps, rows): (Vec<(u32, u32)>, Vec<GatherRow>)| {
                let taps = taps.into_iter().map(|(input, index)| Tap { input, index }).collect();
                Group { taps, rows }
            };
            groups.into_iter().map(group).collect()
        };
        let images = images_a_block(self.images, read.len() + written.len());
        let blocks = Blocks {
            whole: self.images / images,
            input: images * read.len(),
            output: images * written.len(),
        };
        let extents = (self.taps(), read.channels, written.channels);
        let gather = Gather::new(groups(images), groups(self.images % images), blocks, extents);
        gather.rounding(self.precision == Precision::Bfloat16)
    }
}

/// What the transforms of a channel take at each of a tile's places, in products.
const TRANSFORMS: usize = 6;

/// Numbers of a block of images, in and out: with the weights of a layer of 64 channels they fit into a second-level
/// cache of half a megabyte.
const BLOCK: usize = 96 * 1024;

/// Products of each output of a convolution that are done while the output would come from memory.
const SHALLOW: usize = 16;

/// Numbers that no third-level cache holds beside what else is at work.
const BEYOND_CACHES: usize = 4 << 20;

/// Images that are worked off together; a multiple of six, which is the rows of a kernel's tile, where there are so many.
fn images_a_block(images: usize, numbers: usize) -> usize {
    let fit = (BLOCK / numbers.max(1)).clamp(1, images.max(1));
    if fit > 6 { fit / 6 * 6 } else { fit }
}

/// The extents of one image.
#[derive(Clone, Copy)]
struct Plane {
    rows: usize,
    columns: usize,
    channels: usize,
}

impl Plane {
    fn len(self) -> usize {
        self.rows * self.columns * self.channels
    }

    fn place(self, image: usize, (row, column): (usize, usize)) -> usize {
        ((image * self.rows + row) * self.columns + column) * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::numbers;
    use crate::kernels::{InstructionSet, panels};
    use crate::ops::{Bilinear, FilterGradient, Linear, TransformFilters, TransposeTaps};

    /// A convolution of x and w, and the gradients by both of its product with dy, as the textbook has them.
    fn naive(shape: &ConvolutionShape, [x, w, dy]: [&[f32]; 3]) -> [Vec<f64>; 3] {
        let [mut y, mut dx, mut dw] = [dy, x, w].map(|like| vec![0.0; like.len()]);
        let (rows, columns) = shape.output_extent();
        for at in 0..shape.images * rows * columns {
            let (column, row, image) = (at % columns, at / columns % rows, at / columns / rows);
            for tap in 0..9 {
                // One more than the place, which may lie on the border.
                let (r, k) = (row * shape.stride + tap / 3, column * shape.stride + tap % 3);
                if !(1..=shape.height).contains(&r) || !(1..=shape.width).contains(&k) {
                    continue;
                }
                let place = (image * shape.height + r - 1) * shape.width + k - 1;
                for c in 0..shape.inputs {
                    let (input, weights) = (place * shape.inputs + c, tap * shape.inputs + c);
                    for n in 0..shape.outputs {
                        let (output, weight) =
                            (at * shape.outputs + n, weights * shape.outputs + n);
                        y[output] += f64::from(x[input]) * f64::from(w[weight]);
                        dx[input] += f64::from(dy[output]) * f64::from(w[weight]);
                        dw[weight] += f64::from(x[input]) * f64::from(dy[output]);
                    }
                }
            }
        }
        [y, dx, dw]
    }

    /// Compares number by number.
    fn assert_near(what: &str, found: &[f32], expected: &[f64], within: f64) {
        assert_eq!(found.len(), expected.len());
        for (at, (&found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(found) - expected).abs();
            assert!(error <= within, "{what}[{at}]: {found} is {expected}, within {within}");
        }
    }

    fn largest(values: &[f64]) -> f64 {
        values.iter().fold(0.0, |largest, value| value.abs().max(largest))
    }

    #[test]
    fn forward_is_a_convolution_and_both_gradients_are_its_transposes() {
        let shapes = [
            (5, 4, 3, 7, 1),
            (7, 7, 2, 20, 2),
            (6, 5, 8, 16, 2),
            (1, 1, 4, 4, 2),
            (2, 3, 1, 64, 1),
            // Of these a block holds three images, and one.
            (23, 23, 32, 64, 2),
            (40, 40, 18, 33, 1),
            (14, 14, 16, 48, 1),
        ];
        let of_both = [Precision::Float32, Precision::Bfloat16];
        let cases =
            of_both.into_iter().flat_map(|precision| shapes.map(|shape| (precision, shape)));
        for (precision, (height, width, inputs, outputs, stride)) in cases {
            let images = 4;
            let shape = ConvolutionShape {
                images,
                height,
                width,
                inputs,
                outputs,
                stride,
                share: Share::ALL,
                precision,
            };
            // Numbers that rounding to bfloat16 leaves as they are.
            let numbers = |salt, count| {
                let upper = |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000);
                numbers(salt, count).into_iter().map(upper).collect::<Vec<f32>>()
            };
            let x = numbers(1, 4 * height * width * inputs);
            let w = numbers(2, shape.weights());
            let dy = numbers(3, shape.output_len());
            let set = InstructionSet::best();
            let mut y = vec![0.0; shape.output_len()];
            let forward = shape.forward();
            let packed: Vec<f32> = panels(9 * inputs, outputs).map(|place| w[place]).collect();
            let filters = shape.winograd_filters();
            let transformed = |filters: Option<Filters>, w: &[f32]| match filters {
                Some(filters) => {
                    let mut transformed = vec![f32::NAN; filters.transformed_len()];
                    TransformFilters(filters).apply(set, w, &mut transformed);
                    transformed
                }
                None => w.to_vec(),
            };
            forward.apply(set, None, &[(&x, &transformed(filters, &packed))], &mut y);
            let [y_expected, dx_expected, dw_expected] = naive(&shape, [&x, &w, &dy]);
            assert_near("y", &y, &y_expected, 1e-4);
            // Sums of thousands of products, of which a single one is more than this.
            let share = if filters.is_some() { 3e-5 } else { 1e-5 };

            let mut transposed = vec![0.0; w.len()];
            let transpose = TransposeTaps { taps: 9, rows: inputs, columns: outputs };
            transpose.apply(set, &packed, &mut transposed);
            let mut dx = vec![0.0; x.len()];
            let back = filters.map(Filters::back);
            let factors = transformed(back, &transposed);
            shape.input_gradient().apply(set, None, &[(&dy, &factors)], &mut dx);
            assert_near("dx", &dx, &dx_expected, share * largest(&dx_expected));

            let mut dw = transformed(filters, &packed);
            shape.weight_gradient().apply(set, None, &[(&x, &dy)], &mut dw);
            if let Some(filters) = filters {
                let gradient = std::mem::replace(&mut dw, vec![f32::NAN; w.len()]);
                FilterGradient(filters).apply(set, &gradient, &mut dw);
            }
            let dw_expected: Vec<f64> =
                panels(9 * inputs, outputs).map(|place| dw_expected[place]).collect();
            assert_near("dw", &dw, &dw_expected, share * largest(&dw_expected));
        }
    }
}
