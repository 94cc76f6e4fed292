//! The transform of one weight's gradient (Park and Oliva 2019, section 3): with G a tensor of taps, inputs and outputs,
//! `M(G)[t', i', o'] = Σ M_out[o', o] M_in[i', i] M_taps[t', t] G[t, i, o]`, mode by mode: taps, inputs, outputs.

use std::ops::Range;

use crate::kernels::pointwise::add_scaled;
use crate::kernels::{
    Blocks, Gather, GatherRow, Group, InstructionSet, LANES, Outer, Real, Tap, offset,
    outer_product, panels, product, transpose_taps,
};
use crate::ops::inner_product;

/// A weight, `[taps, inputs, outputs]` in panels of outputs as kernels read it, and its matrices.
pub(super) struct Transform {
    weights: Range<usize>,
    taps: usize,
    inputs: usize,
    outputs: usize,
    /// Where M_out, M_in and M_taps are among all matrices; a linear layer has no M_taps.
    by_output: Range<usize>,
    by_input: Range<usize>,
    by_tap: Range<usize>,
    /// Rows of all taps and inputs, transformed by a matrix of outputs; and its gradient by that.
    outputs_product: Gather,
    outputs_gradient: Outer,
    /// A matrix of inputs on every tap's rows.
    inputs_product: Gather,
    /// Every input with every one, summed over taps and outputs.
    inputs_gradient: Gather,
}

/// Tensors of the largest weight's size, and a matrix of its largest mode's.
pub(super) struct Room<T> {
    /// M_taps(G), in panels.
    a: Vec<T>,
    /// M_in(M_taps(G)), its outputs side by side; then, on the way back, what comes through M_out.
    b: Vec<T>,
    c: Vec<T>,
    d: Vec<T>,
    matrix: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> Room<T> {
    /// Room for each of these.
    pub(super) fn for_all(transforms: &[Transform]) -> Self {
        let of = |length: &dyn Fn(&Transform) -> usize| {
            vec![T::ZERO; transforms.iter().map(length).max().unwrap_or(0)]
        };
        let (tensor, matrix) = (&|t: &Transform| t.len(), &|t: &Transform| t.largest().pow(2));
        let [a, b, c, d] = [of(tensor), of(tensor), of(tensor), of(tensor)];
        Self { a, b, c, d, matrix: of(matrix), gradient: of(matrix) }
    }
}

impl Transform {
    /// Of the weight at `weights`, whose matrices of `extents` (outputs, inputs, and taps if there are several) begin at
    /// `matrices`.
    pub(super) fn new(weights: Range<usize>, matrices: usize, extents: &[usize]) -> Self {
        let extent = |mode: usize| extents.get(mode).copied().unwrap_or(1);
        let (outputs, inputs, taps) = (extent(0), extent(1), extent(2));
        let by_output = matrices..matrices + outputs * outputs;
        let by_input = by_output.end..by_output.end + inputs * inputs;
        let matrix_of_taps = if extents.len() > 2 { taps * taps } else { 0 };
        let by_tap = by_input.end..by_input.end + matrix_of_taps;

        let outputs_product = Gather::matrix(taps * inputs, outputs, outputs);
        let rows = |tap: usize| {
            let row = move |i: usize| GatherRow {
                input: offset(i * inputs),
                output: offset((tap * inputs + i) * outputs),
            };
            (0..inputs).map(row).collect()
        };
        let of_tap = |tap: usize| Group {
            taps: vec![Tap { input: 0, index: offset(tap) }],
            rows: rows(tap),
        };
        let len = taps * inputs * outputs;
        let once = |input, output| Blocks { whole: 1, input, output };
        let inputs_product = Gather::new(
            (0..taps).map(of_tap).collect(),
            Vec::new(),
            once(inputs * inputs, len),
            (taps, inputs, outputs),
        );
        let tap = |tap: usize| Tap { input: offset(tap * inputs * outputs), index: offset(tap) };
        let row = |i: usize| GatherRow { input: offset(i * outputs), output: offset(i * inputs) };
        let all =
            Group { taps: (0..taps).map(tap).collect(), rows: (0..inputs).map(row).collect() };
        let inputs_gradient =
            Gather::new(vec![all], Vec::new(), once(len, inputs * inputs), (taps, outputs, inputs));
        Self {
            weights,
            taps,
            inputs,
            outputs,
            by_output,
            by_input,
            by_tap,
            outputs_gradient: Outer::of(&outputs_product),
            outputs_product,
            inputs_product,
            inputs_gradient,
        }
    }

