//! Cases of a learned optimizer: an optimizee in place of support and query sets.
//!
//! | tensor | what |
//! | --- | --- |
//! | `episode/theta0` | the parameters that training begins with, in the layout's order |
//! | `episode/quadratic.w`, `.y` | W `[n, n]` and y `[n]` of f(θ) = ‖W θ − y‖² |
//! | `episode/mlp.x`, `.y` | minibatches `[steps + 1, batch, features]` and labels; minibatch t is that of fₜ |
//! | `episode/perturbations` | of PES alone: standard normal numbers `[pairs, segments, parameters]` |
//!
//! The steps are `inner_steps`, in segments of `unroll`; where that key is absent, they are one segment. The loss is the sum of
//! the optimizee's losses after each step, and these are the output.
//!
//! PES perturbs φ in a segment by σ times that segment's perturbations, the meta-parameters being in the layout's order:
//! `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh` of one layer after the other, then the output's weight and bias. The loss
//! and the output are those of the last pair's particle whose perturbations are subtracted.

use std::collections::BTreeMap;
use std::sync::Arc;

use lyceum_common::config::{
    Estimator, LearnedOptimizerConfig, LearnerConfig, LinearConfig, MlpConfig, NetworkConfig,
    Order, Shape,
};
use lyceum_common::ids::{EpisodeIndex, MetaStep, Split};
use lyceum_common::layout::Layout;
use lyceum_common::model::Head;
use lyceum_common::seed::{OfEpisode, Seed};

use super::description::{Description, Hidden, finite, needed, positive, sized};
use super::read::{Case, CaseError, CaseResult, Tensor, one_hot};
use crate::episodes::{Batch, OptimizeeSource};
use crate::kernels::InstructionSet;
use crate::layers::LossKind;
use crate::learners::{Extent, LearnedOptimizer, Optimizees, Setting, Trainee};
use crate::networks::Network;

/// Loss, the optimizee's losses and the meta-gradient.
pub(super) fn compute(
    case: &Case,
    instruction_set: InstructionSet,
) -> Result<CaseResult, CaseError> {
    let config = learner(&case.description).map_err(|error| case.described(error))?;
    let optimizee = Optimizee::read(case, config.inner_steps)?;
    let Optimizee { network, shape, outputs, loss, minibatches, start } = optimizee;
    let model = |source| CaseError::Model { path: case.path.with_extension("toml"), source };
    let network = Network::new(&network, shape, Head::Linear(outputs)).map_err(model)?;
    if start.len() != network.layout().len() {
        let problem = format!("{} numbers are needed", network.layout().len());
        return Err(case.tensor_error("episode/theta0", problem));
    }
    let size = Extent { ways: outputs, shots: 0, queries: 0 };
    let setting = Setting {
        network: &network,
        loss,
        training: size,
        evaluation: size,
        instruction_set,
        kept_bytes: usize::MAX,
        transductive: true,
        abreast: 1,
    };
    let source = Arc::new(Given { minibatches, start, outputs });
    let optimizees = Arc::new(Optimizees::<f32>::new(&setting, source, None));
    let (estimator, segments) = (config.estimator, config.inner_steps.div_ceil(config.unroll));
    let learner = LearnedOptimizer::<f32>::new(&config, instruction_set, usize::MAX);
    let layout = LearnerConfig::LearnedOptimizer(config).layout(&Layout::new());
    let phi = case.flat(&layout)?;
    let normals = perturbations(case, estimator, (segments, phi.len()))?;
    let mut trainee = Trainee::new(Arc::clone(&optimizees), learner.curved());
    let mut scratch = learner.scratch(optimizees.parameters());
    // Nothing is drawn: the optimizee is given, and what φ is perturbed by.
    let seed = Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0));
    trainee.draw(seed, Split::Train);
    let mut meta_gradient = vec![0.0; phi.len()];
    let training = learner.meta_gradient_with(
        &phi,
        &mut trainee,
        || normals.iter().copied(),
        &mut scratch,
        &mut meta_gradient,
    );
    let output = learner.losses(&scratch).iter().map(|&loss| loss as f32).collect();
    let changes = BTreeMap::new();
    Ok(CaseResult { loss: training.total, output, meta_gradient, layout, changes })
}

fn learner(description: &Description) -> Result<LearnedOptimizerConfig, (&'static str, String)> {
    let hidden = match needed("hidden", description.hidden.clone())? {
        Hidden::One(hidden) => sized("hidden", Some(hidden))?,
        Hidden::Several(_) => return Err(("hidden", "one size is needed".to_owned())),
    };
    let unroll = sized("unroll", description.unroll)?;
    let inner_steps = match description.inner_steps {
        Some(steps) => sized("inner_steps", Some(steps))?,
        None => unroll,
    };
    let estimator = match description.estimator.as_deref() {
        None | Some("back_propagation") => Estimator::BackPropagation,
        Some("pes") => Estimator::Pes {
            deviation: positive("deviation", description.deviation)?,
            pairs: sized("pairs", description.pairs)?,
        },
        Some(other) => {
            let problem = format!("`{other}` is neither back_propagation nor pes");
            return Err(("estimator", problem));
        }
    };
    Ok(LearnedOptimizerConfig {
        hidden,
        inner_steps,
        evaluation_steps: inner_steps,
        unroll,
        output_scale: finite("output_scale", description.output_scale.map(|scale| scale as f32))?,
        preprocess_p: positive("preprocess_p", description.preprocess_p.map(|p| p as f32))?,
        memory: description.memory.map_or(Ok(0), |pairs| sized("memory", Some(pairs)))?,
        batch: 0,
        initial_deviation: None,
        loss_power: 0.0,
        order: Order::First,
        estimator,
    })
}

