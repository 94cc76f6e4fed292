//! A head that begins as a prototypical network (Triantafillou et al. 2020, section 3.2, "Proto-MAML"):
//! −‖z − cₖ‖² = 2cₖ · z − ‖cₖ‖² + …, the rest being the same for all classes, so the weights are 2cₖ and the biases −‖cₖ‖².

use std::ops::Range;
use std::sync::Arc;

use crate::episodes::Batch;
use crate::kernels::{InstructionSet, Real, panels};
use crate::layers::{GroupSum, Loss, LossKind};
use crate::learners::{Extent, Setting};
use crate::networks::Network;
use crate::objective::{Frame, Objective};
use crate::ops::inner_product;

/// The head as a function of the encoder and the support set.
pub(super) struct PrototypeHead<T> {
    /// Its outputs are the cₖ, `[ways, width]`; no loss is asked for.
    prototypes: Arc<Objective<T>>,
    width: usize,
    weights: Range<usize>,
    biases: Range<usize>,
    /// For each weight, its place among the cₖ.
    places: Vec<u32>,
}

impl<T: Real> PrototypeHead<T> {
    /// Of `network`, which is the setting's of training or of evaluation.
    pub(super) fn new(setting: &Setting<'_>, network: &Network, size: Extent) -> Self {
        let encoder = network.encoder().expect("a checked run has an encoder to take means of");
        let head = network.head();
        let (weights, biases) = (head.start..head.end - size.ways, head.end - size.ways..head.end);
        let width = weights.len() / size.ways;
        Self {
            prototypes: Arc::new(prototypes(&encoder, size, width, setting.instruction_set)),
            width,
            // A weight of feature i and class k lies in panels of `[width, ways]`.
            places: panels(width, size.ways)
                .map(|place| crate::kernels::offset(place % size.ways * width + place / size.ways))
                .collect(),
            weights,
            biases,
        }
    }

    pub(super) fn frame(&self) -> Frame<T> {
        self.prototypes.frame()
    }

    /// Gives φ the head that its encoder makes of the support set.
    pub(super) fn begin(&self, support: &Batch, frame: &mut Frame<T>, phi: &mut [T]) {
        let encoder = self.prototypes.parameter_count();
        self.prototypes.load_inputs(frame, support);
        self.prototypes.set_parameters(frame, &phi[..encoder]);
        self.prototypes.predict(frame);
        let c = self.prototypes.outputs_of(frame);
        let two = T::from_f64(2.0);
        for (weight, &place) in phi[self.weights.clone()].iter_mut().zip(&self.places) {
            *weight = two * c[place as usize];
        }
        for (bias, c) in phi[self.biases.clone()].iter_mut().zip(c.chunks_exact(self.width)) {
            *bias = -inner_product(c, c);
        }
    }

    /// Adds to the encoder's part of λ what comes through the head's: ∂cₖ = 2 ∂wₖ − 2cₖ ∂bₖ, and then back through the
    /// encoder.
    pub(super) fn differentiate(&self, frame: &mut Frame<T>, lambda: &mut [T]) {
        let two = T::from_f64(2.0);
        self.prototypes.pull_back(frame, |c, c_cotangent| {
            for (&weight, &place) in lambda[self.weights.clone()].iter().zip(&self.places) {
                c_cotangent[place as usize] = two * weight;
            }
            let biases = &lambda[self.biases.clone()];
            let classes = c_cotangent.chunks_exact_mut(self.width).zip(c.chunks_exact(self.width));
            for ((cotangent, c), &bias) in classes.zip(biases) {
                for (cotangent, &c) in cotangent.iter_mut().zip(c) {
                    *cotangent = *cotangent - two * c * bias;
                }
            }
        });
        for (lambda, &more) in lambda.iter_mut().zip(self.prototypes.gradient_of(frame)) {
            *lambda = *lambda + more;
        }
    }
}

fn prototypes<T: Real>(
    encoder: &Network,
    size: Extent,
    width: usize,
    set: InstructionSet,
) -> Objective<T> {
    let trained = encoder.layout().trained().len();
    Objective::of_program(encoder, size.support(), 0..trained, set, |plan, images| {
        let z = encoder.plan(plan, images);
        let mean = GroupSum::mean(plan.planner, size.shots, width, z);
        let c = mean.y;
        plan.layers.push(Box::new(mean));
        Loss::plan(plan.planner, LossKind::SumOfSquares, size.ways, c)
    })
}
