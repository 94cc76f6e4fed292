//! The meta-gradient against finite differences in f64, the estimate against the gradient, and the same bits everywhere.

use std::sync::Arc;

use lyceum_common::config::{LearnerConfig, RunConfig, load};
use lyceum_common::ids::{EpisodeIndex, MetaStep, Split};
use lyceum_common::model::Head;

use super::*;
use crate::episodes::optimizee_source;
use crate::kernels::test_support::{numbers, same_bits};
use crate::layers::LossKind;
use crate::learners::hand_made::{HandMade, Steps};
use crate::learners::{Extent, Optimizees, Setting, Trainee};
use crate::networks::Network;

fn seed() -> Seed<OfEpisode> {
    Seed::of_run(3).step(MetaStep(0)).episode(EpisodeIndex(0))
}

fn config(overrides: &[&str]) -> (RunConfig, LearnedOptimizerConfig) {
    let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
    let config = load("quadratics-learned-optimizer", &overrides).unwrap();
    let LearnerConfig::LearnedOptimizer(learner) = config.learner.clone() else {
        unreachable!("the preset is one of a learned optimizer")
    };
    (config, learner)
}

const SMALL: &str = "learner.learned_optimizer.hidden=3";
const WAVES: [&str; 3] = [
    "data.sinusoid={}",
    "network.mlp={ hidden = [7], activation = 'tanh' }",
    "learner.learned_optimizer.batch=5",
];
/// Gradients above e⁻² alone are read as logarithms: of many coordinates some are so small that their logarithm bends within a
/// difference.
const IMAGES: [&str; 5] = [
    "data.glyphs={ classes = [3, 3, 3], images_per_class = 4, images = { image_size = 9 } }",
    "network.conv4={ filters = 4, downsample = 'stride' }",
    "episode.ways=3",
    "learner.learned_optimizer.batch=6",
    "learner.learned_optimizer.preprocess_p=2.0",
];

/// How many parameters they have, and what makes them of the preset.
fn optimizees_of_two_blocks() -> [(usize, &'static [&'static str]); 2] {
    [(19, &["data.quadratics.dimension=19"]), (22, &WAVES)]
}

/// The optimizees of a configuration.
fn optimizees<T: Real>(
    (config, learner): &(RunConfig, LearnedOptimizerConfig),
    instruction_set: InstructionSet,
) -> Arc<Optimizees<T>> {
    let head = Head::Linear(config.outputs());
    let network = Network::new(&config.network, config.data.shape(), head).unwrap();
    let size = Extent { ways: 1, shots: 0, queries: 0 };
    let setting = Setting {
        network: &network,
        loss: LossKind::of(&config.data),
        training: size,
        evaluation: size,
        instruction_set,
        kept_bytes: 0,
        transductive: true,
        abreast: 1,
    };
    let cache = tempfile::tempdir().unwrap();
    let pack = lyceum_common::data::prepare(&config.data, cache.path()).unwrap();
    let source = optimizee_source(config, learner, pack, &Split::ALL).unwrap();
    Arc::new(Optimizees::new(&setting, source, learner.initial_deviation))
}

fn phi<T: Real>(count: usize) -> Vec<T> {
    numbers(5, count).into_iter().map(|value| T::from_f64(0.3 * f64::from(value))).collect()
}

/// Losses at their own θ, gradients as they once were: what holding them constant means.
struct Recorded {
    inner: Trainee<f64>,
    gradients: Vec<Vec<f64>>,
    at: usize,
}

impl Optimizee<f64> for Recorded {
    fn start(&mut self, theta: &mut [f64]) {
        self.at = 0;
        self.inner.start(theta);
    }

    fn next(&mut self, theta: &[f64], gradient: &mut [f64]) -> EpisodeReport {
        let report = self.inner.next(theta, gradient);
        match self.gradients.get(self.at) {
            Some(recorded) => gradient.copy_from_slice(recorded),
            None => self.gradients.push(gradient.to_vec()),
        }
        self.at += 1;
        report
    }

    fn hessian_vector_product(&mut self, _: usize, _: &[f64], _: &mut [f64]) {
        unreachable!("constants have no Hessian")
    }
}

/// The meta-gradient along some directions against central differences of the meta-loss.
fn check(learner: &LearnedOptimizer<f64>, coordinates: usize, optimizee: &mut impl Optimizee<f64>) {
    check_within(1e-6, learner, coordinates, optimizee);
}

