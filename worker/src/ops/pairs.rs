//! Maps side by side: every query's with every class's.

use super::{Linear, Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real};

/// (a, b) → y: yᵢⱼ has at each position the channels of bⱼ and then those of aᵢ. a is `[rows, positions, channels]`,
/// b `[columns, positions, channels]`, y `[rows, columns, positions, 2 channels]`.
pub(crate) struct Pair {
    /// Numbers in a map.
    pub(crate) map: usize,
    pub(crate) channels: usize,
}

impl Pair {
    fn fill<T: Real>(&self, a: &[T], b: &[T], out: &mut [T]) {
        let columns = b.len() / self.map;
        for (a, out) in a.chunks_exact(self.map).zip(out.chunks_exact_mut(2 * columns * self.map)) {
            for (b, out) in b.chunks_exact(self.map).zip(out.chunks_exact_mut(2 * self.map)) {
                let positions = a.chunks_exact(self.channels).zip(b.chunks_exact(self.channels));
                for ((a, b), out) in positions.zip(out.chunks_exact_mut(2 * self.channels)) {
                    let (first, second) = out.split_at_mut(self.channels);
                    first.copy_from_slice(b);
                    second.copy_from_slice(a);
                }
            }
        }
    }
}

impl<T: Real> Nonlinear<T> for Pair {
    fn value(&self, _: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b] = inputs(x);
        self.fill(a, b, out);
    }

    /// Linear in both.
    fn tangent(&self, _: InstructionSet, _: &[&[T]], _: &[T], x_dot: &[&[T]], out: &mut [T]) {
        let [a_dot, b_dot] = inputs(x_dot);
        self.fill(a_dot, b_dot, out);
    }
}

/// ∂y → ∂aᵢ = Σⱼ of the second half of ∂yᵢⱼ's channels.
pub(crate) struct PairRows(pub(crate) Pair);

impl<T: Real> Linear<T> for PairRows {
    fn apply(&self, _: InstructionSet, dy: &[T], out: &mut [T]) {
        let Pair { map, channels } = self.0;
        let columns = dy.len() / (2 * out.len());
        out.fill(T::ZERO);
        for (out, dy) in out.chunks_exact_mut(map).zip(dy.chunks_exact(2 * map * columns)) {
            for dy in dy.chunks_exact(2 * map) {
                add_half(channels, channels, dy, out);
            }
        }
    }
}

/// ∂y → ∂bⱼ = Σᵢ of the first half of ∂yᵢⱼ's channels.
pub(crate) struct PairColumns(pub(crate) Pair);

impl<T: Real> Linear<T> for PairColumns {
    fn apply(&self, _: InstructionSet, dy: &[T], out: &mut [T]) {
        let Pair { map, channels } = self.0;
        out.fill(T::ZERO);
        for dy in dy.chunks_exact(2 * out.len()) {
            for (out, dy) in out.chunks_exact_mut(map).zip(dy.chunks_exact(2 * map)) {
                add_half(channels, 0, dy, out);
            }
        }
    }
}

/// Adds the `channels` channels from `first` on, of the twice as many that `dy` has at each position.
fn add_half<T: Real>(channels: usize, first: usize, dy: &[T], out: &mut [T]) {
    for (out, dy) in out.chunks_exact_mut(channels).zip(dy.chunks_exact(2 * channels)) {
        for (out, &dy) in out.iter_mut().zip(&dy[first..first + channels]) {
            *out = *out + dy;
        }
    }
}
