//! Every query's map beside every class's.

use super::{Feature, Layer};
use crate::kernels::Real;
use crate::ops::{Pair, PairColumns, PairRows, Pass, Planner};

/// yᵢⱼ = bⱼ and aᵢ, stacked along the channels: a is `[rows, positions, channels]`, b `[columns, positions, channels]`, y
/// `[rows, columns, positions, 2 channels]`.
pub(crate) struct Pairs {
    map: usize,
    channels: usize,
    a: Feature,
    b: Feature,
    pub(crate) y: Feature,
}

impl Pairs {
    /// Pairs of maps of `map` numbers each.
    pub(crate) fn plan(
        planner: &mut Planner,
        (map, channels): (usize, usize),
        a: Feature,
        b: Feature,
    ) -> Self {
        let len = 2 * (a.value.len() / map) * b.value.len();
        let moves = a.value.moves() || b.value.moves();
        Self { map, channels, a, b, y: Feature::plan(planner, len, moves) }
    }

    fn op(&self) -> Pair {
        Pair { map: self.map, channels: self.channels }
    }
}

impl<T: Real> Layer<T> for Pairs {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        pass.nonlinear(&self.op(), &[self.a.value, self.b.value], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        pass.linear(&PairRows(self.op()), dy, self.a.output_cotangent());
        pass.linear(&PairColumns(self.op()), dy, self.b.output_cotangent());
    }
}
