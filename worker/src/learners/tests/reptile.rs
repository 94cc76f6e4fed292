//! The steps that Reptile takes, on which examples, and what it carries from one meta-step to the next.

use lyceum_common::config::{AdamConfig, InnerOptimizer, ReptileConfig};

use super::*;
use crate::learners::{HandMade, Steps};

const SQUARES: AdamConfig = AdamConfig { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 };

fn plain(inner_optimizer: InnerOptimizer, inner_rate: f32, inner_steps: usize) -> ReptileConfig {
    ReptileConfig {
        inner_optimizer,
        inner_rate,
        inner_steps,
        evaluation_steps: 1,
        training_shots: None,
        inner_batch: None,
        evaluation_batch: None,
        carry_squares: false,
    }
}

fn reptile(inner_steps: usize, carry_squares: bool) -> LearnerConfig {
    let config = plain(InnerOptimizer::Adam(SQUARES), 0.01, inner_steps);
    LearnerConfig::Reptile(ReptileConfig { carry_squares, ..config })
}

/// What an episode takes from θ.
fn taken(config: ReptileConfig, setting: &Setting<'_>, theta: &[f64]) -> Vec<f64> {
    let mut taken = vec![f64::NAN; theta.len()];
    let mut learner = registered::<f64>(&LearnerConfig::Reptile(config), setting);
    learner.meta_gradient(theta, &episode(setting.network), seed(), &mut taken);
    taken
}

/// The gradient of the loss over the whole support set: what a step at a rate of one takes from θ.
fn support_gradient(setting: &Setting<'_>, theta: &[f64]) -> Vec<f64> {
    taken(plain(InnerOptimizer::Sgd, 1.0, 1), setting, theta)
}

#[test]
fn two_episodes_that_carry_squares_on_are_one_of_twice_the_steps() {
    let network = mlp(Activation::Tanh);
    let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let episode = episode(&network);
    let count = network.layout().len();
    let theta = parameters::<f64>(count);
    let mut whole = vec![f64::NAN; count];
    let mut at_once = registered::<f64>(&reptile(4, false), &setting);
    at_once.meta_gradient(&theta, &episode, seed(), &mut whole);

    let config = reptile(2, true);
    let layout = config.layout(network.layout());
    assert_eq!(layout.len(), 2 * count + 1);
    let mut learner = registered::<f64>(&config, &setting);
    let mut meta = vec![0.0; layout.len()];
    meta[..count].copy_from_slice(&theta);
    for steps in [2, 4] {
        let mut change = vec![f64::NAN; meta.len()];
        learner.meta_gradient(&meta, &episode, seed(), &mut change);
        let (trained, carried) = meta.split_at_mut(count);
        trained.iter_mut().zip(&change).for_each(|(value, change)| *value -= change);
        carried.iter_mut().zip(&change[count..]).for_each(|(value, change)| *value += change);
        let weight = 1.0 - f64::from(SQUARES.beta2).powi(steps);
        assert!((meta[2 * count] - weight).abs() < 1e-12);
    }
    for ((meta, theta), whole) in meta.iter().zip(&theta).zip(&whole) {
        assert!((theta - meta - whole).abs() < 1e-12, "{} is {whole}", theta - meta);
    }
    assert!(whole.iter().any(|change| change.abs() > 0.01));
}

#[test]
fn adam_inside_takes_the_papers_steps() {
    const STEPS: usize = 3;
    const RATE: f32 = 0.01;
    let network = mlp(Activation::Tanh);
    let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let theta = parameters::<f64>(network.layout().len());
    let adam = InnerOptimizer::Adam(AdamConfig::default());
    let found = taken(plain(adam, RATE, STEPS), &setting, &theta);

    let (rate, set) = (f64::from(RATE), InstructionSet::PORTABLE);
    let mut steps = Steps::new(HandMade::Adam, rate, theta.len(), set);
    let mut adapted = theta.clone();
    for _ in 0..STEPS {
        let gradient = support_gradient(&setting, &adapted);
        steps.take(&gradient, &mut adapted);
    }
    for ((theta, adapted), found) in theta.iter().zip(&adapted).zip(&found) {
        // A configuration's β₁ and β₂ are f32, and the paper's but for their rounding.
        let expected = theta - adapted;
        assert!((found - expected).abs() < 1e-7, "{found} is {expected}");
    }
    assert!(found.iter().any(|taken| taken.abs() > 2.0 * rate), "steps are as long as the rate");
}

/// At a rate that leaves θ nearly where it is, and without batch norm, a round through all examples sums up to the whole
/// gradient, whatever the batches are.
#[test]
fn batches_go_through_all_examples_before_any_comes_again() {
    const RATE: f32 = 1e-7;
    let network = mlp(Activation::Tanh);
    let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let theta = parameters::<f64>(network.layout().len());
    let whole = support_gradient(&setting, &theta);
    // How far the mean gradient of some steps' batches is from that.
    let apart = |batch: usize, steps: usize| {
        let config = plain(InnerOptimizer::Sgd, RATE, steps);
        let taken = taken(ReptileConfig { inner_batch: Some(batch), ..config }, &setting, &theta);
        let scale = f64::from(RATE) * steps as f64;
        let differences = taken.iter().zip(&whole).map(|(taken, whole)| taken / scale - whole);
        let square: f64 = differences.map(|difference| difference * difference).sum();
        (square / whole.iter().map(|g| g * g).sum::<f64>()).sqrt()
    };
    // Of six examples: one round; two, of which a batch has the end of one and the beginning of the other; and five.
    for (batch, steps) in [(2, 3), (3, 2), (4, 3), (5, 6)] {
        let apart = apart(batch, steps);
        assert!(apart < 1e-4, "{steps} batches of {batch} are {apart} from the whole");
    }
    for steps in [1, 2] {
        assert!(apart(4, steps) > 1e-2, "{steps} batches of four are no round");
    }
}
