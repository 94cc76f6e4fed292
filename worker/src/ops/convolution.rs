//! A 3×3 convolution with a border of one, and its two gradients, as gathered products.

use std::collections::BTreeMap;

use crate::kernels::{Gather, GatherRow, Group, Tap, offset};

/// Rows and columns of the filter.
const FILTER: usize = 3;

/// The extents of a convolution: images `[images, height, width, inputs]` in, channels last, weights
/// `[3, 3, inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvolutionShape {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) stride: usize,
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

    /// Numbers in the weights.
    pub(crate) fn weights(&self) -> usize {
        FILTER * FILTER * self.inputs * self.outputs
    }

    /// Weights a tap.
    pub(crate) fn tap_weights(&self) -> usize {
        self.inputs * self.outputs
    }

    /// Taps of the filter.
    pub(crate) fn taps() -> usize {
        FILTER * FILTER
    }

    /// Images in, images out.
    pub(crate) fn forward(&self) -> Gather {
        let (rows, columns) = self.output_extent();
        let output = |at: Place| ((at.image * rows + at.row) * columns + at.column) * self.outputs;
        self.gather(
            (rows, columns),
            self.inputs,
            self.outputs,
            output,
            |at, tap_row, tap_column| {
                // The input that a tap of an output sees; none on the border.
                let row = (at.row * self.stride + tap_row)
                    .checked_sub(1)
                    .filter(|&row| row < self.height)?;
                let column = (at.column * self.stride + tap_column)
                    .checked_sub(1)
                    .filter(|&c| c < self.width)?;
                Some(((at.image * self.height + row) * self.width + column) * self.inputs)
            },
        )
    }

    /// The output's cotangent in, the input's out; weights are transposed tap by tap, `[3, 3, outputs, inputs]`.
    pub(crate) fn input_gradient(&self) -> Gather {
        let (rows, columns) = self.output_extent();
        let place =
            |at: Place| ((at.image * self.height + at.row) * self.width + at.column) * self.inputs;
        self.gather(
            (self.height, self.width),
            self.outputs,
            self.inputs,
            place,
            |at, tap_row, tap_column| {
                // The output that saw this input through the tap, if one did.
                let seen = |place: usize, tap: usize, extent: usize| {
                    let scaled = (place + 1).checked_sub(tap)?;
                    let out = scaled / self.stride;
                    (scaled % self.stride == 0 && out < extent).then_some(out)
                };
                let row = seen(at.row, tap_row, rows)?;
                let column = seen(at.column, tap_column, columns)?;
                Some(((at.image * rows + row) * columns + column) * self.outputs)
            },
        )
    }

    /// Groups the places of an extent by the taps that they have.
    fn gather(
        &self,
        (rows, columns): (usize, usize),
        depth: usize,
        width: usize,
        write: impl Fn(Place) -> usize,
        read: impl Fn(Place, usize, usize) -> Option<usize>,
    ) -> Gather {
        let mut groups = BTreeMap::<Vec<(u32, u32)>, Vec<GatherRow>>::new();
        for image in 0..self.images {
            for row in 0..rows {
                for column in 0..columns {
                    let at = Place { image, row, column };
                    let mut taps = Vec::new();
                    for tap in 0..FILTER * FILTER {
                        if let Some(input) = read(at, tap / FILTER, tap % FILTER) {
                            taps.push((offset(input), offset(tap * depth * width)));
                        }
                    }
                    let first = taps.iter().map(|tap| tap.0).min().unwrap_or(0);
                    taps.iter_mut().for_each(|tap| tap.0 -= first);
                    let row = GatherRow { input: first, output: offset(write(at)) };
                    groups.entry(taps).or_default().push(row);
                }
            }
        }
        let group = |(taps, rows): (Vec<(u32, u32)>, Vec<GatherRow>)| {
            let taps = taps.into_iter().map(|(input, weight)| Tap { input, weight }).collect();
            Group { taps, rows }
        };
        Gather::new(groups.into_iter().map(group).collect(), depth, width)
    }
}

/// A pixel of one of the images.
#[derive(Clone, Copy)]
struct Place {
    image: usize,
    row: usize,
    column: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::numbers;
    use crate::kernels::{InstructionSet, Outer};
    use crate::ops::Bilinear;

    /// A convolution as the textbook has it.
    fn naive(shape: &ConvolutionShape, x: &[f32], w: &[f32]) -> Vec<f64> {
        let (rows, columns) = shape.output_extent();
        let mut out = vec![0.0; shape.output_len()];
        for (i, out) in out.iter_mut().enumerate() {
            let (n, at) = (i % shape.outputs, i / shape.outputs);
            let (column, row, image) = (at % columns, at / columns % rows, at / columns / rows);
            for tap in 0..9 {
                let r = (row * shape.stride + tap / 3) as isize - 1;
                let k = (column * shape.stride + tap % 3) as isize - 1;
                if (0..shape.height as isize).contains(&r) && (0..shape.width as isize).contains(&k)
                {
                    for c in 0..shape.inputs {
                        let place = ((image * shape.height + r as usize) * shape.width
                            + k as usize)
                            * shape.inputs
                            + c;
                        *out += f64::from(x[place])
                            * f64::from(w[(tap * shape.inputs + c) * shape.outputs + n]);
                    }
                }
            }
        }
        out
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn forward_is_a_convolution_and_both_gradients_are_its_transposes() {
        for (height, width, inputs, outputs, stride) in
            [(5, 4, 3, 7, 1), (7, 7, 2, 20, 2), (6, 5, 8, 16, 2), (1, 1, 4, 4, 2), (2, 3, 1, 64, 1)]
        {
            let shape = ConvolutionShape { images: 3, height, width, inputs, outputs, stride };
            let x = numbers(1, 3 * height * width * inputs);
            let w = numbers(2, shape.weights());
            let dy = numbers(3, shape.output_len());
            let set = InstructionSet::best();
            let mut y = vec![0.0; shape.output_len()];
            let forward = shape.forward();
            forward.apply(set, None, &[(&x, &w)], &mut y);
            for (y, expected) in y.iter().zip(naive(&shape, &x, &w)) {
                assert!((f64::from(*y) - expected).abs() < 1e-4, "{y} is {expected}");
            }

            let mut transposed = vec![0.0; w.len()];
            for tap in 0..9 {
                for c in 0..inputs {
                    for n in 0..outputs {
                        transposed[(tap * outputs + n) * inputs + c] =
                            w[(tap * inputs + c) * outputs + n];
                    }
                }
            }
            let mut dx = vec![0.0; x.len()];
            shape.input_gradient().apply(set, None, &[(&dy, &transposed)], &mut dx);
            assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-3 * dot(&y, &y).sqrt());

            let mut dw = vec![0.0; w.len()];
            Outer::of(&forward).apply(set, None, &[(&x, &dy)], &mut dw);
            assert!((dot(&y, &dy) - dot(&w, &dw)).abs() < 1e-3 * dot(&y, &y).sqrt());
        }
    }
}
