//! The path of an inner loop: every θₖ, and at as many of them as a budget allows all that was computed there.

use crate::episodes::Batch;
use crate::kernels::Real;
use crate::objective::{Frame, Objective};

/// θ₀ … θ_K, with the values of the first steps kept and those of the others recomputed when the sweep comes back.
pub(crate) struct Trajectory<T> {
    /// θ₀ … θ_K, one behind the other.
    thetas: Vec<T>,
    parameters: usize,
    /// A frame for each step whose values are kept, and a last one that the other steps share.
    frames: Vec<Frame<T>>,
    /// The step whose values the shared frame holds.
    shared: Option<usize>,
    steps: usize,
}

impl<T: Real> Trajectory<T> {
    /// A path of `steps` steps that keeps values within `budget` bytes beyond the one frame that it always needs.
    pub(crate) fn new(objective: &Objective<T>, steps: usize, budget: usize) -> Self {
        let shared = objective.frame();
        let parameters = objective.parameters(&shared).len();
        let kept = (budget / objective.frame_bytes()).min(steps.saturating_sub(1));
        let mut frames: Vec<_> = (0..kept).map(|_| objective.frame()).collect();
        frames.push(shared);
        Self {
            thetas: vec![T::ZERO; (steps + 1) * parameters],
            parameters,
            frames,
            shared: None,
            steps,
        }
    }

    /// Begins on a batch, at the θ₀ that `begin` writes.
    pub(crate) fn start(
        &mut self,
        objective: &Objective<T>,
        batch: &Batch,
        begin: impl FnOnce(&mut [T]),
    ) {
        begin(&mut self.thetas[..self.parameters]);
        self.shared = None;
        for frame in &mut self.frames {
            objective.load(frame, batch);
        }
    }

    /// Computes g(θₖ), and θₖ₊₁ by `step`, which is given g, θₖ, and where to write. Gives the values at θₖ.
    pub(crate) fn advance(
        &mut self,
        objective: &Objective<T>,
        k: usize,
        step: impl FnOnce(&[T], &[T], &mut [T]),
    ) -> &Frame<T> {
        self.compute(objective, k);
        let frame = &self.frames[k.min(self.frames.len() - 1)];
        let (before, after) = self.thetas.split_at_mut((k + 1) * self.parameters);
        let theta = &before[k * self.parameters..];
        step(objective.gradient_of(frame), theta, &mut after[..self.parameters]);
        frame
    }

    /// θₖ, from θ₀ to θ_K.
    pub(crate) fn theta(&self, k: usize) -> &[T] {
        &self.thetas[k * self.parameters..(k + 1) * self.parameters]
    }

    /// θ_K.
    pub(crate) fn end(&self) -> &[T] {
        &self.thetas[self.steps * self.parameters..]
    }

    /// The values at θₖ, computed again where they were not kept.
    pub(crate) fn revisit(&mut self, objective: &Objective<T>, k: usize) -> &Frame<T> {
        let shared = self.frames.len() - 1;
        if k >= shared && self.shared != Some(k) {
            self.compute(objective, k);
        }
        &self.frames[k.min(shared)]
    }

    fn compute(&mut self, objective: &Objective<T>, k: usize) {
        let shared = self.frames.len() - 1;
        if k >= shared {
            self.shared = Some(k);
        }
        let frame = &mut self.frames[k.min(shared)];
        objective
            .set_parameters(frame, &self.thetas[k * self.parameters..(k + 1) * self.parameters]);
        objective.gradient(frame);
    }
}
