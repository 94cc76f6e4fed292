//! A convolution's product and its gradient by the weights, directly or by Winograd's filtering.

use super::{Bilinear, Linear};
use crate::kernels::{
    Filters, Gather, InstructionSet, Outer, Real, Winograd, add_outer_product, filter_gradient,
    outer_product, transform_filters, winograd_gradient, winograd_product,
};

/// y = start + x * w.
#[derive(Clone, Debug)]
pub(crate) enum Convolve {
    /// Of w in panels.
    Directly(Gather),
    /// Of w in panels, transformed.
    Winograd(Winograd),
}

impl<T: Real> Bilinear<T> for Convolve {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        match self {
            Self::Directly(gather) => gather.apply(instruction_set, start, terms, out),
            Self::Winograd(op) => winograd_product(instruction_set, op, start, terms, out),
        }
    }

    fn products(&self) -> usize {
        match self {
            Self::Directly(gather) => gather.products(),
            Self::Winograd(op) => op.products(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Directly(gather) => Bilinear::<T>::name(gather),
            Self::Winograd(_) => std::any::type_name::<Winograd>(),
        }
    }
}

/// ∂w of (x, ∂y), in the place of w's that the product is taken with.
pub(crate) enum ConvolveGradient {
    /// The gradient itself.
    Directly(Outer),
    /// By the transformed w.
    Winograd(Winograd),
}

impl ConvolveGradient {
    fn sum<T: Real>(
        &self,
        instruction_set: InstructionSet,
        terms: &[(&[T], &[T])],
        (out, is_blank): (&mut [T], bool),
    ) {
        match self {
            Self::Directly(outer) if is_blank => outer_product(instruction_set, outer, terms, out),
            Self::Directly(outer) => add_outer_product(instruction_set, outer, terms, out),
            Self::Winograd(op) => winograd_gradient(instruction_set, op, terms, (out, is_blank)),
        }
    }
}

impl<T: Real> Bilinear<T> for ConvolveGradient {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        assert!(start.is_none(), "a gradient by weights starts from zero");
        self.sum(instruction_set, terms, (out, true));
    }

    fn products(&self) -> usize {
        match self {
            Self::Directly(outer) => outer.products(),
            Self::Winograd(op) => op.products(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Directly(outer) => Bilinear::<T>::name(outer),
            Self::Winograd(_) => std::any::type_name::<Self>(),
        }
    }
}

/// The same, added to that of the images before.
pub(crate) struct FurtherGradient<'o>(pub(crate) &'o ConvolveGradient);

impl<T: Real> Bilinear<T> for FurtherGradient<'_> {
    fn apply(
        &self,
        instruction_set: InstructionSet,
        start: Option<&[T]>,
        terms: &[(&[T], &[T])],
        out: &mut [T],
    ) {
        assert!(start.is_none(), "it starts from what is there");
        self.0.sum(instruction_set, terms, (out, false));
    }

    fn products(&self) -> usize {
        Bilinear::<T>::products(self.0)
    }

    fn name(&self) -> &'static str {
        Bilinear::<T>::name(self.0)
    }
}

/// Filters → what Winograd's products are taken with, both in panels.
pub(crate) struct TransformFilters(pub(crate) Filters);

impl<T: Real> Linear<T> for TransformFilters {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        transform_filters(instruction_set, self.0, x, out);
    }
}

/// The transpose of [`TransformFilters`].
pub(crate) struct FilterGradient(pub(crate) Filters);

impl<T: Real> Linear<T> for FilterGradient {
    fn apply(&self, instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
        filter_gradient(instruction_set, self.0, x, out);
    }
}
