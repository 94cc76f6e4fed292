//! Steps along a gradient, and along a product with the Hessian. Of problems side by side they are taken as the gradient
//! comes, which is then not kept.

use super::{Frame, Objective, TangentPlane};
use crate::kernels::{Origin, Real};
use crate::ops::{From, Step, Tangents, Values, take_step};

impl<T: Real> Objective<T> {
    /// `to = from + scale · ∇L` at the frame's θ. All values but ∇L are kept in the frame.
    pub(crate) fn step(&self, frame: &mut Frame<T>, from: From, scale: T, to: &mut [T]) {
        if self.abreast > 1 {
            self.predict(frame);
            let step = Some(self.taken(from, scale, to));
            return self.backward(&mut Values { step, ..self.values(frame) });
        }
        self.gradient(frame);
        let origin = match from {
            From::Zero => Origin::Zero,
            From::There => Origin::There,
            From::Here => Origin::At(self.parameters(frame)),
        };
        take_step(self.instruction_set, (origin, scale), self.gradient_of(frame), to);
    }

    /// `to += scale · H v`, with H v as [`Objective::hessian_vector_product`] has it.
    pub(crate) fn step_along_product(
        &self,
        frame: &Frame<T>,
        plane: &mut TangentPlane<T>,
        scale: T,
        to: &mut [T],
    ) {
        if self.abreast > 1 {
            let step = Some(self.taken(From::There, scale, to));
            return self.differentiate(&mut Tangents { step, ..self.tangents(frame, plane) });
        }
        let product = self.hessian_vector_product(frame, plane);
        take_step(self.instruction_set, (Origin::There, scale), product, to);
    }

    fn taken<'s>(&self, from: From, scale: T, to: &'s mut [T]) -> Step<'s, T> {
        assert_eq!(to.len(), self.parameters.len(), "a step leads to where there are parameters");
        let (parameters, gradient) = (self.parameters, self.gradient);
        Step { parameters, gradient, from, scale, to }
    }
}
