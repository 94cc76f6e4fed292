//! A loss as a function of flat parameters, over a batch of a fixed size: its gradient, and products with its Hessian.

use std::ops::Range;

use lyceum_common::report::EpisodeReport;

use crate::episodes::{Batch, Episode};
use crate::kernels::{InstructionSet, Real, spread_over_lanes};
use crate::layers::{Feature, Layer, Loss, LossKind};
use crate::networks::{Network, Plan};
use crate::ops::{Aligned, InductiveValues, Pass, Planner, Slot, Statistics, Tangents, Values};
use crate::profile::At;
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

/// Runs a layer's program by an interpreter; where the program is is for a profile to know.
type RunProgram<'r, T> = dyn FnMut(&mut dyn Pass<T>, At, &dyn Fn(&mut dyn Pass<T>)) + 'r;

/// A point in parameter space with a batch, and all that was computed there.
pub(crate) struct Frame<T>(Aligned<T>);

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
        let mut plan = Plan { planner: &mut planner, examples, abreast, adapted, layers };
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
        self.load_inputs(frame, batch);
        convert(&batch.targets, &mut frame.0[self.loss.targets.range()]);
    }

    /// Takes a batch's examples over into `frame`, and not what they are to give.
    pub(crate) fn load_inputs(&self, frame: &mut Frame<T>, batch: &Batch) {
        convert(&batch.inputs, &mut frame.0[self.inputs.range()]);
    }

    /// Takes an episode over into `frame`: support and query examples as one batch, and the query's targets. Where there
    /// are several outputs for each class, all of them have its target.
    pub(crate) fn load_episode(&self, frame: &mut Frame<T>, episode: &Episode) {
        let Episode { support, query } = episode;
        let inputs = &mut frame.0[self.inputs.range()];
        let (first, second) = inputs.split_at_mut(support.inputs.len());
        convert(&support.inputs, first);
        convert(&query.inputs, second);
        let targets = &mut frame.0[self.loss.targets.range()];
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
            for (row, to) in rows.iter().zip(frame.0[to.range()].chunks_exact_mut(width)) {
                let row = *row as usize;
                convert(&from[row * width..(row + 1) * width], to);
            }
        }
    }

    /// How many parameters it is a function of.
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// The point θ of `frame`.
    pub(crate) fn parameters<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.parameters.range()]
    }

    /// As [`Objective::parameters`], to be moved.
    pub(crate) fn parameters_mut<'f>(&self, frame: &'f mut Frame<T>) -> &'f mut [T] {
        &mut frame.0[self.parameters.range()]
    }

    /// The point of `frame`, to be moved, and the gradient that [`Objective::gradient`] left there.
    pub(crate) fn move_from<'f>(&self, frame: &'f mut Frame<T>) -> (&'f mut [T], &'f [T]) {
        let (parameters, gradient) = (self.parameters.range(), self.gradient.range());
        let (before, after) = frame.0.split_at_mut(gradient.start);
        (&mut before[parameters], &after[..gradient.len()])
    }

    /// Writes θ to `out`: of problems side by side, once for each.
    pub(crate) fn spread(&self, theta: &[T], out: &mut [T]) {
        if self.abreast == 1 {
            out.copy_from_slice(theta);
        } else {
            spread_over_lanes(self.instruction_set, theta, out);
        }
    }

    /// θ as [`Objective::spread`] writes it: itself, where there is one problem alone, and else in `room`.
    pub(crate) fn in_lanes<'v>(&self, theta: &'v [T], room: &'v mut [T]) -> &'v [T] {
        if self.abreast == 1 {
            return theta;
        }
        self.spread(theta, room);
        room
    }

    /// Moves `frame` to θ.
    pub(crate) fn set_parameters(&self, frame: &mut Frame<T>, theta: &[T]) {
        frame.0[self.parameters.range()].copy_from_slice(theta);
    }

    /// The gradient that [`Objective::gradient`] left in `frame`.
    pub(crate) fn gradient_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.gradient.range()]
    }

    /// The program's outputs, a row for each target.
    pub(crate) fn outputs_of<'f>(&self, frame: &'f Frame<T>) -> &'f [T] {
        &frame.0[self.loss.outputs.value.range()]
    }

    /// Every batch norm's (μ, r), and over how many numbers each of them was taken.
    pub(crate) fn statistics_of<'f>(
        &'f self,
        frame: &'f Frame<T>,
    ) -> impl Iterator<Item = (&'f [T], usize)> {
        self.statistics.iter().map(|at| (&frame.0[at.slot.range()], at.rows))
    }

    /// Numbers for every batch norm, one behind the other, cut into those of each.
    pub(crate) fn by_norm<'s>(&'s self, numbers: &'s [T]) -> impl Iterator<Item = &'s [T]> {
        self.statistics.iter().scan(numbers, |left, at| {
            let (here, later) = left.split_at(at.slot.len());
            *left = later;
            Some(here)
        })
    }

    /// The outputs and the loss, at the frame's θ.
    pub(crate) fn predict(&self, frame: &mut Frame<T>) {
        let mut pass = Values { instruction_set: self.instruction_set, values: &mut frame.0 };
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
        let mut pass = InductiveValues {
            values: Values { instruction_set: self.instruction_set, values: &mut frame.0 },
            statistics,
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

    /// The gradient by θ of Σ c ∘ outputs, where `cotangent` writes c, given the outputs that [`Objective::predict`] left.
    pub(crate) fn pull_back(&self, frame: &mut Frame<T>, cotangent: impl FnOnce(&[T], &mut [T])) {
        let outputs = self.loss.outputs;
        let (before, after) = frame.0.split_at_mut(outputs.output_cotangent().range().start);
        cotangent(&before[outputs.value.range()], &mut after[..outputs.value.len()]);
        let mut pass = Values { instruction_set: self.instruction_set, values: &mut frame.0 };
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
        assert!(self.has_tangents, "an objective without adapted parameters has no Hessian");
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

    /// Runs the programs of a gradient and of a Hessian-vector product along the gradient layer by layer, each by way
    /// of `run`, which is given the interpreter, the place, and the layer's program.
    pub(crate) fn profile(
        &self,
        frame: &mut Frame<T>,
        plane: &mut TangentPlane<T>,
        run: &mut RunProgram<'_, T>,
    ) {
        let mut programs =
            |pass: &mut dyn Pass<T>, [forward, backward]: [&'static str; 2], tangent| {
                for (layer, program) in self.layers.iter().enumerate() {
                    let at = At { program: forward, tangent, layer };
                    run(pass, at, &|pass| program.forward(pass));
                }
                let at = At { program: backward, tangent, layer: self.layers.len() };
                run(pass, at, &|pass| self.loss.backward(pass));
                for (layer, program) in self.layers.iter().enumerate().rev() {
                    let at = At { program: backward, tangent, layer };
                    run(pass, at, &|pass| program.backward(pass));
                }
            };
        let instruction_set = self.instruction_set;
        programs(
            &mut Values { instruction_set, values: &mut frame.0 },
            ["forward", "backward"],
            false,
        );
        if !self.has_tangents {
            return;
        }
        let direction = &frame.0[self.gradient.range()];
        plane.0[self.parameters.range()].copy_from_slice(direction);
        let mut pass = Tangents { instruction_set, values: &frame.0, tangents: &mut plane.0 };
        programs(&mut pass, ["forward tangent", "backward tangent"], true);
    }

    /// Loss, and the share of rows whose largest output has the largest target, where rows stand for classes.
    pub(crate) fn report(&self, frame: &Frame<T>) -> Reports {
        let losses = &frame.0[self.loss.value.range()][..self.abreast];
        let accuracy = if self.loss.tells_apart() { self.accuracy(frame) } else { 0.0 };
        Reports::of(losses.iter().map(|loss| EpisodeReport { loss: loss.to_f64(), accuracy }))
    }

    fn accuracy(&self, frame: &Frame<T>) -> f64 {
        let width = self.loss.width;
        let outputs = self.outputs_of(frame).chunks_exact(width);
        let targets = frame.0[self.loss.targets.range()].chunks_exact(width);
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
