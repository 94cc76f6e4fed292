//! A loss as a function of flat parameters, over a batch of a fixed size: its gradient, and products with its Hessian.

mod profiled;
mod steps;

use std::ops::Range;

use lyceum_common::report::EpisodeReport;

use crate::episodes::{Batch, Episode};
use crate::kernels::{InstructionSet, Real};
use crate::layers::{Feature, Layer, Loss, LossKind};
use crate::networks::{Network, Plan};
use crate::ops::{
    Aligned, InductiveValues, Pass, Plane, Planner, Slot, Statistics, Tangents, Values,
};
use crate::reports::Reports;

/// The mean loss of a program on a batch. Immutable: threads share it, each with frames of its own.
pub(crate) struct Objective<T> {
    instruction_set: InstructionSet,
    examples: usize,
    abreast: usize,
    layers: Vec<Box<dyn Layer<T>>>,
    loss: Loss,
    plane: usize,
    parameters: Slot,
    gradient: Slot,
    inputs: Slot,
    statistics: Vec<Statistics>,
    has_tangents: bool,
}

/// A point in parameter space with a batch, and all that was computed there.
pub(crate) struct Frame<T> {
    plane: Aligned<T>,
    /// As in [`Plane`]: none, or all parameters.
    shared: usize,
}

/// What tangents are computed in: needed once, whatever the number of frames.
pub(crate) struct TangentPlane<T>(Aligned<T>);

impl<T: Real> Objective<T> {
    /// The loss of a network's outputs on `examples` examples. `adapted` is the part of the flat parameters that
    /// directions of Hessian-vector products lie in; where it is empty, there are none.
    pub(crate) fn new(
        network: &Network,
        kind: LossKind,
        examples: usize,
        adapted: Range<usize>,
        instruction_set: InstructionSet,
    ) -> Self {
        Self::side_by_side(network, kind, (examples, 1), adapted, instruction_set)
    }

    /// As [`Objective::new`], of `abreast` problems side by side: every number, of the parameters as of the examples, is
    /// there as often, one behind the other.
    pub(crate) fn side_by_side(
        network: &Network,
        kind: LossKind,
        (examples, abreast): (usize, usize),
        adapted: Range<usize>,
        instruction_set: InstructionSet,
    ) -> Self {
        Self::plan(network, (examples, abreast), adapted, instruction_set, |plan, inputs| {
            let outputs = network.plan(plan, inputs);
            Loss::plan_side_by_side(plan.planner, kind, examples, abreast, outputs)
        })
    }

