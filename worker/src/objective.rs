//! A loss as a function of flat parameters, over a batch of a fixed size: its gradient, and products with its Hessian.

use std::ops::Range;

use lyceum_common::report::EpisodeReport;

use crate::episodes::Batch;
use crate::kernels::{InstructionSet, Real};
use crate::layers::{Feature, Layer, Loss, LossKind};
use crate::networks::{Network, Plan};
use crate::ops::{Aligned, InductiveValues, Planner, Slot, Tangents, Values};

/// The mean loss of a network on a batch. Immutable: threads share it, each with frames of its own.
pub(crate) struct Objective<T> {
    instruction_set: InstructionSet,
    examples: usize,
    layers: Vec<Box<dyn Layer<T>>>,
    loss: Loss,
    kind: LossKind,
    plane: usize,
    parameters: Slot,
    gradient: Slot,
    inputs: Slot,
    outputs: Slot,
    statistics: Vec<Slot>,
}

/// A point in parameter space with a batch, and all that was computed there.
pub(crate) struct Frame<T>(Aligned<T>);

/// What tangents are computed in: needed once, whatever the number of frames.
pub(crate) struct TangentPlane<T>(Aligned<T>);

impl<T: Real> Objective<T> {
    /// `adapted` is the part of the flat parameters that directions of Hessian-vector products lie in.
    pub(crate) fn new(
        network: &Network,
        kind: LossKind,
        examples: usize,
        adapted: Range<usize>,
        instruction_set: InstructionSet,
    ) -> Self {
        let mut planner = Planner::new(network.layout().len());
        let inputs = planner.slot(examples * network.input_len(), false);
        let mut plan = Plan { planner: &mut planner, examples, adapted, layers: Vec::new() };
        let outputs = network.plan(&mut plan, Feature { value: inputs, cotangent: None });
        let layers = plan.layers;
        let loss = Loss::plan(&mut planner, kind, examples, outputs);
        let (plane, parameters, gradient, statistics) = planner.finish();
        let outputs = outputs.value;
        Self {
            instruction_set,
            examples,
            layers,
            loss,
            kind,
            plane,
            parameters,
            gradient,
            inputs,
            outputs,
            statistics,
        }
    }

    pub(crate) fn frame(&self) -> Frame<T> {
        Frame(Aligned::zeros(self.plane))
    }

    pub(crate) fn tangent_plane(&self) -> TangentPlane<T> {
        TangentPlane(Aligned::zeros(self.plane))
    }

