//! Batch norm of its own after each number of inner steps (Antoniou et al. 2019, section 4, "per-step batch
//! normalization weights and biases" and "running statistics"): γₖ and βₖ are meta-parameters that no inner step changes,
//! and every φₖ is normalised by its own. The query set is by those of the φₖ at which it is looked at.

use std::ops::Range;

use lyceum_common::config::{Definition, MamlConfig};
use lyceum_common::layout::{Layout, Role};

use crate::kernels::Real;
use crate::learners::running;

/// Where γₖ, βₖ and the running statistics lie; nothing where all steps share the network's.
#[derive(Default)]
pub(super) struct StepNorms {
    /// Every γ and β among the network's parameters, which are those of φ₀.
    network: Vec<Range<usize>>,
    /// Where those of φ₁ begin among the meta-parameters; those of φ₂ lie behind, and so on.
    affine: usize,
    /// The running statistics of φ₀; those of φ₁ lie behind, and so on.
    running: Range<usize>,
    /// The inner steps in training.
    steps: usize,
}

impl StepNorms {
    pub(super) fn new(config: &MamlConfig, network: &Layout) -> Self {
        if !config.batch_norm_per_step {
            return Self::default();
        }
        let layout = config.layout(network);
        let own = |name: &str| layout.get(&format!("step.1.{name}"));
        let norms = || network.entries().iter().filter(|entry| own(&entry.name).is_some());
        let affine = norms().next().and_then(|entry| own(&entry.name)).map_or(0, |own| own.offset);
        let mut buffers = layout.entries().iter().filter(|entry| entry.role == Role::Buffer);
        let running = buffers.next().map_or(0, |entry| entry.offset);
        let statistics = (layout.len() - running) / (config.inner_steps + 1);
        Self {
            network: norms().map(|entry| entry.range()).collect(),
            affine,
            running: running..running + statistics,
            steps: config.inner_steps,
        }
    }

    /// How many numbers the running statistics after a step are.
    pub(super) fn statistics(&self) -> usize {
        self.running.len()
    }

    /// The γₖ and βₖ, k > 0: where they lie in φ, and where among the meta-parameters.
    fn of_step(&self, k: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let all: usize = self.network.iter().map(Range::len).sum();
        let mut next = self.affine + (k - 1) * all;
        self.network.iter().map(move |at| {
            let start = next;
            next += at.len();
            (at.clone(), start..next)
        })
    }

    /// Gives φₖ its γₖ and βₖ; beyond the last that are learned, these.
    pub(super) fn enter<T: Real>(&self, k: usize, theta: &[T], phi: &mut [T]) {
        for (at, own) in self.of_step(k.clamp(1, self.steps.max(1))) {
            phi[at].copy_from_slice(&theta[own]);
        }
    }

    /// Moves the gradient by φₖ's γₖ and βₖ from λ to `out`: φₖ₋₁ has others. Those of φ₀ are the network's.
    pub(super) fn leave<T: Real>(&self, k: usize, lambda: &mut [T], out: &mut [T]) {
        if k == 0 {
            return;
        }
        for (at, own) in self.of_step(k) {
            out[own].copy_from_slice(&lambda[at.clone()]);
            lambda[at].fill(T::ZERO);
        }
    }

    fn running_after(&self, k: usize) -> Range<usize> {
        let start = self.running.start + k.min(self.steps) * self.running.len();
        start..start + self.running.len()
    }

    /// The change of the running statistics of φₖ by those of a batch.
    pub(super) fn change<'b, T: Real>(
        &self,
        k: usize,
        batch: impl Iterator<Item = (&'b [T], usize)>,
        theta: &[T],
        out: &mut [T],
    ) {
        if !self.network.is_empty() {
            let at = self.running_after(k);
            running::change(batch, &theta[at.clone()], &mut out[at]);
        }
    }

    /// The running statistics of φₖ, where there are any.
    pub(super) fn running<'t, T>(&self, k: usize, theta: &'t [T]) -> Option<&'t [T]> {
        (!self.network.is_empty()).then(|| &theta[self.running_after(k)])
    }
}
