//! The path of an inner loop: every θₖ, and at as many of them as a budget allows all that was computed there.

use crate::episodes::Batch;
use crate::kernels::{Origin, Real};
use crate::objective::{Frame, Objective};
use crate::ops::{From, take_step};

/// θ₀ … θ_K₋₁, with the values of the first steps kept and those of the others recomputed when the sweep comes back.
pub(crate) struct Trajectory<T> {
    /// θ of the steps that share a frame, but for the last one's, one behind the other: all other θ are in their frames.
    thetas: Vec<T>,
    numbers: usize,
    /// Numbers of θ₀, which problems side by side have in common.
    common: usize,
    /// A frame for each step whose values are kept, and a last one that the other steps share.
    frames: Vec<Frame<T>>,
    /// The step whose values the shared frame holds.
    shared: Option<usize>,
    steps: usize,
}

impl<T: Real> Trajectory<T> {
    /// A path of `steps` steps that keeps values within `budget` bytes beyond the one frame that it always needs.
    pub(crate) fn new(objective: &Objective<T>, steps: usize, budget: usize) -> Self {
        let numbers = objective.parameter_count();
        let kept = (budget / objective.frame_bytes()).min(steps.saturating_sub(1));
        Self {
            thetas: vec![T::ZERO; (steps - kept).saturating_sub(1) * numbers],
            numbers,
            common: objective.common_parameter_count(),
            frames: (0..=kept).map(|_| objective.frame()).collect(),
            shared: None,
            steps,
        }
    }

    /// Begins on a batch, at the θ₀ that `begin` writes: once, for all problems side by side.
    pub(crate) fn start(
        &mut self,
        objective: &Objective<T>,
        batch: &Batch,
        begin: impl FnOnce(&mut [T]),
    ) {
        self.shared = None;
        for frame in &mut self.frames {
            objective.load(frame, batch);
        }
        match self.apart(0) {
            Some(at) => begin(&mut self.thetas[at..at + self.common]),
            None => begin(objective.common_parameters_mut(&mut self.frames[0])),
        }
    }

    /// Computes g(θₖ), and θₖ₊₁ by `step`, which is given g, θₖ, and where to write: `end`, where that is θ_K. Gives the
    /// values at θₖ.
    pub(crate) fn advance(
        &mut self,
        objective: &Objective<T>,
        k: usize,
        end: &mut [T],
        step: impl FnOnce(&[T], &[T], &mut [T]),
    ) -> &Frame<T> {
        self.compute(objective, k);
        let (here, numbers, place) = (self.numbers_of(k), self.numbers, self.frame(k));
        match (self.apart(k), self.apart(k + 1)) {
            _ if k + 1 == self.steps => {
                let frame = &self.frames[place];
                step(objective.gradient_of(frame), objective.parameters(frame), end);
            }
            (Some(at), Some(next)) => {
                let (before, after) = self.thetas.split_at_mut(next);
                let gradient = objective.gradient_of(&self.frames[place]);
                step(gradient, &before[at..at + here], &mut after[..numbers]);
            }
            (None, Some(next)) => {
                let frame = &self.frames[place];
                let next = &mut self.thetas[next..next + numbers];
                step(objective.gradient_of(frame), objective.parameters(frame), next);
            }
            (Some(at), None) => {
                let (next, gradient) = objective.move_from(&mut self.frames[place]);
                step(gradient, &self.thetas[at..at + here], next);
            }
            (None, None) => {
                let (before, after) = self.frames.split_at_mut(place + 1);
                let next = objective.parameters_mut(&mut after[0]);
                let frame = &before[place];
                step(objective.gradient_of(frame), objective.parameters(frame), next);
            }
        }
        &self.frames[place]
    }

    /// As [`advance`](Self::advance), by the step θₖ₊₁ = θₖ − `rate` · g(θₖ); g itself is not kept.
    pub(crate) fn descend(
        &mut self,
        objective: &Objective<T>,
        k: usize,
        rate: T,
        end: &mut [T],
    ) -> &Frame<T> {
        let (here, numbers, place) = (self.numbers_of(k), self.numbers, self.arrive(objective, k));
        let (from, scale) = (From::Here, -rate);
        let (from_apart, to_apart) = (self.apart(k), self.apart(k + 1));
        let (before, after) = self.frames.split_at_mut(place + 1);
        let frame = &mut before[place];
        match (from_apart, to_apart) {
            _ if k + 1 == self.steps => objective.step(frame, from, scale, end),
            (_, Some(next)) => {
                objective.step(frame, from, scale, &mut self.thetas[next..next + numbers]);
            }
            (Some(at), None) => {
                // θₖ₊₁ takes θₖ's place, which is read until all of g is there.
                objective.gradient(frame);
                let origin = Origin::At(&self.thetas[at..at + here]);
                let (next, gradient) = objective.move_from(frame);
                take_step(objective.instruction_set(), (origin, scale), gradient, next);
            }
            (None, None) => {
                objective.step(frame, from, scale, objective.parameters_mut(&mut after[0]));
            }
        }
        &self.frames[place]
    }

    /// θₖ, once step k was [revisited](Self::revisit), and none before it.
    pub(crate) fn theta(&self, objective: &Objective<T>, k: usize) -> &[T] {
        match self.apart(k) {
            Some(at) => &self.thetas[at..at + self.numbers_of(k)],
            None => objective.parameters(&self.frames[self.frame(k)]),
        }
    }

    /// The values at θₖ, computed again where they were not kept.
    pub(crate) fn revisit(&mut self, objective: &Objective<T>, k: usize) -> &Frame<T> {
        let place = self.frame(k);
        if k >= self.frames.len() - 1 && self.shared != Some(k) {
            self.compute(objective, k);
        }
        &self.frames[place]
    }

    fn compute(&mut self, objective: &Objective<T>, k: usize) {
        let place = self.arrive(objective, k);
        objective.gradient(&mut self.frames[place]);
    }

    /// The frame of step k, moved to θₖ.
    fn arrive(&mut self, objective: &Objective<T>, k: usize) -> usize {
        let (place, apart, numbers) = (self.frame(k), self.apart(k), self.numbers_of(k));
        if place == self.frames.len() - 1 {
            self.shared = Some(k);
        }
        let frame = &mut self.frames[place];
        if let Some(at) = apart {
            objective.set_parameters(frame, &self.thetas[at..at + numbers]);
        }
        place
    }

    /// Of how many numbers θₖ consists.
    fn numbers_of(&self, k: usize) -> usize {
        if k == 0 { self.common } else { self.numbers }
    }

    /// Which frame step k computes in.
    fn frame(&self, k: usize) -> usize {
        k.min(self.frames.len() - 1)
    }

    /// Where θₖ is, if apart from its frame.
    fn apart(&self, k: usize) -> Option<usize> {
        let kept = self.frames.len() - 1;
        (k >= kept && k + 1 < self.steps).then(|| (k - kept) * self.numbers)
    }
}
