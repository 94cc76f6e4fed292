//! What Reptile carries from one meta-step to the next.

use lyceum_common::config::{AdamConfig, InnerOptimizer, ReptileConfig};

use super::*;

const SQUARES: AdamConfig = AdamConfig { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 };

fn reptile(inner_steps: usize, carry_squares: bool) -> LearnerConfig {
    LearnerConfig::Reptile(ReptileConfig {
        inner_optimizer: InnerOptimizer::Adam(SQUARES),
        inner_rate: 0.01,
        inner_steps,
        evaluation_steps: 1,
        training_shots: None,
        inner_batch: None,
        evaluation_batch: None,
        carry_squares,
    })
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
