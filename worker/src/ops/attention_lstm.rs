//! An LSTM that reads each query again and again, with what it attends to among the support examples (Vinyals et al. 2016,
//! appendix A.1).
//!
//! ĥₖ, cₖ = LSTM(f', [hₖ₋₁, rₖ₋₁], cₖ₋₁);  hₖ = ĥₖ + f';  rₖ = Σᵢ aₖᵢ gᵢ;  aₖ = softmax over i of hₖ · gᵢ, for k = 1 … K, from
//! ĥ₀ = c₀ = 0 on.

use std::ops::Range;

use super::dot_product::dot;
use super::lstm_cell::{Kept, LstmCell, cut, cut_shared};
use super::{Nonlinear, inputs};
use crate::kernels::{InstructionSet, Real, softmax};

/// K steps over queries `[rows, width]` and support examples `[supports, width]`.
pub(crate) struct AttentionLstm {
    pub(crate) cell: LstmCell,
    pub(crate) steps: usize,
    pub(crate) supports: usize,
}

impl AttentionLstm {
    pub(crate) fn new(steps: usize, rows: usize, supports: usize, width: usize) -> Self {
        Self { cell: LstmCell::new(rows, 3 * width, width), steps, supports }
    }

    /// What [`Nonlinear::value`] writes: z, gates, c, tanh c and attention of all steps, the scores and raw gates of one, and h_K.
    pub(crate) fn kept(&self) -> usize {
        let (cell, state) = (&self.cell, self.cell.state());
        let attention = cell.rows * self.supports;
        let steps = self.steps * (cell.rows * cell.inputs + 4 * state + state + state + attention);
        steps + state + attention + 4 * state + state
    }

    /// All z, within what is kept.
    pub(crate) fn z(&self) -> Range<usize> {
        0..self.steps * self.cell.rows * self.cell.inputs
    }

    /// h_K, within what is kept.
    pub(crate) fn h(&self) -> Range<usize> {
        self.kept() - self.cell.state()..self.kept()
    }
}

/// (f', g, weight, bias) → all that is kept.
impl<T: Real> Nonlinear<T> for AttentionLstm {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [f, g, weight, bias] = inputs(x);
        let Self { cell, steps, supports } = self;
        let (w, state, attention) = (cell.width, cell.state(), cell.rows * supports);
        let mut rest = out;
        let z = cut(&mut rest, steps * 3 * state);
        let gates = cut(&mut rest, steps * 4 * state);
        let c = cut(&mut rest, (steps + 1) * state);
        let tanh = cut(&mut rest, steps * state);
        let a = cut(&mut rest, steps * attention);
        let scores = cut(&mut rest, attention);
        let (raw, h) = (cut(&mut rest, 4 * state), rest);
        c[..state].fill(T::ZERO);
        h.copy_from_slice(f);
        for k in 0..*steps {
            let a = &mut a[k * attention..][..attention];
            for (h, scores) in h.chunks_exact(w).zip(scores.chunks_exact_mut(*supports)) {
                for (g, score) in g.chunks_exact(w).zip(scores) {
                    *score = dot(h, g);
                }
            }
            softmax(set, *supports, scores, a);
            let z = &mut z[k * 3 * state..][..3 * state];
            for (row, z) in z.chunks_exact_mut(3 * w).enumerate() {
                z[..w].copy_from_slice(&f[row * w..][..w]);
                z[w..2 * w].copy_from_slice(&h[row * w..][..w]);
                let r = &mut z[2 * w..];
                r.fill(T::ZERO);
                for (g, &a) in g.chunks_exact(w).zip(&a[row * supports..]) {
                    r.iter_mut().zip(g).for_each(|(r, &g)| *r = *r + a * g);
                }
            }
            let (before, after) = c.split_at_mut((k + 1) * state);
            let kept = Kept {
                gates: &mut gates[k * 4 * state..][..4 * state],
                before: &before[k * state..],
                tanh: &mut tanh[k * state..][..state],
            };
            let out = (&mut *raw, &mut after[..state], &mut *h);
            cell.step(set, (weight, bias, &*z), kept, out);
            h.iter_mut().zip(f).for_each(|(h, &f)| *h = *h + f);
        }
    }
}