    /// The loss that `program` lays out over `examples` examples and the trained parameters of `network`.
    pub(crate) fn of_program(
        network: &Network,
        examples: usize,
        adapted: Range<usize>,
        instruction_set: InstructionSet,
        program: impl FnOnce(&mut Plan<'_, T>, Feature) -> Loss,
    ) -> Self {
        Self::plan(network, (examples, 1), adapted, instruction_set, program)
    }

    fn plan(
        network: &Network,
        (examples, abreast): (usize, usize),
        adapted: Range<usize>,
        instruction_set: InstructionSet,
        program: impl FnOnce(&mut Plan<'_, T>, Feature) -> Loss,
    ) -> Self {
        let has_tangents = !adapted.is_empty();
        let mut planner = Planner::new(network.layout().trained().len() * abreast, has_tangents);
        let inputs = planner.slot(examples * network.input_len() * abreast, false);
        let layers = Vec::new();
        let precision = network.precision();
        let mut plan =
            Plan { planner: &mut planner, examples, abreast, adapted, precision, layers };
        let loss = program(&mut plan, Feature { value: inputs, cotangent: None });
        let layers = plan.layers;
        let (plane, parameters, gradient, statistics) = planner.finish();
        Self {
            instruction_set,
            examples,
            abreast,
            layers,
            loss,
            plane,
            parameters,
            gradient,
            inputs,
            statistics,
            has_tangents,
        }
    }

    pub(crate) fn frame(&self) -> Frame<T> {
        Frame { plane: Aligned::zeros(self.plane), shared: 0 }
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
        self.load_inputs(frame, batch);
        convert(&batch.targets, &mut frame.plane[self.loss.targets.range()]);
    }

    /// Takes a batch's examples over into `frame`, and not what they are to give.
    pub(crate) fn load_inputs(&self, frame: &mut Frame<T>, batch: &Batch) {
        convert(&batch.inputs, &mut frame.plane[self.inputs.range()]);
    }

    /// Takes an episode over into `frame`: support and query examples as one batch, and the query's targets. Where there
    /// are several outputs for each class, all of them have its target.
    pub(crate) fn load_episode(&self, frame: &mut Frame<T>, episode: &Episode) {
        let Episode { support, query } = episode;
        let inputs = &mut frame.plane[self.inputs.range()];
        let (first, second) = inputs.split_at_mut(support.inputs.len());
        convert(&support.inputs, first);
        convert(&query.inputs, second);
        let targets = &mut frame.plane[self.loss.targets.range()];
        let each = targets.len() / query.targets.len();
        assert_eq!(targets.len(), each * query.targets.len(), "classes have as many outputs each");
        for (targets, &target) in targets.chunks_exact_mut(each).zip(&query.targets) {
            targets.fill(T::from_f64(f64::from(target)));
        }
    }

    /// Takes the examples `rows` of a batch over into `frame`.
    pub(crate) fn load_rows(&self, frame: &mut Frame<T>, batch: &Batch, rows: &[u32]) {
        assert_eq!(rows.len(), self.examples, "as many rows as the batch has examples");
        for (from, to) in [(&batch.inputs, self.inputs), (&batch.targets, self.loss.targets)] {
            let width = to.len() / self.examples;
            for (row, to) in rows.iter().zip(frame.plane[to.range()].chunks_exact_mut(width)) {
                let row = *row as usize;
                convert(&from[row * width..(row + 1) * width], to);
            }
        }
    }

    /// How many parameters it is a function of.
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// How many numbers a point consists of that problems side by side have in common.
    pub(crate) fn common_parameter_count(&self) -> usize {
        self.parameters.len() / self.abreast
    }

    /// The point θ of `frame`, as it was written: a vector for each parameter, or a number that problems side by side
    /// have in common.
    pub(crate) fn parameters<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.plane[self.parameters.range_where_shared(frame.shared)]
    }

    /// Where to write another point.
    pub(crate) fn parameters_mut<'f>(&self, frame: &'f mut Frame<T>) -> &'f mut [T] {
        frame.shared = 0;
        &mut frame.plane[self.parameters.range()]
    }

    /// The same of a point that problems side by side have in common.
    pub(crate) fn common_parameters_mut<'f>(&self, frame: &'f mut Frame<T>) -> &'f mut [T] {
        frame.shared = if self.abreast > 1 { self.parameters.len() } else { 0 };
        &mut frame.plane[self.parameters.range_where_shared(frame.shared)]
    }

    /// The point of `frame`, to be moved, and the gradient that [`Objective::gradient`] left there.
    pub(crate) fn move_from<'f>(&self, frame: &'f mut Frame<T>) -> (&'f mut [T], &'f [T]) {
        let (parameters, gradient) = (self.parameters.range(), self.gradient.range());
        frame.shared = 0;
        let (before, after) = frame.plane.split_at_mut(gradient.start);
        (&mut before[parameters], &after[..gradient.len()])
    }

    /// Moves `frame` to θ: of problems side by side a vector for each parameter, or a number that they have in common.
    pub(crate) fn set_parameters(&self, frame: &mut Frame<T>, theta: &[T]) {
        if theta.len() == self.parameters.len() {
            self.parameters_mut(frame).copy_from_slice(theta);
        } else {
            self.common_parameters_mut(frame).copy_from_slice(theta);
        }
    }

    /// The gradient that [`Objective::gradient`] left in `frame`.
    pub(crate) fn gradient_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.plane[self.gradient.range()]
    }

    /// The program's outputs, a row for each target.
    pub(crate) fn outputs_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.plane[self.loss.outputs.value.range()]
    }

    /// For every row the one of `ways` classes whose output is the largest.
    pub(crate) fn classes(&self, frame: &Frame<T>, ways: usize) -> impl Iterator<Item = usize> {
        let width = self.loss.width;
        let rows = self.outputs_of(frame).chunks_exact(width);
        rows.map(move |outputs| argmax(outputs) / (width / ways))
    }

    /// What speaks for each of `ways` classes, for every row one behind the other; of several outputs for a class, the
    /// largest counts.
    pub(crate) fn scores(&self, frame: &Frame<T>, ways: usize) -> Vec<f64> {
        let mut outputs: Vec<f64> = self.outputs_of(frame).iter().map(|x| x.to_f64()).collect();
        outputs.chunks_exact_mut(self.loss.width).for_each(|row| self.loss.score(row));
        // Not `f64::max`, which passes over what is not a number.
        let larger = |a: f64, b: f64| if a >= b || a.is_nan() { a } else { b };
        let largest = |of_class: &[f64]| of_class.iter().copied().fold(f64::NEG_INFINITY, larger);
        outputs.chunks_exact(self.loss.width / ways).map(largest).collect()
    }

    /// Every batch norm's (μ, r), and over how many numbers each of them was taken.
    pub(crate) fn statistics_of<'f>(
        &'f self,
        frame: &'f Frame<T>,
    ) -> impl Iterator<Item = (&'f [T], usize)> {
        self.statistics.iter().map(|at| (&frame.plane[at.slot.range()], at.rows))
    }

    /// Numbers for every batch norm, one behind the other, cut into those of each.
    pub(crate) fn by_norm<'s>(&'s self, numbers: &'s [T]) -> impl Iterator<Item = &'s [T]> {
        self.statistics.iter().scan(numbers, |left, at| {
            let (here, later) = left.split_at(at.slot.len());
            *left = later;
            Some(here)
        })
    }

    fn values<'f>(&self, frame: &'f mut Frame<T>) -> Values<'f, T> {
        let Frame { plane, shared } = frame;
        let (instruction_set, shared) = (self.instruction_set, *shared);
        Values { instruction_set, values: plane, shared, step: None }
    }

    fn tangents<'f>(&self, frame: &'f Frame<T>, plane: &'f mut TangentPlane<T>) -> Tangents<'f, T> {
        Tangents {
            instruction_set: self.instruction_set,
            values: Plane { numbers: &frame.plane, shared: frame.shared },
            tangents: &mut plane.0,
            step: None,
        }
    }

    /// The outputs and the loss, at the frame's θ.
    pub(crate) fn predict(&self, frame: &mut Frame<T>) {
        let mut pass = self.values(frame);
        for layer in &self.layers {
            layer.forward(&mut pass);
        }
        self.loss.forward(&mut pass);
    }

    /// As [`Objective::predict`], with every batch norm's (μ, r) as given.
    pub(crate) fn predict_inductively<'s>(
        &self,
        frame: &mut Frame<T>,
        statistics: impl Iterator<Item = &'s [T]>,
    ) {
        let mut pass = InductiveValues { values: self.values(frame), statistics };
        for layer in &self.layers {
            layer.forward(&mut pass);
        }
        self.loss.forward(&mut pass);
    }

    /// ∇L at the frame's θ; all values are kept in the frame.
    pub(crate) fn gradient(&self, frame: &mut Frame<T>) {
        self.predict(frame);
        self.backward(&mut self.values(frame));
    }

    fn backward(&self, pass: &mut dyn Pass<T>) {
        self.loss.backward(pass);
        for layer in self.layers.iter().rev() {
            layer.backward(pass);
        }
    }

    /// The gradient by θ of Σ c ∘ outputs, where `cotangent` writes c, given the outputs that [`Objective::predict`] left.
    pub(crate) fn pull_back(&self, frame: &mut Frame<T>, cotangent: impl FnOnce(&[T], &mut [T])) {
        let outputs = self.loss.outputs;
        let (before, after) = frame.plane.split_at_mut(outputs.output_cotangent().range().start);
        cotangent(&before[outputs.value.range()], &mut after[..outputs.value.len()]);
        let mut pass = self.values(frame);
        for layer in self.layers.iter().rev() {
            layer.backward(&mut pass);
        }
    }

    /// The direction v that [`Objective::hessian_vector_product`] takes; zero outside the adapted part.
    pub(crate) fn direction<'t>(&self, plane: &'t mut TangentPlane<T>) -> &'t mut [T] {
        &mut plane.0[self.parameters.range()]
    }

    /// H v at the θ whose values [`Objective::gradient`] kept in `frame`: the tangent of the gradient along the
    /// plane's direction.
    pub(crate) fn hessian_vector_product<'t>(
        &self,
        frame: &Frame<T>,
        plane: &'t mut TangentPlane<T>,
    ) -> &'t [T] {
        self.differentiate(&mut self.tangents(frame, plane));
        &plane.0[self.gradient.range()]
    }

    fn differentiate(&self, pass: &mut Tangents<'_, T>) {
        assert!(self.has_tangents, "an objective without adapted parameters has no Hessian");
        for layer in &self.layers {
            layer.forward(pass);
        }
        self.backward(pass);
    }

    /// Loss, and the share of rows whose largest output has the largest target, where rows stand for classes.
    pub(crate) fn report(&self, frame: &Frame<T>) -> Reports {
        let losses = &frame.plane[self.loss.value.range()][..self.abreast];
        let accuracy = if self.loss.tells_apart() { self.accuracy(frame) } else { 0.0 };
        Reports::of(losses.iter().map(|loss| EpisodeReport { loss: loss.to_f64(), accuracy }))
    }

    fn accuracy(&self, frame: &Frame<T>) -> f64 {
        let width = self.loss.width;
        let outputs = self.outputs_of(frame).chunks_exact(width);
        let targets = frame.plane[self.loss.targets.range()].chunks_exact(width);
        let rows = outputs.len();
        let right = outputs
            .zip(targets)
            .filter(|(output, target)| target[argmax(output)] == target[argmax(target)])
            .count();
        right as f64 / rows as f64
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