/// The same, the differences being over `h` both ways.
fn check_within(
    h: f64,
    learner: &LearnedOptimizer<f64>,
    coordinates: usize,
    optimizee: &mut impl Optimizee<f64>,
) {
    let phi = phi::<f64>(learner.parameters());
    let mut scratch = learner.scratch(coordinates);
    let mut gradient = vec![f64::NAN; phi.len()];
    let training = learner.meta_gradient(&phi, optimizee, seed(), &mut scratch, &mut gradient);
    let losses = learner.losses(&scratch)[..learner.steps].iter().enumerate();
    let sum: f64 = losses.map(|(t, &loss)| learner.weight(t + 1) * loss).sum();
    assert!((training.total - sum).abs() < 1e-9 * sum.abs());
    let mut ignored = vec![0.0; phi.len()];
    for salt in 10..14 {
        let direction = numbers(salt, phi.len());
        let mut loss_at = |step: f64| {
            let moved: Vec<f64> =
                phi.iter().zip(&direction).map(|(&p, &d)| p + step * f64::from(d)).collect();
            learner.meta_gradient(&moved, optimizee, seed(), &mut scratch, &mut ignored).total
        };
        let difference = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        let product: f64 = gradient.iter().zip(&direction).map(|(&g, &d)| g * f64::from(d)).sum();
        let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(scale > 1e-3, "there is something to compare");
        assert!(
            (product - difference).abs() < 1e-5 * scale,
            "{product} is {difference}, of {scale}"
        );
    }
}

fn trainee(
    config: &(RunConfig, LearnedOptimizerConfig),
    learner: &LearnedOptimizer<f64>,
) -> Trainee<f64> {
    let optimizees = optimizees(config, InstructionSet::PORTABLE);
    let mut trainee = Trainee::new(optimizees, learner.curved());
    trainee.draw(seed(), Split::Train);
    trainee
}

#[test]
fn the_meta_gradient_is_the_derivative_with_the_optimizees_gradients_held_constant() {
    let steps =
        ["learner.learned_optimizer.inner_steps=6", "learner.learned_optimizer.unroll=6", SMALL];
    for (coordinates, optimizee) in optimizees_of_two_blocks() {
        let config = config(&[&steps[..], optimizee].concat());
        let learner = LearnedOptimizer::new(&config.1, InstructionSet::PORTABLE, 0);
        let inner = trainee(&config, &learner);
        check(&learner, coordinates, &mut Recorded { inner, gradients: Vec::new(), at: 0 });
    }
    let config = config(&[&steps[..], &["learner.learned_optimizer.loss_power=1.5"]].concat());
    let learner = LearnedOptimizer::new(&config.1, InstructionSet::PORTABLE, 0);
    let inner = trainee(&config, &learner);
    check(&learner, 10, &mut Recorded { inner, gradients: Vec::new(), at: 0 });
}

#[test]
fn the_exact_meta_gradient_is_the_derivative() {
    // More than a window.
    let steps = [
        "learner.learned_optimizer.inner_steps=11",
        "learner.learned_optimizer.unroll=11",
        "learner.learned_optimizer.order=second",
        SMALL,
    ];
    for (coordinates, optimizee) in optimizees_of_two_blocks() {
        let config = config(&[&steps[..], optimizee].concat());
        let learner = LearnedOptimizer::new(&config.1, InstructionSet::PORTABLE, 0);
        check(&learner, coordinates, &mut trainee(&config, &learner));
    }
}

#[test]
fn the_exact_meta_gradient_of_a_convolutional_network_is_the_derivative() {
    let steps = [
        "learner.learned_optimizer.inner_steps=11",
        "learner.learned_optimizer.unroll=11",
        "learner.learned_optimizer.order=second",
        SMALL,
    ];
    let config = config(&[&IMAGES[..], &steps].concat());
    let learner = LearnedOptimizer::new(&config.1, InstructionSet::PORTABLE, 0);
    let mut trainee = trainee(&config, &learner);
    // Small enough that no ReLU turns over on the way.
    check_within(1e-7, &learner, 531, &mut trainee);
}

fn meta_gradient<T: Real>(
    config: &(RunConfig, LearnedOptimizerConfig),
    instruction_set: InstructionSet,
    kept_bytes: usize,
) -> Vec<T> {
    let learner = LearnedOptimizer::<T>::new(&config.1, instruction_set, kept_bytes);
    let optimizees = optimizees(config, instruction_set);
    let mut trainee = Trainee::new(Arc::clone(&optimizees), learner.curved());
    trainee.draw(seed(), Split::Train);
    let mut gradient = vec![T::ZERO; learner.parameters()];
    let mut scratch = learner.scratch(optimizees.parameters());
    let phi = phi(gradient.len());
    learner.meta_gradient(&phi, &mut trainee, seed(), &mut scratch, &mut gradient);
    gradient
}