    /// The weight's place in θ.
    pub(super) fn weights(&self) -> Range<usize> {
        self.weights.clone()
    }

    /// The end of its matrices.
    pub(super) fn end(&self) -> usize {
        self.by_tap.end
    }

    fn len(&self) -> usize {
        self.taps * self.inputs * self.outputs
    }

    fn largest(&self) -> usize {
        self.outputs.max(self.inputs)
    }

    /// Products of a transform and of its way back, which computes it again.
    pub(super) fn products(&self) -> usize {
        4 * self.outputs_product.products()
            + 3 * self.inputs_product.products()
            + self.inputs_gradient.products()
    }

    /// `out = M(g)`.
    pub(super) fn apply<T: Real>(
        &self,
        set: InstructionSet,
        matrices: &[T],
        g: &[T],
        room: &mut Room<T>,
        out: &mut [T],
    ) {
        self.first_modes(set, matrices, g, room);
        let Room { b, c, matrix, .. } = room;
        let (b, c) = (&b[..self.len()], &mut c[..self.len()]);
        let packed = &mut matrix[..self.outputs * self.outputs];
        let m = &matrices[self.by_output.clone()];
        in_panels(self.outputs, |o, o_next| m[o_next * self.outputs + o], packed);
        product(set, &self.outputs_product, None, &[(b, packed)], c);
        self.to_panels(c, out);
    }

    /// a = M_taps(G) and b = M_in(a).
    fn first_modes<T: Real>(
        &self,
        set: InstructionSet,
        matrices: &[T],
        g: &[T],
        room: &mut Room<T>,
    ) {
        let (a, b) = (&mut room.a[..self.len()], &mut room.b[..self.len()]);
        let m = &matrices[self.by_tap.clone()];
        self.mix_taps(set, |to, from| m[to * self.taps + from], g, a);
        let m = &matrices[self.by_input.clone()];
        product(set, &self.inputs_product, None, &[(m, a)], b);
    }

    /// `v = Mᵀ(u)`, and takes ∂⟨u, M(g)⟩/∂M from `gradient`, which lies as the matrices do.
    pub(super) fn pull_back<T: Real>(
        &self,
        set: InstructionSet,
        matrices: &[T],
        (g, u): (&[T], &[T]),
        room: &mut Room<T>,
        v: &mut [T],
        gradient: &mut [T],
    ) {
        self.first_modes(set, matrices, g, room);
        let (len, outputs, inputs) = (self.len(), self.outputs, self.inputs);
        let Room { a, b, c, d, matrix, gradient: sums } = room;
        let [a, b, c, d] = [a, b, c, d].map(|tensor| &mut tensor[..len]);

        // ∂M_out[o', o] = Σ u[t, i, o'] b[t, i, o]
        from_panels((self.taps * inputs, outputs), u, c);
        let sum = &mut sums[..outputs * outputs];
        outer_product(set, &self.outputs_gradient, &[(c, b)], sum);
        let in_order = &mut matrix[..outputs * outputs];
        from_panels((outputs, outputs), sum, in_order);
        add_scaled(set, -T::ONE, in_order, &mut gradient[self.by_output.clone()]);

        // Through M_out: b[t, i, o] = Σ M_out[o', o] u[t, i, o']
        let m = &matrices[self.by_output.clone()];
        in_panels(outputs, |o_next, o| m[o_next * outputs + o], in_order);
        product(set, &self.outputs_product, None, &[(c, in_order)], b);

        // ∂M_in[i', i] = Σ b[t, i', o] a[t, i, o]
        transpose_taps(set, (self.taps, inputs, outputs), a, d);
        let sum = &mut sums[..inputs * inputs];
        product(set, &self.inputs_gradient, None, &[(b, d)], sum);
        add_scaled(set, -T::ONE, sum, &mut gradient[self.by_input.clone()]);

        // Through M_in: c[t, i, o] = Σ M_in[i', i] b[t, i', o]
        self.to_panels(b, d);
        let m = &matrices[self.by_input.clone()];
        let transposed = &mut matrix[..inputs * inputs];
        for (at, value) in transposed.iter_mut().enumerate() {
            *value = m[at % inputs * inputs + at / inputs];
        }
        product(set, &self.inputs_product, None, &[(transposed, d)], c);
        self.to_panels(c, d);

        // ∂M_taps[t', t] = Σ d[t', i, o] g[t, i, o], and through M_taps.
        let (m, taps) = (&matrices[self.by_tap.clone()], self.taps);
        for (at, gradient) in gradient[self.by_tap.clone()].iter_mut().enumerate() {
            for panel in self.tap_panels() {
                let [d, g] = [(&*d, at / taps), (g, at % taps)]
                    .map(|(tensor, tap)| &tensor[panel.clone()][self.tap(&panel, tap)]);
                *gradient = *gradient - inner_product(d, g);
            }
        }
        self.mix_taps(set, |to, from| m[from * taps + to], d, v);
    }

