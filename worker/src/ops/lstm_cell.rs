//! One step of an LSTM over rows (Hochreiter and Schmidhuber 1997, as PyTorch's `LSTMCell`), and the way back through it:
//! what ops that run through several steps are made of.
//!
//! z is `[rows, inputs]`, the step's input and the state before it side by side; c and h are `[rows, width]`; gates are
//! `[rows, 4 width]`, a row being (i, f, g, o): c = f ∘ c' + i ∘ g, h = o ∘ tanh c.

use super::{Linear, TransposeTaps};
use crate::kernels::pointwise::{sigmoid_of, tanh_of};
use crate::kernels::{Gather, InstructionSet, Outer, Real, product};

/// The sizes of an LSTM, and the products of its steps.
pub(crate) struct LstmCell {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) width: usize,
    forward: Gather,
    backward: Gather,
}

/// What a step leaves for the way back.
pub(super) struct Kept<G, C> {
    pub(super) gates: G,
    /// c'.
    pub(super) before: C,
    /// tanh c.
    pub(super) tanh: G,
}

impl LstmCell {
    pub(crate) fn new(rows: usize, inputs: usize, width: usize) -> Self {
        Self {
            rows,
            inputs,
            width,
            forward: Gather::matrix(rows, inputs, 4 * width),
            backward: Gather::matrix(rows, 4 * width, inputs),
        }
    }

    /// The numbers of a state.
    pub(crate) fn state(&self) -> usize {
        self.rows * self.width
    }

    /// The gradient by the weights over so many steps, from all steps' z and gates' cotangents.
    pub(crate) fn weight_gradient(&self, steps: usize) -> Outer {
        Outer::of(&Gather::matrix(steps * self.rows, self.inputs, 4 * self.width))
    }

    /// Writes gates, tanh c, c and h; `raw` is as long as the gates.
    pub(super) fn step<T: Real>(
        &self,
        set: InstructionSet,
        (weight, bias, z): (&[T], &[T], &[T]),
        kept: Kept<&mut [T], &[T]>,
        (raw, c, h): (&mut [T], &mut [T], &mut [T]),
    ) {
        let w = self.width;
        product(set, &self.forward, Some(bias), &[(z, weight)], raw);
        let Kept { gates, before, tanh } = kept;
        for (raw, gates) in raw.chunks_exact(4 * w).zip(gates.chunks_exact_mut(4 * w)) {
            sigmoid_of(set, &raw[..2 * w], &mut gates[..2 * w]);
            tanh_of(set, &raw[2 * w..3 * w], &mut gates[2 * w..3 * w]);
            sigmoid_of(set, &raw[3 * w..], &mut gates[3 * w..]);
        }
        for (row, gates) in gates.chunks_exact(4 * w).enumerate() {
            for j in 0..w {
                let at = row * w + j;
                c[at] = gates[w + j] * before[at] + gates[j] * gates[2 * w + j];
            }
        }
        tanh_of(set, c, tanh);
        for (row, gates) in gates.chunks_exact(4 * w).enumerate() {
            for j in 0..w {
                let at = row * w + j;
                h[at] = gates[3 * w + j] * tanh[at];
            }
        }
    }

    /// `[inputs, 4 width]` → `[4 width, inputs]`, as [`LstmCell::step_back`] reads the weights.
    pub(super) fn transpose<T: Real>(&self, set: InstructionSet, weight: &[T], out: &mut [T]) {
        let transpose = TransposeTaps { taps: 1, rows: self.inputs, columns: 4 * self.width };
        transpose.apply(set, weight, out);
    }

    /// From ∂h and ∂c, the cotangents of what is in front of the gates and of z; ∂c becomes ∂c'.
    pub(super) fn step_back<T: Real>(
        &self,
        set: InstructionSet,
        transposed: &[T],
        kept: &Kept<&[T], &[T]>,
        (h_cotangent, c_cotangent): (&[T], &mut [T]),
        (gates_cotangent, z_cotangent): (&mut [T], &mut [T]),
    ) {
        let w = self.width;
        let rows = kept.gates.chunks_exact(4 * w).zip(gates_cotangent.chunks_exact_mut(4 * w));
        for (row, (gates, cotangent)) in rows.enumerate() {
            for j in 0..w {
                let at = row * w + j;
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * w + j]);
                let (tanh, dh) = (kept.tanh[at], h_cotangent[at]);
                let dc = c_cotangent[at] + dh * o * (T::ONE - tanh * tanh);
                cotangent[j] = dc * g * i * (T::ONE - i);
                cotangent[w + j] = dc * kept.before[at] * f * (T::ONE - f);
                cotangent[2 * w + j] = dc * i * (T::ONE - g * g);
                cotangent[3 * w + j] = dh * tanh * o * (T::ONE - o);
                c_cotangent[at] = dc * f;
            }
        }
        product(set, &self.backward, None, &[(&*gates_cotangent, transposed)], z_cotangent);
    }
}

/// Cuts the first `len` numbers off `rest`.
pub(super) fn cut<'r, T>(rest: &mut &'r mut [T], len: usize) -> &'r mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(len);
    *rest = tail;
    head
}

/// As [`cut`], to read.
pub(super) fn cut_shared<'r, T>(rest: &mut &'r [T], len: usize) -> &'r [T] {
    let (head, tail) = rest.split_at(len);
    *rest = tail;
    head
}