/// What φ is perturbed by in `segments` segments, where that is estimated from.
fn perturbations(
    case: &Case,
    estimator: Estimator,
    (segments, parameters): (usize, usize),
) -> Result<Vec<f32>, CaseError> {
    match estimator {
        Estimator::BackPropagation => Ok(Vec::new()),
        Estimator::Pes { pairs, .. } => {
            let shape = [pairs, segments, parameters];
            Ok(single(&tensor(case, "perturbations", Some(&shape))?.values))
        }
    }
}

/// What a case says of its optimizee.
struct Optimizee {
    network: NetworkConfig,
    shape: Shape,
    outputs: usize,
    loss: LossKind,
    /// Of every step; the same for all where there is one.
    minibatches: Vec<Batch>,
    start: Vec<f32>,
}

impl Optimizee {
    fn read(case: &Case, steps: usize) -> Result<Self, CaseError> {
        let described = |error| case.described(error);
        let description = &case.description;
        let start = single(&tensor(case, "theta0", None)?.values);
        match needed("optimizee", description.optimizee.as_deref()).map_err(described)? {
            "quadratic" => {
                let n = sized("dimension", description.dimension).map_err(described)?;
                let inputs = single(&tensor(case, "quadratic.w", Some(&[n, n]))?.values);
                let targets = single(&tensor(case, "quadratic.y", Some(&[n]))?.values);
                Ok(Self {
                    network: NetworkConfig::Linear(LinearConfig {}),
                    shape: Shape::Vector { length: n },
                    outputs: 1,
                    loss: LossKind::SumOfSquares,
                    minibatches: vec![Batch { inputs, targets }],
                    start,
                })
            }
            "mlp" => {
                let layers = needed("layers", description.layers.clone()).map_err(described)?;
                let &[features, ref hidden @ .., outputs] = layers.as_slice() else {
                    let problem = "inputs and outputs at least are needed".to_owned();
                    return Err(described(("layers", problem)));
                };
                let layer = |&size: &usize| sized("layers", Some(size)).map(drop);
                layers.iter().try_for_each(layer).map_err(described)?;
                let batch = sized("batch", description.batch).map_err(described)?;
                let activation = needed("activation", description.activation).map_err(described)?;
                let shape = [steps + 1, batch, features];
                let x = single(&tensor(case, "mlp.x", Some(&shape))?.values);
                let y = &tensor(case, "mlp.y", Some(&shape[..2]))?.values;
                let y = one_hot(y, outputs).ok_or_else(|| {
                    case.tensor_error("episode/mlp.y", format!("labels are 0 to {}", outputs - 1))
                })?;
                let minibatch =
                    |(x, y): (&[f32], &[f32])| Batch { inputs: x.into(), targets: y.into() };
                let inputs = x.chunks_exact((batch * features).max(1));
                let minibatches = inputs.zip(y.chunks_exact((batch * outputs).max(1)));
                Ok(Self {
                    network: NetworkConfig::Mlp(MlpConfig { hidden: hidden.to_vec(), activation }),
                    shape: Shape::Vector { length: features },
                    outputs,
                    loss: LossKind::CrossEntropy,
                    minibatches: minibatches.map(minibatch).collect(),
                    start,
                })
            }
            other => {
                Err(described(("optimizee", format!("`{other}` is neither quadratic nor mlp"))))
            }
        }
    }
}

/// The episode's tensor of this name, of this shape where one is given.
fn tensor<'c>(
    case: &'c Case,
    name: &str,
    shape: Option<&[usize]>,
) -> Result<&'c Tensor, CaseError> {
    let full = format!("episode/{name}");
    let tensor = case.episode.get(name);
    let tensor = tensor.ok_or_else(|| case.tensor_error(&full, "is missing".to_owned()))?;
    match shape {
        Some(shape) if tensor.shape != shape || tensor.values.is_empty() => {
            let problem = format!("has shape {:?}, and {shape:?} is needed", tensor.shape);
            Err(case.tensor_error(&full, problem))
        }
        _ => Ok(tensor),
    }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// An optimizee from a file.
struct Given {
    minibatches: Vec<Batch>,
    start: Vec<f32>,
    outputs: usize,
}

impl OptimizeeSource for Given {
    fn minibatch(&self, _: Seed<OfEpisode>, _: Split, step: usize, batch: &mut Batch) {
        let at = step.min(self.minibatches.len() - 1);
        batch.clone_from(&self.minibatches[at]);
    }

    fn examples(&self) -> usize {
        self.minibatches.first().map_or(0, |batch| batch.targets.len() / self.outputs)
    }

    fn is_constant(&self) -> bool {
        self.minibatches.len() == 1
    }

    fn start(&self) -> Option<&[f32]> {
        Some(&self.start)
    }
}