    /// Bytes that a frame takes.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.plane * size_of::<T>()
    }

    /// How many examples a batch has.
    pub(crate) fn examples(&self) -> usize {
        self.examples
    }

    /// The instruction set that it computes with.
    pub(crate) fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    /// Takes a batch over into `frame`.
    pub(crate) fn load(&self, frame: &mut Frame<T>, batch: &Batch) {
        convert(&batch.inputs, &mut frame.0[self.inputs.range()]);
        convert(&batch.targets, &mut frame.0[self.loss.targets.range()]);
    }

    /// Takes the examples `rows` of a batch over into `frame`.
    pub(crate) fn load_rows(&self, frame: &mut Frame<T>, batch: &Batch, rows: &[u32]) {
        assert_eq!(rows.len(), self.examples, "as many rows as the batch has examples");
        for (from, to) in [(&batch.inputs, self.inputs), (&batch.targets, self.loss.targets)] {
            let width = to.len() / self.examples;
            for (row, to) in rows.iter().zip(frame.0[to.range()].chunks_exact_mut(width)) {
                let row = *row as usize;
                convert(&from[row * width..(row + 1) * width], to);
            }
        }
    }

    /// The point θ of `frame`.
    pub(crate) fn parameters<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.parameters.range()]
    }

    /// Moves `frame` to θ.
    pub(crate) fn set_parameters(&self, frame: &mut Frame<T>, theta: &[T]) {
        frame.0[self.parameters.range()].copy_from_slice(theta);
    }

    /// The gradient that [`Objective::gradient`] left in `frame`.
    pub(crate) fn gradient_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.gradient.range()]
    }

    /// The network's outputs, `[examples, outputs]`.
    pub(crate) fn outputs_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.outputs.range()]
    }

    /// The network's outputs and the loss, at the frame's θ.
    pub(crate) fn predict(&self, frame: &mut Frame<T>) {
        let mut pass = Values { instruction_set: self.instruction_set, values: &mut frame.0 };
        for layer in &self.layers {
            layer.forward(&mut pass);
        }
        self.loss.forward(&mut pass);
    }

    /// As [`Objective::predict`], with batch norm's statistics from `other`, a frame of `other_objective` that holds
    /// what [`Objective::predict`] or [`Objective::gradient`] left there.
    pub(crate) fn predict_inductively(
        &self,
        frame: &mut Frame<T>,
        other_objective: &Self,
        other: &Frame<T>,
    ) {
        let mut pass = InductiveValues {
            values: Values { instruction_set: self.instruction_set, values: &mut frame.0 },
            other: &other.0,
            statistics: other_objective.statistics.iter(),
        };
        for layer in &self.layers {
            layer.forward(&mut pass);
        }
        self.loss.forward(&mut pass);
    }

    /// ∇L at the frame's θ; all values are kept in the frame.
    pub(crate) fn gradient(&self, frame: &mut Frame<T>) {
        self.predict(frame);
        let mut pass = Values { instruction_set: self.instruction_set, values: &mut frame.0 };
        self.loss.backward(&mut pass);
        for layer in self.layers.iter().rev() {
            layer.backward(&mut pass);
        }
    }

    /// H v at the θ whose values [`Objective::gradient`] kept in `frame`: the tangent of the gradient along v.
    ///
    /// v is zero outside the adapted part.
    pub(crate) fn hessian_vector_product<'t>(
        &self,
        frame: &Frame<T>,
        v: &[T],
        plane: &'t mut TangentPlane<T>,
    ) -> &'t [T] {
        plane.0[self.parameters.range()].copy_from_slice(v);
        let mut pass = Tangents {
            instruction_set: self.instruction_set,
            values: &frame.0,
            tangents: &mut plane.0,
        };
        for layer in &self.layers {
            layer.forward(&mut pass);
        }
        self.loss.backward(&mut pass);
        for layer in self.layers.iter().rev() {
            layer.backward(&mut pass);
        }
        &plane.0[self.gradient.range()]
    }

    /// Loss, and the share of examples whose largest output is that of the largest target.
    pub(crate) fn report(&self, frame: &Frame<T>) -> EpisodeReport {
        let loss = frame.0[self.loss.value.range()][0].to_f64();
        if self.kind != LossKind::CrossEntropy {
            return EpisodeReport { loss, accuracy: 0.0 };
        }
        let width = self.outputs.len() / self.examples;
        let outputs = frame.0[self.outputs.range()].chunks_exact(width);
        let targets = frame.0[self.loss.targets.range()].chunks_exact(width);
        let right = outputs
            .zip(targets)
            .filter(|(output, target)| argmax(output) == argmax(target))
            .count();
        EpisodeReport { loss, accuracy: right as f64 / self.examples as f64 }
    }

    /// Products (each with an addition) of a gradient, and of a Hessian-vector product, counted as if the border's
    /// zeros were multiplied: forward, both gradients but for the first layer's input, and twice that less what does
    /// not move.
    pub(crate) fn products(&self) -> (usize, usize) {
        let (mut gradient, mut hessian) = (0, 0);
        for products in self.layers.iter().map(|layer| layer.products()) {
            gradient += products.nominal * if products.input_gradient { 3 } else { 2 };
            hessian += products.nominal * if products.input_gradient { 6 } else { 2 };
        }
        (gradient, hessian)
    }
}

fn convert<T: Real>(from: &[f32], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "a batch has the size that was planned");
    for (to, &from) in to.iter_mut().zip(from) {
        *to = T::from_f64(f64::from(from));
    }
}

/// The first of the largest.
fn argmax<T: Real>(values: &[T]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}
