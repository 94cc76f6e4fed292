//! Every row with every column.

use super::{Nonlinear, inputs};
use crate::kernels::pointwise::scaled_sum;
use crate::kernels::{InstructionSet, Real};

/// (a, b) → y: yᵢⱼ = aᵢ + bⱼ. a is `[rows, map]`, b `[columns, map]`, y `[rows, columns, map]`.
pub(crate) struct PairSums {
    /// Numbers in a map.
    pub(crate) map: usize,
}

impl PairSums {
    fn fill<T: Real>(&self, instruction_set: InstructionSet, a: &[T], b: &[T], out: &mut [T]) {
        for (a, out) in a.chunks_exact(self.map).zip(out.chunks_exact_mut(b.len())) {
            for (b, out) in b.chunks_exact(self.map).zip(out.chunks_exact_mut(self.map)) {
                scaled_sum(instruction_set, T::ONE, a, b, out);
            }
        }
    }
}

impl<T: Real> Nonlinear<T> for PairSums {
    fn value(&self, instruction_set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [a, b] = inputs(x);
        self.fill(instruction_set, a, b, out);
    }

    /// Linear in both.
    fn tangent(
        &self,
        instruction_set: InstructionSet,
        _: &[&[T]],
        _: &[T],
        x_dot: &[&[T]],
        out: &mut [T],
    ) {
        let [a_dot, b_dot] = inputs(x_dot);
        self.fill(instruction_set, a_dot, b_dot, out);
    }
}
