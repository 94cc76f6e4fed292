//! What a learned optimizer trains: a sequence of functions f₀, f₁, … of parameters θ, in the paper's words an optimizee.

use std::sync::Arc;

use lyceum_common::ids::Split;
use lyceum_common::layout::Layout;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Purpose, Seed};

use super::Setting;
use crate::episodes::{Batch, OptimizeeSource};
use crate::kernels::{InstructionSet, Real};
use crate::objective::{Frame, Objective, TangentPlane};

/// A sequence of functions, walked through from f₀ on.
pub(crate) trait Optimizee<T: Real> {
    /// Writes the θ that training begins with, and goes back to f₀.
    fn start(&mut self, theta: &mut [T]);

    /// f and ∇f of the next function at θ.
    fn next(&mut self, theta: &[T], gradient: &mut [T]) -> EpisodeReport;

    /// H v of function `at` at the θ that it was called with.
    fn hessian_vector_product(&mut self, at: usize, v: &[T], out: &mut [T]);
}

/// A distribution over optimizees: a network's loss on minibatches, from random parameters. Threads share it.
pub(crate) struct Optimizees<T> {
    objective: Objective<T>,
    source: Arc<dyn OptimizeeSource>,
    /// How θ begins, and for each place that the worker computes with its place there.
    layout: Layout,
    order: Vec<u32>,
}

impl<T: Real> Optimizees<T> {
    /// The losses of the setting's network on the minibatches of `source`, from parameters that are normal with
    /// `deviation`, or as the network has them where absent.
    pub(crate) fn new(
        setting: &Setting<'_>,
        source: Arc<dyn OptimizeeSource>,
        deviation: Option<f32>,
    ) -> Self {
        let Setting { network, loss, instruction_set, .. } = *setting;
        let layout = network.layout().clone();
        let moving = 0..layout.len();
        let objective = Objective::new(network, loss, source.examples(), moving, instruction_set);
        let layout = match deviation {
            Some(deviation) => layout.with_normal(deviation),
            None => layout,
        };
        let order = network.order(&layout);
        Self { objective, source, layout, order }
    }

    /// How many parameters an optimizee has.
    pub(crate) fn parameters(&self) -> usize {
        self.order.len()
    }

    /// The instruction set that its losses are computed with.
    pub(crate) fn instruction_set(&self) -> InstructionSet {
        self.objective.instruction_set()
    }

    /// Products of a function and its gradient, and of a Hessian-vector product.
    pub(crate) fn products(&self) -> (usize, usize) {
        self.objective.products()
    }
}

/// One thread's optimizee, drawn anew by [`Trainee::draw`].
pub(crate) struct Trainee<T> {
    optimizees: Arc<Optimizees<T>>,
    episode: Option<(Seed<OfEpisode>, Split)>,
    step: usize,
    batch: Batch,
    /// Of the last functions, as many as Hessian-vector products may be asked of.
    frames: Vec<Frame<T>>,
    tangents: Option<TangentPlane<T>>,
    drawn: Vec<f32>,
}

impl<T: Real> Trainee<T> {
    /// `curved` is how many functions back Hessian-vector products go; 0 where there are none.
    pub(crate) fn new(optimizees: Arc<Optimizees<T>>, curved: usize) -> Self {
        let objective = &optimizees.objective;
        Self {
            frames: (0..curved.max(1)).map(|_| objective.frame()).collect(),
            tangents: (curved > 0).then(|| objective.tangent_plane()),
            drawn: vec![0.0; optimizees.parameters()],
            optimizees,
            episode: None,
            step: 0,
            batch: Batch::default(),
        }
    }

    /// Becomes the optimizee of `seed`.
    pub(crate) fn draw(&mut self, seed: Seed<OfEpisode>, split: Split) {
        self.episode = Some((seed, split));
        self.step = 0;
    }
}

impl<T: Real> Optimizee<T> for Trainee<T> {
    fn start(&mut self, theta: &mut [T]) {
        self.step = 0;
        let Optimizees { source, layout, order, .. } = &*self.optimizees;
        let (seed, _) = self.episode.expect("drawn before it is trained");
        let start = match source.start() {
            Some(start) => start,
            None => {
                layout.initialise_into(seed.stream(Purpose::Start), &mut self.drawn);
                &self.drawn
            }
        };
        for (theta, &place) in theta.iter_mut().zip(order) {
            *theta = T::from_f64(f64::from(start[place as usize]));
        }
    }

    fn next(&mut self, theta: &[T], gradient: &mut [T]) -> EpisodeReport {
        let Optimizees { objective, source, .. } = &*self.optimizees;
        if let Some((seed, split)) = self.episode
            && (self.step == 0 || !source.is_constant())
        {
            source.minibatch(seed, split, self.step, &mut self.batch);
        }
        let at = self.step % self.frames.len();
        let frame = &mut self.frames[at];
        objective.load(frame, &self.batch);
        objective.set_parameters(frame, theta);
        objective.gradient(frame);
        gradient.copy_from_slice(objective.gradient_of(frame));
        self.step += 1;
        objective.report(frame).alone()
    }

    fn hessian_vector_product(&mut self, at: usize, v: &[T], out: &mut [T]) {
        let tangents = self.tangents.as_mut().expect("planned with Hessian-vector products");
        let frame = &self.frames[at % self.frames.len()];
        let objective = &self.optimizees.objective;
        objective.direction(tangents).copy_from_slice(v);
        out.copy_from_slice(objective.hessian_vector_product(frame, tangents));
    }
}