    /// `out[to] = Σ weight(to, from) x[from]` over taps, both in panels; x itself where there is one.
    fn mix_taps<T: Real>(
        &self,
        set: InstructionSet,
        weight: impl Fn(usize, usize) -> T,
        x: &[T],
        out: &mut [T],
    ) {
        if self.by_tap.is_empty() {
            out.copy_from_slice(x);
            return;
        }
        out.fill(T::ZERO);
        for panel in self.tap_panels() {
            let (x, out) = (&x[panel.clone()], &mut out[panel.clone()]);
            for to in 0..self.taps {
                for from in 0..self.taps {
                    let x = &x[self.tap(&panel, from)];
                    add_scaled(set, weight(to, from), x, &mut out[self.tap(&panel, to)]);
                }
            }
        }
    }

    /// Where each panel is.
    fn tap_panels(&self) -> impl Iterator<Item = Range<usize>> {
        let rows = self.taps * self.inputs;
        let outputs = self.outputs;
        (0..outputs)
            .step_by(LANES)
            .map(move |first| first * rows..outputs.min(first + LANES) * rows)
    }

    /// Where a tap's numbers are in a panel.
    fn tap(&self, panel: &Range<usize>, tap: usize) -> Range<usize> {
        let each = panel.len() / self.taps;
        tap * each..(tap + 1) * each
    }

    /// `[taps, inputs, outputs]`, its outputs side by side, in panels.
    fn to_panels<T: Real>(&self, from: &[T], to: &mut [T]) {
        let (rows, columns) = (self.taps * self.inputs, self.outputs);
        for panel in self.tap_panels() {
            let (first, width) = (panel.start / rows, panel.len() / rows);
            for (to, from) in to[panel].chunks_exact_mut(width).zip(from.chunks_exact(columns)) {
                to.copy_from_slice(&from[first..first + width]);
            }
        }
    }
}

/// `[rows, columns]` in panels, its columns side by side.
fn from_panels<T: Real>((rows, columns): (usize, usize), from: &[T], to: &mut [T]) {
    for first in (0..columns).step_by(LANES) {
        let width = LANES.min(columns - first);
        let panel = &from[first * rows..(first + width) * rows];
        for (to, from) in to.chunks_exact_mut(columns).zip(panel.chunks_exact(width)) {
            to[first..first + width].copy_from_slice(from);
        }
    }
}

/// A square matrix, given by row and column, in panels.
fn in_panels<T: Real>(size: usize, matrix: impl Fn(usize, usize) -> T, to: &mut [T]) {
    for (to, plain) in to.iter_mut().zip(panels(size, size)) {
        *to = matrix(plain / size, plain % size);
    }
}