#[test]
fn every_instruction_set_and_every_budget_give_the_same_bits() {
    let steps = ["learner.learned_optimizer.inner_steps=7", "learner.learned_optimizer.unroll=3"];
    // 76 parameters: two pairs of blocks of sixteen, and one alone.
    let five_blocks = "network.mlp={ hidden = [25], activation = 'tanh' }";
    let waves = [&WAVES[..], &[five_blocks]].concat();
    let first = config(&[&steps[..], &waves].concat());
    // A segment of three windows, and one of a part of a window.
    let exact = [
        "learner.learned_optimizer.order=second",
        "learner.learned_optimizer.inner_steps=23",
        "learner.learned_optimizer.unroll=19",
    ];
    let exact = config(&[&waves[..], &exact].concat());
    let pes = ["learner.learned_optimizer.estimator.pes={ deviation = 0.1, pairs = 2 }"];
    let pes = config(&[&steps[..], &waves, &pes].concat());
    let memory = config(&[&steps[..], &waves, &["learner.learned_optimizer.memory=2"]].concat());
    for config in [first, exact, pes, memory] {
        let expected = meta_gradient::<f32>(&config, InstructionSet::PORTABLE, 0);
        assert!(expected.iter().all(|value| value.is_finite()));
        assert!(expected.iter().any(|&value| value != 0.0));
        for set in InstructionSet::available() {
            // None, those that three are enough for, all.
            for kept_bytes in [0, 3 * 3 * 200 * 64, usize::MAX] {
                let found = meta_gradient(&config, set, kept_bytes);
                assert!(same_bits(&found, &expected), "{set}, {kept_bytes} bytes");
            }
        }
    }
}

#[test]
fn evolution_strategies_come_to_the_whole_trajectorys_gradient_and_segments_do_not() {
    let steps = ["learner.learned_optimizer.inner_steps=6", "learner.learned_optimizer.hidden=2"];
    let with = |more: &[&str]| {
        let config = config(&[&steps[..], more].concat());
        meta_gradient::<f64>(&config, InstructionSet::PORTABLE, usize::MAX)
    };
    let whole = with(&["learner.learned_optimizer.order=second"]);
    let segments =
        with(&["learner.learned_optimizer.order=second", "learner.learned_optimizer.unroll=2"]);
    let pes = with(&[
        "learner.learned_optimizer.estimator.pes={ deviation = 0.003, pairs = 10000 }",
        "learner.learned_optimizer.unroll=2",
    ]);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let error = |estimate: &[f64]| {
        let difference: Vec<f64> = estimate.iter().zip(&whole).map(|(a, b)| a - b).collect();
        (product(&difference, &difference) / product(&whole, &whole)).sqrt()
    };
    let (of_pes, of_segments) = (error(&pes), error(&segments));
    println!("relative error: pes {of_pes}, segments {of_segments}");
    assert!(of_pes < 0.3 && of_segments > 2.0 * of_pes, "{of_pes} and {of_segments}");
}

#[test]
fn a_quadratics_loss_and_curvature_are_those_of_its_formula() {
    let config = config(&["data.quadratics.dimension=4"]);
    let optimizees = optimizees::<f64>(&config, InstructionSet::PORTABLE);
    let mut trainee = Trainee::new(Arc::clone(&optimizees), 1);
    trainee.draw(seed(), Split::Test);
    let (mut theta, mut gradient) = (vec![0.0; 4], vec![0.0; 4]);
    trainee.start(&mut theta);
    let loss = trainee.next(&theta, &mut gradient).loss;
    let source = optimizee_source(&config.0, &config.1, None, &Split::ALL).unwrap();
    let mut batch = crate::episodes::Batch::default();
    source.minibatch(seed(), Split::Test, 0, &mut batch);
    let residual = |row: usize, theta: &[f64]| {
        let w = batch.inputs[4 * row..4 * row + 4].iter();
        w.zip(theta).map(|(&w, &t)| f64::from(w) * t).sum::<f64>() - f64::from(batch.targets[row])
    };
    let exact: f64 = (0..4).map(|row| residual(row, &theta).powi(2)).sum();
    assert!((loss - exact).abs() < 1e-12 * exact);
    let v = [0.3, -1.0, 2.0, 0.1];
    let mut product = [0.0; 4];
    trainee.hessian_vector_product(0, &v, &mut product);
    for k in 0..4 {
        let column = |row: usize| f64::from(batch.inputs[4 * row + k]);
        let slope: f64 = (0..4).map(|row| 2.0 * residual(row, &theta) * column(row)).sum();
        assert!((gradient[k] - slope).abs() < 1e-12 * slope.abs().max(1.0));
        let along = |row: usize| residual(row, &v) + f64::from(batch.targets[row]);
        let curve: f64 = (0..4).map(|row| 2.0 * along(row) * column(row)).sum();
        assert!((product[k] - curve).abs() < 1e-12 * curve.abs().max(1.0));
    }
}

