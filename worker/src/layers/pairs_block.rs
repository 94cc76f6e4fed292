//! The first block of a relation module: convolution of pairs of maps, batch norm, ReLU and max pool.

use std::sync::Arc;

use super::batch_norm::BatchNormRelu;
use super::convolution::{BackwardProducts, Convolution};
use super::{BlockInput, Feature, Layer, Products};
use crate::kernels::{Grid, Places, Pool, Real};
use crate::ops::{
    ConvolutionShape, Convolve, PairSums, Pass, Planner, Share, Slot, SumOverGroup, SumRows,
};

/// Of every row's map aᵢ and every column's bⱼ, pairs row by row: bⱼ and aᵢ stacked along their channels, convolved and so on.
///
/// A convolution of stacked maps is the sum of what each gives with its half of the filters. So every map is convolved
/// once rather than once a pair, and so is its cotangent, which is summed over pairs before.
pub(crate) struct PairsBlock {
    columns: Half,
    rows: Half,
    /// Numbers of a map of y.
    plane: usize,
    /// y of all pairs ahead of the norm, and its cotangent.
    maps: Slot,
    cotangent: Slot,
    norm: Arc<BatchNormRelu>,
}

/// The maps of one side.
struct Half {
    convolution: Convolution,
    forward: Convolve,
    backward: BackwardProducts,
    y: Feature,
}

impl Half {
    fn new(planner: &mut Planner, convolution: Convolution, maps: usize) -> Self {
        let len = maps * convolution.output_plane();
        Self {
            forward: convolution.forward_product(maps),
            backward: convolution.backward_products(maps),
            y: Feature::plan(planner, len, convolution.y_moves),
            convolution,
        }
    }

    fn forward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        let all = self.convolution.all_images();
        self.convolution.prepare_forward(pass);
        self.convolution.forward(pass, &all, &self.forward, self.y.value);
    }

    fn backward<T: Real>(&self, pass: &mut dyn Pass<T>) {
        let all = self.convolution.all_images();
        self.convolution.prepare_backward(pass);
        self.convolution.backward(pass, &all, &self.backward, self.y.output_cotangent());
        self.convolution.finish_backward(pass);
    }
}

impl PairsBlock {
    /// `maps` is the shape of a convolution of one side's maps, however many they are.
    pub(crate) fn plan(
        planner: &mut Planner,
        maps: ConvolutionShape,
        [columns, rows]: [Feature; 2],
        moves: bool,
    ) -> Self {
        let shape = |index: usize, x: Feature| ConvolutionShape {
            images: x.value.len() / (maps.height * maps.width * maps.inputs),
            share: Share { index, of: 2 },
            ..maps
        };
        let shapes = [shape(0, columns), shape(1, rows)];
        let of_columns = Convolution::plan(planner, shapes[0], columns, moves);
        let of_rows = of_columns.sibling(planner, shapes[1], rows, moves);
        let (pairs, plane) = (shapes[0].images * shapes[1].images, of_columns.output_plane());
        let columns = Half::new(planner, of_columns, shapes[0].images);
        let rows = Half::new(planner, of_rows, shapes[1].images);
        let y_moves = columns.y.value.moves() || rows.y.value.moves();
        let (height, width) = maps.output_extent();
        let places = Places::Windows(Pool { images: pairs, height, width, channels: maps.outputs });
        Self {
            maps: planner.slot(pairs * plane, y_moves),
            cotangent: planner.slot(pairs * plane, true),
            norm: Arc::new(BatchNormRelu::plan(planner, pairs, places, (y_moves, moves), false)),
            columns,
            rows,
            plane,
        }
    }

    /// What the next block reads.
    pub(crate) fn output(&self) -> BlockInput {
        BlockInput::kept(self.maps, self.plane, &self.norm)
    }
}

impl<T: Real> Layer<T> for PairsBlock {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let is_given = pass.given_statistics(self.norm.statistics);
        self.columns.forward(pass);
        self.rows.forward(pass);
        let sums = PairSums { map: self.plane };
        pass.nonlinear(&sums, &[self.rows.y.value, self.columns.y.value], self.maps);
        if !is_given {
            self.norm.statistics(pass, &self.norm.all_images(), self.maps);
        }
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.norm.backward(pass, &self.norm.all_images(), [self.maps, self.cotangent]);
        let [columns, rows] = [&self.columns, &self.rows].map(|half| half.y.value.len());
        let of_row =
            SumOverGroup { divisor: 1, members: columns / self.plane, channels: self.plane };
        pass.linear(&of_row, self.cotangent, self.rows.y.output_cotangent());
        let of_column = SumRows(Grid { rows: rows / self.plane, channels: columns });
        pass.linear(&of_column, self.cotangent, self.columns.y.output_cotangent());
        self.columns.backward(pass);
        self.rows.backward(pass);
    }

    fn products(&self) -> Products {
        let [columns, rows] = [&self.columns, &self.rows].map(|half| half.convolution.products());
        Products { nominal: columns.nominal + rows.nominal, ..rows }
    }
}
