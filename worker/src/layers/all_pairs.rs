//! How every query compares with every support example, or with every prototype.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{
    AbsoluteDifference, AbsoluteDifferenceCotangent, DistanceCotangent, DotProduct,
    DotProductCotangent, NegativeSquaredDistance, Pass, Planner, Side,
};

/// What is computed of two rows a and b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairKind {
    /// −‖a − b‖².
    NegativeSquaredDistance,
    /// |a − b|, number by number.
    AbsoluteDifference,
    /// a · b.
    DotProduct,
}

/// Every row of a with every row of b: a is `[rows, width]`, b `[columns, width]`, y `[rows, columns]`, or
/// `[rows, columns, width]` of differences.
pub(crate) struct AllPairs {
    kind: PairKind,
    width: usize,
    a: Feature,
    b: Feature,
    pub(crate) y: Feature,
}

impl AllPairs {
    pub(crate) fn plan(
        planner: &mut Planner,
        kind: PairKind,
        width: usize,
        [a, b]: [Feature; 2],
    ) -> Self {
        let each = if kind == PairKind::AbsoluteDifference { width } else { 1 };
        let (rows, columns) = (a.value.len() / width, b.value.len() / width);
        let moves = a.value.moves() || b.value.moves();
        Self { kind, width, a, b, y: Feature::plan(planner, rows * columns * each, moves) }
    }
}

impl<T: Real> Layer<T> for AllPairs {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let (width, x, y) = (self.width, [self.a.value, self.b.value], self.y.value);
        match self.kind {
            PairKind::NegativeSquaredDistance => {
                pass.nonlinear(&NegativeSquaredDistance { width }, &x, y);
            }
            PairKind::AbsoluteDifference => pass.nonlinear(&AbsoluteDifference { width }, &x, y),
            PairKind::DotProduct => pass.nonlinear(&DotProduct { width }, &x, y),
        }
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let (width, dy) = (self.width, self.y.output_cotangent());
        for (own, other, side) in [(self.a, self.b, Side::Rows), (self.b, self.a, Side::Columns)] {
            let (x, dx) = ([dy, own.value, other.value], own.output_cotangent());
            match self.kind {
                PairKind::NegativeSquaredDistance => {
                    pass.nonlinear(&DistanceCotangent { width, side }, &x, dx);
                }
                PairKind::AbsoluteDifference => {
                    pass.nonlinear(&AbsoluteDifferenceCotangent { width, side }, &x, dx);
                }
                // Linear in each of them.
                PairKind::DotProduct => {
                    pass.nonlinear(&DotProductCotangent { width, side }, &[dy, other.value], dx);
                }
            }
        }
    }
}