/// Quadratics of the preset, their θ one behind the other, as one function: their mean.
struct Quadratics {
    all: Vec<Trainee<f64>>,
    dimension: usize,
}

impl Quadratics {
    fn new(count: usize) -> Self {
        let optimizees = optimizees::<f64>(&config(&[]), InstructionSet::PORTABLE);
        let trainee = |at: usize| {
            let mut trainee = Trainee::new(Arc::clone(&optimizees), 1);
            let episode = Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(at as u64));
            trainee.draw(episode, Split::Test);
            trainee
        };
        Self { all: (0..count).map(trainee).collect(), dimension: optimizees.parameters() }
    }

    fn start(&mut self) -> Vec<f64> {
        let mut theta = vec![0.0; self.all.len() * self.dimension];
        for (f, theta) in self.all.iter_mut().zip(theta.chunks_mut(self.dimension)) {
            f.start(theta);
        }
        theta
    }

    fn mean(&mut self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        let (count, n) = (self.all.len() as f64, self.dimension);
        let values = theta.chunks(n).zip(gradient.chunks_mut(n));
        let losses = self.all.iter_mut().zip(values).map(|(f, (theta, g))| f.next(theta, g).loss);
        losses.sum::<f64>() / count
    }

    fn curve(&mut self, at: usize, direction: &[f64], product: &mut [f64]) {
        let n = self.dimension;
        let values = direction.chunks(n).zip(product.chunks_mut(n));
        for (f, (direction, product)) in self.all.iter_mut().zip(values) {
            f.hessian_vector_product(at, direction, product);
        }
    }
}

/// θ − θ₀ after t steps at rates and momenta that all quadratics share lies, of all of them together, in a Krylov space of t
/// dimensions; conjugate gradients on their mean find the least one there.
#[test]
fn no_rates_and_momenta_that_quadratics_share_leave_less_than_half_of_what_constant_ones_do() {
    const STEPS: usize = 100;
    let mut quadratics = Quadratics::new(1000);
    let mut theta = quadratics.start();
    let [mut gradient, mut direction, mut product] = [(); 3].map(|()| vec![0.0; theta.len()]);
    let mut least = f64::INFINITY;
    for quarter in 0..=8 {
        let rate = libm::pow(10.0, f64::from(quarter) / 4.0 - 3.0);
        let mut steps = Steps::new(HandMade::Momentum, rate, theta.len(), InstructionSet::PORTABLE);
        theta = quadratics.start();
        for _ in 0..STEPS {
            quadratics.mean(&theta, &mut gradient);
            steps.take(&gradient, &mut theta);
        }
        least = least.min(quadratics.mean(&theta, &mut gradient));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut units, mut square_before) = (Vec::<Vec<f64>>::new(), f64::INFINITY);
    theta = quadratics.start();
    for t in 0..STEPS {
        quadratics.mean(&theta, &mut gradient);
        // All gradients are orthogonal, but for rounding.
        for unit in &units {
            let along = dot(unit, &gradient);
            gradient.iter_mut().zip(unit).for_each(|(g, unit)| *g -= along * unit);
        }
        let square = dot(&gradient, &gradient);
        units.push(gradient.iter().map(|g| g / square.sqrt()).collect());
        let again = square / square_before;
        direction.iter_mut().zip(&gradient).for_each(|(d, g)| *d = again * *d - g);
        square_before = square;
        quadratics.curve(t, &direction, &mut product);
        let rate = square / dot(&direction, &product);
        theta.iter_mut().zip(&direction).for_each(|(theta, d)| *theta += rate * d);
    }
    let best = quadratics.mean(&theta, &mut gradient);
    println!("after {STEPS} steps: momentum {least}, the best rates and momenta {best}");
    assert!(best < least && 2.0 * best > least, "{best} {least}");
}
