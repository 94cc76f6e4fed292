//! Optimizers made by hand, which a learned one is compared with. Their constants are the usual ones; the rate is searched for.

use std::fmt;
use std::num::NonZeroUsize;

use super::limited_memory::LimitedMemory;
use crate::kernels::pointwise::{add_scaled, running_mean, running_mean_of_squares, subtract_adam};
use crate::kernels::{InstructionSet, Real};

/// The share of the last step that momentum keeps.
const MOMENTUM: f64 = 0.9;
/// RMSprop's decay, as PyTorch has it.
const DECAY: f64 = 0.99;
/// Adam's β₁ and β₂.
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// A hand-made optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandMade {
    /// θ −= α g.
    Sgd,
    /// v = μ v + g; θ −= α v, with μ = 0.9 (Polyak 1964).
    Momentum,
    /// v = μ v + g; θ −= α (g + μ v), with μ = 0.9 (Nesterov 1983, as PyTorch has it).
    Nag,
    /// v = ρ v + (1 − ρ) g²; θ −= α g / (√v + ε), with ρ = 0.99 (Tieleman and Hinton 2012).
    RmsProp,
    /// Kingma and Ba 2015, with β₁ = 0.9 and β₂ = 0.999.
    Adam,
    /// θ −= α H g, with H of so many pairs (Nocedal 1980); where there are none, of min(1, 1 / ‖g‖₁) g in the place of H g, as
    /// PyTorch has it.
    LimitedMemoryBfgs(NonZeroUsize),
}

impl HandMade {
    /// Those that look at every coordinate by itself.
    const COORDINATEWISE: [Self; 5] =
        [Self::Sgd, Self::Momentum, Self::Nag, Self::RmsProp, Self::Adam];

    /// Those beside which a learned optimizer with so many pairs in its memory is seen: each coordinate by itself, and what a
    /// memory as large makes by hand.
    pub(crate) fn beside(memory: usize) -> impl Iterator<Item = Self> {
        let with_memory = NonZeroUsize::new(memory).map(Self::LimitedMemoryBfgs);
        Self::COORDINATEWISE.into_iter().chain(with_memory)
    }
}

impl fmt::Display for HandMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgd => "SGD",
            Self::Momentum => "momentum",
            Self::Nag => "NAG",
            Self::RmsProp => "RMSprop",
            Self::Adam => "Adam",
            Self::LimitedMemoryBfgs(_) => "L-BFGS",
        })
    }
}

/// The state of a training.
pub(crate) struct Steps<T> {
    optimizer: HandMade,
    rate: f64,
    /// Running means of the gradient, the velocity or H g; and of its square.
    mean: Vec<T>,
    square: Vec<T>,
    /// β₁ᵗ and β₂ᵗ.
    powers: [f64; 2],
    memory: Option<LimitedMemory<T>>,
    instruction_set: InstructionSet,
}

impl<T: Real> Steps<T> {
    pub(crate) fn new(
        optimizer: HandMade,
        rate: f64,
        parameters: usize,
        instruction_set: InstructionSet,
    ) -> Self {
        let vector = || vec![T::ZERO; parameters];
        let memory = match optimizer {
            HandMade::LimitedMemoryBfgs(pairs) => {
                Some(LimitedMemory::new(pairs.get(), parameters, instruction_set))
            }
            _ => None,
        };
        Self {
            optimizer,
            rate,
            mean: vector(),
            square: vector(),
            powers: [1.0; 2],
            memory,
            instruction_set,
        }
    }

    /// Takes a step from θ along its gradient.
    pub(crate) fn take(&mut self, gradient: &[T], theta: &mut [T]) {
        let Self { rate, mean, square, powers, memory, instruction_set: set, .. } = self;
        let (set, real) = (*set, T::from_f64);
        if let Some(memory) = memory {
            memory.read(theta, gradient, mean);
            return add_scaled(set, real(-*rate), mean, theta);
        }
        match self.optimizer {
            HandMade::Sgd => add_scaled(set, real(-*rate), gradient, theta),
            HandMade::Momentum => {
                running_mean(set, real(MOMENTUM), T::ONE, gradient, mean);
                add_scaled(set, real(-*rate), mean, theta);
            }
            HandMade::Nag => {
                running_mean(set, real(MOMENTUM), T::ONE, gradient, mean);
                add_scaled(set, real(-*rate), gradient, theta);
                add_scaled(set, real(-*rate * MOMENTUM), mean, theta);
            }
            HandMade::RmsProp => {
                running_mean_of_squares(set, real(DECAY), real(1.0 - DECAY), gradient, square);
                subtract_adam(set, real(*rate), T::ONE, real(EPSILON), gradient, square, theta);
            }
            HandMade::Adam => {
                let [beta1, beta2] = BETAS;
                *powers = [powers[0] * beta1, powers[1] * beta2];
                running_mean(set, real(beta1), real(1.0 - beta1), gradient, mean);
                running_mean_of_squares(set, real(beta2), real(1.0 - beta2), gradient, square);
                let rate = real(*rate / (1.0 - powers[0]));
                let scale = real(1.0 / (1.0 - powers[1]));
                subtract_adam(set, rate, scale, real(EPSILON), mean, square, theta);
            }
            HandMade::LimitedMemoryBfgs(_) => unreachable!("it has a memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps from 1 on f(θ) = θ², by hand.
    #[test]
    fn every_optimizer_takes_the_steps_of_its_formula() {
        let after_two = |optimizer: HandMade| {
            let mut steps = Steps::<f64>::new(optimizer, 0.1, 1, InstructionSet::PORTABLE);
            let mut theta = [1.0];
            for _ in 0..2 {
                let gradient = [2.0 * theta[0]];
                steps.take(&gradient, &mut theta);
            }
            theta[0]
        };
        let rms = |g: f64, v: f64| 0.1 * g / (v.sqrt() + 1e-8);
        let first = 1.0 - rms(2.0, 0.01 * 4.0);
        let second = first - rms(2.0 * first, 0.99 * 0.04 + 0.01 * 4.0 * first * first);
        let adam_first = 1.0 - rms(2.0, 4.0);
        let g = 2.0 * adam_first;
        let mean = (0.9 * 0.1 * 2.0 + 0.1 * g) / (1.0 - 0.81);
        let square = (0.999 * 0.001 * 4.0 + 0.001 * g * g) / (1.0 - 0.999 * 0.999);
        for (optimizer, expected) in [
            (HandMade::Sgd, 0.8 * 0.8),
            (HandMade::Momentum, 0.8 - 0.1 * (0.9 * 2.0 + 1.6)),
            (HandMade::Nag, 0.62 - 0.1 * (1.24 + 0.9 * (0.9 * 2.0 + 1.24))),
            (HandMade::RmsProp, second),
            (HandMade::Adam, adam_first - rms(mean, square)),
            // 1 − 0.1 · 2 / 2, whence H = ½.
            (HandMade::LimitedMemoryBfgs(NonZeroUsize::MIN), 0.9 - 0.1 * 0.5 * 1.8),
        ] {
            let found = after_two(optimizer);
            assert!((found - expected).abs() < 1e-12, "{optimizer}: {found} is not {expected}");
        }
    }
}
