//! An objective's programs, layer by layer, for a profile.

use super::{Frame, Objective, TangentPlane};
use crate::kernels::Real;
use crate::layers::Layer as _;
use crate::ops::Pass;
use crate::profile::At;

/// Runs a layer's program by an interpreter; where the program is is for a profile to know.
type RunProgram<'r, T> = dyn FnMut(&mut dyn Pass<T>, At, &dyn Fn(&mut dyn Pass<T>)) + 'r;

impl<T: Real> Objective<T> {
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
        programs(&mut self.values(frame), ["forward", "backward"], false);
        if !self.has_tangents {
            return;
        }
        let direction = &frame.plane[self.gradient.range()];
        plane.0[self.parameters.range()].copy_from_slice(direction);
        let mut pass = self.tangents(frame, plane);
        programs(&mut pass, ["forward tangent", "backward tangent"], true);
    }
}