/// (kept, g, weight, ∂h_K) → the transposed weights, the gates' cotangents and those of z of all steps, those of two states,
/// ∂f' and ∂g.
pub(crate) struct AttentionLstmBackward<'s>(pub(crate) &'s AttentionLstm);

impl AttentionLstmBackward<'_> {
    pub(crate) fn len(&self) -> usize {
        self.g().end
    }

    /// The gates' cotangents of all steps.
    pub(crate) fn gates(&self) -> Range<usize> {
        let start = self.0.cell.inputs * 4 * self.0.cell.width;
        start..start + self.0.steps * 4 * self.0.cell.state()
    }

    /// ∂f'.
    pub(crate) fn f(&self) -> Range<usize> {
        let state = self.0.cell.state();
        let start = self.gates().end + self.0.steps * 3 * state + 2 * state;
        start..start + state
    }

    /// ∂g.
    pub(crate) fn g(&self) -> Range<usize> {
        let start = self.f().end;
        start..start + self.0.supports * self.0.cell.width
    }
}

impl<T: Real> Nonlinear<T> for AttentionLstmBackward<'_> {
    fn value(&self, set: InstructionSet, x: &[&[T]], out: &mut [T]) {
        let [mut kept, g, weight, h_cotangent] = inputs(x);
        let AttentionLstm { cell, steps, supports } = self.0;
        let (w, state, attention) = (cell.width, cell.state(), cell.rows * supports);
        let z = cut_shared(&mut kept, steps * 3 * state);
        let gates = cut_shared(&mut kept, steps * 4 * state);
        let c = cut_shared(&mut kept, (steps + 1) * state);
        let tanh = cut_shared(&mut kept, steps * state);
        let a = cut_shared(&mut kept, steps * attention);
        let mut rest = out;
        let transposed = cut(&mut rest, weight.len());
        let gates_cotangent = cut(&mut rest, steps * 4 * state);
        let z_cotangent = cut(&mut rest, steps * 3 * state);
        let (dc, dh) = (cut(&mut rest, state), cut(&mut rest, state));
        let (df, dg) = (cut(&mut rest, state), rest);
        cell.transpose(set, weight, transposed);
        for zero in [&mut *dc, &mut *df, &mut *dg] {
            zero.fill(T::ZERO);
        }
        dh.copy_from_slice(h_cotangent);
        for k in (0..*steps).rev() {
            let kept = Kept {
                gates: &gates[k * 4 * state..][..4 * state],
                before: &c[k * state..][..state],
                tanh: &tanh[k * state..][..state],
            };
            let dz = &mut z_cotangent[k * 3 * state..][..3 * state];
            let gates_cotangent = &mut gates_cotangent[k * 4 * state..][..4 * state];
            let out = (gates_cotangent, &mut *dz);
            cell.step_back(set, transposed, &kept, (&*dh, &mut *dc), out);
            // hₖ = ĥₖ + f', and f' is read as well.
            add(dh, df);
            for (row, dz) in dz.chunks_exact(3 * w).enumerate() {
                let (df, dh) = (&mut df[row * w..][..w], &mut dh[row * w..][..w]);
                add(&dz[..w], df);
                dh.copy_from_slice(&dz[w..2 * w]);
                // r = Σ aᵢ gᵢ, and a = softmax(h · g): ∂sᵢ = aᵢ (∂r · gᵢ − Σⱼ aⱼ ∂r · gⱼ), where Σⱼ aⱼ gⱼ is r.
                let (dr, z) = (&dz[2 * w..], &z[k * 3 * state + row * 3 * w..][..3 * w]);
                let (h, r) = (&z[w..2 * w], &z[2 * w..]);
                let mean = dot(dr, r);
                let a = &a[k * attention + row * supports..][..*supports];
                for ((g, dg), &a) in g.chunks_exact(w).zip(dg.chunks_exact_mut(w)).zip(a) {
                    let ds = a * (dot(dr, g) - mean);
                    for j in 0..w {
                        dg[j] = dg[j] + a * dr[j] + ds * h[j];
                        dh[j] = dh[j] + ds * g[j];
                    }
                }
            }
        }
        // h₀ = f'.
        add(dh, df);
    }
}

/// `out += x`.
fn add<T: Real>(x: &[T], out: &mut [T]) {
    out.iter_mut().zip(x).for_each(|(out, &x)| *out = *out + x);
}
