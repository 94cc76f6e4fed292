//! Full-context embeddings (Vinyals et al. 2016, appendix A): what a support example or a query is in the eyes of the whole
//! support set.

use super::{Feature, Layer, Parameter};
use crate::kernels::{Grid, Outer, Real};
use crate::ops::{
    AttentionLstm, AttentionLstmBackward, LstmSequence, LstmSequenceBackward, Pass, Planner,
    RowCotangent, Slot, SumOfThree, SumOverGroup, SumRows,
};

/// An LSTM's weights `[inputs, 4 width]`, of the step's input and of the state before, and biases.
struct LstmParameters {
    weight: Parameter,
    bias: Parameter,
    gradient: Outer,
    /// All steps' gates.
    gates: Grid,
}

impl LstmParameters {
    fn plan(planner: &mut Planner, inputs: usize, gates: Grid, gradient: Outer) -> Self {
        let weight = Parameter::plan(planner, inputs * gates.channels, true);
        let bias = Parameter::plan(planner, gates.channels, true);
        Self { weight, bias, gradient, gates }
    }

    /// The gradients, from all steps' z and the cotangents of their gates.
    fn backward<T: Real>(&self, pass: &mut dyn Pass<T>, z: Slot, gates: Slot) {
        pass.bilinear(&self.gradient, None, z, gates, self.weight.gradient);
        pass.linear(&SumRows(self.gates), gates, self.bias.gradient);
    }
}

/// One direction of a bidirectional LSTM.
struct Direction {
    op: LstmSequence,
    parameters: LstmParameters,
    kept: Slot,
    back: Slot,
}

impl Direction {
    fn plan(planner: &mut Planner, rows: usize, width: usize, reversed: bool) -> Self {
        let op = LstmSequence::new(rows, width, reversed);
        let gates = Grid { rows, channels: 4 * width };
        let gradient = op.cell.weight_gradient(rows);
        let parameters = LstmParameters::plan(planner, op.cell.inputs, gates, gradient);
        let (kept, back) = (op.kept(), LstmSequenceBackward(&op).len());
        let (kept, back) = (planner.slot(kept, true), planner.slot(back, true));
        Self { op, parameters, kept, back }
    }
}

/// gᵢ = h→ᵢ + h←ᵢ + g'ᵢ, of an LSTM that reads the support set forward and one that reads it backward: all `[rows, width]`.
pub(crate) struct BidirectionalLstm {
    width: usize,
    x: Feature,
    directions: [Direction; 2],
    pub(crate) y: Feature,
}

impl BidirectionalLstm {
    pub(crate) fn plan(planner: &mut Planner, width: usize, x: Feature) -> Self {
        let rows = x.value.len() / width;
        let directions = [false, true].map(|back| Direction::plan(planner, rows, width, back));
        Self { width, x, directions, y: Feature::plan(planner, x.value.len(), true) }
    }
}

impl<T: Real> Layer<T> for BidirectionalLstm {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        for Direction { op, parameters, kept, .. } in &self.directions {
            let inputs = [self.x.value, parameters.weight.value, parameters.bias.value];
            pass.nonlinear(op, &inputs, *kept);
        }
        let [first, last] =
            self.directions.each_ref().map(|Direction { op, kept, .. }| kept.part(op.h()));
        pass.nonlinear(&SumOfThree, &[self.x.value, first, last], self.y.value);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let dy = self.y.output_cotangent();
        for Direction { op, parameters, kept, back } in &self.directions {
            let backward = LstmSequenceBackward(op);
            pass.nonlinear(&backward, &[*kept, parameters.weight.value, dy], *back);
            parameters.backward(pass, kept.part(op.z()), back.part(backward.gates()));
        }
        let [first, last] = self
            .directions
            .each_ref()
            .map(|Direction { op, back, .. }| back.part(LstmSequenceBackward(op).z()));
        let op = RowCotangent { width: self.width };
        pass.nonlinear(&op, &[dy, first, last], self.x.output_cotangent());
    }
}

/// f = h_K of an LSTM that attends to the support examples g: queries are `[rows, width]`, g `[supports, width]`.
pub(crate) struct AttendingLstm {
    op: AttentionLstm,
    parameters: LstmParameters,
    queries: Feature,
    supports: Feature,
    kept: Slot,
    back: Slot,
    pub(crate) y: Feature,
}

impl AttendingLstm {
    pub(crate) fn plan(
        planner: &mut Planner,
        (steps, width): (usize, usize),
        queries: Feature,
        supports: Feature,
    ) -> Self {
        let (rows, columns) = (queries.value.len() / width, supports.value.len() / width);
        let op = AttentionLstm::new(steps, rows, columns, width);
        let gates = Grid { rows: steps * rows, channels: 4 * width };
        let gradient = op.cell.weight_gradient(steps);
        let parameters = LstmParameters::plan(planner, op.cell.inputs, gates, gradient);
        let (kept, back) = (op.kept(), AttentionLstmBackward(&op).len());
        let (kept, back) = (planner.slot(kept, true), planner.slot(back, true));
        let y = Feature {
            value: kept.part(op.h()),
            cotangent: Some(planner.slot(queries.value.len(), true)),
        };
        Self { op, parameters, queries, supports, kept, back, y }
    }
}

impl<T: Real> Layer<T> for AttendingLstm {
    fn forward(&self, pass: &mut dyn Pass<T>) {
        let LstmParameters { weight, bias, .. } = &self.parameters;
        let inputs = [self.queries.value, self.supports.value, weight.value, bias.value];
        pass.nonlinear(&self.op, &inputs, self.kept);
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let (op, weight) = (AttentionLstmBackward(&self.op), self.parameters.weight.value);
        let inputs = [self.kept, self.supports.value, weight, self.y.output_cotangent()];
        pass.nonlinear(&op, &inputs, self.back);
        self.parameters.backward(pass, self.kept.part(self.op.z()), self.back.part(op.gates()));
        for (part, x) in [(op.f(), self.queries), (op.g(), self.supports)] {
            pass.linear(&copy(x), self.back.part(part), x.output_cotangent());
        }
    }
}

/// One feature for two readers.
pub(crate) struct Fork {
    x: Feature,
    pub(crate) branches: [Feature; 2],
}

impl Fork {
    pub(crate) fn plan(planner: &mut Planner, x: Feature) -> Self {
        // Their cotangents are neighbours: two groups of one sum.
        let len = x.value.len();
        let cotangents = planner.slot(2 * len, true);
        let branches = [0..len, len..2 * len]
            .map(|at| Feature { value: x.value, cotangent: Some(cotangents.part(at)) });
        Self { x, branches }
    }

    fn cotangents(&self) -> Slot {
        let [first, second] = self.branches.map(|branch| branch.output_cotangent());
        first.joined(second)
    }
}

impl<T: Real> Layer<T> for Fork {
    fn forward(&self, _: &mut dyn Pass<T>) {
        // Both read the same values.
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        let sum = SumOverGroup { divisor: 1, members: 2, channels: self.x.value.len() };
        pass.linear(&sum, self.cotangents(), self.x.output_cotangent());
    }
}

/// x → x.
fn copy(x: Feature) -> SumOverGroup {
    SumOverGroup { divisor: 1, members: 1, channels: x.value.len() }
}
