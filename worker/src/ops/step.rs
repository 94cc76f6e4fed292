//! A step along a gradient that is taken as the gradient comes, a parameter after the other: it is not kept, and nothing
//! goes through memory a second time for it.

use super::Slot;
use crate::kernels::pointwise::{add_scaled, scale, scaled_sum};
use crate::kernels::{InstructionSet, Origin, Real};

/// to = from + scale · gradient.
pub(crate) struct Step<'s, T> {
    /// All parameters and all gradients.
    pub(crate) parameters: Slot,
    pub(crate) gradient: Slot,
    pub(crate) from: From,
    pub(crate) scale: T,
    pub(crate) to: &'s mut [T],
}

/// Where a step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At zero.
    Zero,
    /// At what is where it leads.
    There,
    /// At the point whose gradient it is along.
    Here,
}

/// Of a part of a step, from where and how far.
pub(crate) type Part<'a, T> = (Origin<'a, T>, T);

impl<T: Real> Step<'_, T> {
    /// The part of it that is along the gradient at `out`, if one is there, and where to. `here` reads the parameter.
    pub(super) fn along<'a>(
        &'a mut self,
        out: Slot,
        here: impl FnOnce(Slot) -> &'a [T],
    ) -> Option<(Part<'a, T>, &'a mut [T])> {
        let start = out.range().start.checked_sub(self.gradient.range().start)?;
        let part = start..start + out.len();
        let to = self.to.get_mut(part.clone())?;
        let from = match self.from {
            From::Zero => Origin::Zero,
            From::There => Origin::There,
            From::Here => Origin::At(here(self.parameters.part(part))),
        };
        Some(((from, self.scale), to))
    }
}

/// A step along a gradient that is there.
pub(crate) fn take_step<T: Real>(
    instruction_set: InstructionSet,
    (from, length): Part<'_, T>,
    gradient: &[T],
    to: &mut [T],
) {
    match from {
        Origin::Zero => scale(instruction_set, length, gradient, to),
        Origin::There => add_scaled(instruction_set, length, gradient, to),
        Origin::At(from) => scaled_sum(instruction_set, length, from, gradient, to),
    }
}
