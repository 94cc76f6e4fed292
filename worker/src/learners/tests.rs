//! Every learner against finite differences in f64, and the same bits on every instruction set.

mod side_by_side;

use lyceum_common::config::{
    Activation, Adapt, Conv4Config, Distance, Downsample, Features, InnerClip, MamlConfig,
    MetaSgdConfig, MlpConfig, NetworkConfig, Order, PrototypicalConfig, Shape,
};
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::model::Head;
use lyceum_common::seed::{OfEpisode, Seed};

use super::metric::Metric;
use super::{Learner, Maml, MetaSgd, Setting, matching, prototypical, relation, siamese};
use crate::episodes::{Batch, Episode, EpisodeSize};
use crate::kernels::InstructionSet;
use crate::kernels::Real;
use crate::kernels::test_support::{numbers, same_bits};
use crate::layers::LossKind;
use crate::networks::Network;

const WAYS: usize = 3;
const SIZE: EpisodeSize = EpisodeSize { ways: WAYS, shots: 2, queries: 2 };

fn conv4(downsample: Downsample, features: Features, size: usize) -> Network {
    images(downsample, features, size, Head::Linear(WAYS))
}

fn images(downsample: Downsample, features: Features, size: usize, head: Head) -> Network {
    let config = NetworkConfig::Conv4(Conv4Config { filters: 4, downsample, features });
    Network::new(&config, Shape::Image { height: size, width: size, channels: 2 }, head).unwrap()
}

fn mlp(activation: Activation) -> Network {
    let config = NetworkConfig::Mlp(MlpConfig { hidden: vec![7, 5], activation });
    Network::new(&config, Shape::Vector { length: 6 }, Head::Linear(WAYS)).unwrap()
}

fn setting(
    network: &Network,
    loss: LossKind,
    instruction_set: InstructionSet,
    kept_bytes: usize,
) -> Setting<'_> {
    let (training, evaluation) = (SIZE, SIZE);
    Setting {
        network,
        loss,
        training,
        evaluation,
        abreast: 1,
        instruction_set,
        kept_bytes,
        transductive: true,
    }
}

fn seed() -> Seed<OfEpisode> {
    Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0))
}

fn episode(network: &Network) -> Episode {
    let batch = |salt: u64, shots: usize| {
        let examples = WAYS * shots;
        let mut targets = vec![0.0; examples * WAYS];
        for i in 0..examples {
            targets[i * WAYS + i / shots] = 1.0;
        }
        Batch { inputs: numbers(salt, examples * network.input_len()), targets }
    };
    Episode { support: batch(1, SIZE.shots), query: batch(2, SIZE.queries) }
}

fn parameters<T: Real>(count: usize) -> Vec<T> {
    numbers(3, count).into_iter().map(|value| T::from_f64(f64::from(value) * 0.3)).collect()
}

fn maml(order: Order, adapt: Adapt, inner_steps: usize) -> MamlConfig {
    MamlConfig { order, adapt, inner_rate: 0.1, inner_steps, evaluation_steps: 2, inner_clip: None }
}

/// The meta-gradient along some directions of the trained parameters against central differences of the loss after adaptation.
fn check<L: Learner<f64>>(learner: &L, network: &Network) {
    let episode = episode(network);
    let theta = parameters::<f64>(learner.parameters());
    let mut scratch = learner.scratch();
    let mut gradient = vec![f64::NAN; theta.len()];
    learner.meta_gradient(&theta, &episode, seed(), &mut scratch, &mut gradient);
    let mut ignored = vec![0.0; theta.len()];
    let buffers = network.layout().len() - network.layout().trained().len();
    for salt in 10..14 {
        let mut direction = numbers(salt, theta.len());
        direction[theta.len() - buffers..].fill(0.0);
        let mut loss_at = |step: f64| {
            let moved: Vec<f64> =
                theta.iter().zip(&direction).map(|(&t, &d)| t + step * f64::from(d)).collect();
            learner.meta_gradient(&moved, &episode, seed(), &mut scratch, &mut ignored).alone().loss
        };
        // Small enough that no ReLU or max pool turns over on the way.
        let h = 1e-7;
        let difference = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        let product: f64 = gradient.iter().zip(&direction).map(|(&g, &d)| g * f64::from(d)).sum();
        let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(
            (product - difference).abs() < 1e-6 * scale.max(1.0),
            "{product} is {difference}, of {scale}"
        );
    }
}

#[test]
fn exact_maml_is_the_derivative_of_the_loss_after_adaptation() {
    for network in [
        conv4(Downsample::Stride, Features::Flatten, 9),
        conv4(Downsample::MaxPool, Features::Flatten, 17),
        conv4(Downsample::MaxPool, Features::SpatialMean, 33),
        mlp(Activation::Tanh),
        mlp(Activation::Sigmoid),
        mlp(Activation::Relu),
    ] {
        let loss = LossKind::CrossEntropy;
        let setting = setting(&network, loss, InstructionSet::PORTABLE, usize::MAX);
        check(&Maml::<f64>::new(&maml(Order::Second, Adapt::All, 3), &setting), &network);
    }
}

#[test]
fn anil_has_the_mixed_block_and_squared_error_and_clipping_differentiate() {
    for network in [conv4(Downsample::MaxPool, Features::Flatten, 17), mlp(Activation::Tanh)] {
        for loss in [LossKind::CrossEntropy, LossKind::SquaredError] {
            let setting = setting(&network, loss, InstructionSet::PORTABLE, 0);
            check(&Maml::<f64>::new(&maml(Order::Second, Adapt::Head, 2), &setting), &network);
            let clipped = MamlConfig {
                inner_clip: Some(InnerClip { value: 0.05 }),
                ..maml(Order::Second, Adapt::All, 2)
            };
            check(&Maml::<f64>::new(&clipped, &setting), &network);
        }
    }
}

#[test]
fn meta_sgd_differentiates_the_initialisation_and_the_rates() {
    let config = MetaSgdConfig { initial_rates: [0.0, 0.1], inner_steps: 3, evaluation_steps: 3 };
    for network in [conv4(Downsample::Stride, Features::Flatten, 9), mlp(Activation::Tanh)] {
        let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
        check(&MetaSgd::<f64>::new(&config, &setting), &network);
    }
}

fn bits(network: &Network, instruction_set: InstructionSet, kept_bytes: usize) -> Vec<f32> {
    let setting = setting(network, LossKind::CrossEntropy, instruction_set, kept_bytes);
    gradient(&Maml::new(&maml(Order::Second, Adapt::All, 4), &setting), network)
}

fn gradient<L: Learner<f32>>(learner: &L, network: &Network) -> Vec<f32> {
    let theta = parameters::<f32>(learner.parameters());
    let mut gradient = vec![0.0; theta.len()];
    learner.meta_gradient(&theta, &episode(network), seed(), &mut learner.scratch(), &mut gradient);
    gradient
}

#[test]
fn every_instruction_set_and_every_budget_give_the_same_bits() {
    let available: Vec<_> = InstructionSet::available().collect();
    println!("instruction sets of this machine: {available:?}");
    for network in [
        conv4(Downsample::Stride, Features::Flatten, 9),
        conv4(Downsample::MaxPool, Features::SpatialMean, 17),
        mlp(Activation::Tanh),
        mlp(Activation::Sigmoid),
    ] {
        let expected = bits(&network, InstructionSet::PORTABLE, 0);
        assert!(
            expected.iter().all(|value| value.is_finite())
                && expected.iter().any(|&value| value != 0.0)
        );
        for &instruction_set in &available {
            assert!(same_bits(&bits(&network, instruction_set, 0), &expected), "{instruction_set}");
        }
        assert!(same_bits(&bits(&network, InstructionSet::best(), usize::MAX), &expected));
    }
}

/// A metric learner's meta-gradient is the derivative of its loss, and the same bits on every instruction set.
fn check_metric(
    network: &Network,
    exact: impl Fn(&Setting<'_>) -> Metric<f64>,
    single: impl Fn(&Setting<'_>) -> Metric<f32>,
) {
    let on = |set| setting(network, LossKind::CrossEntropy, set, 0);
    check(&exact(&on(InstructionSet::PORTABLE)), network);
    let bits = |set| gradient(&single(&on(set)), network);
    let expected = bits(InstructionSet::PORTABLE);
    assert!(expected.iter().any(|&value| value != 0.0));
    for set in InstructionSet::available() {
        assert!(same_bits(&bits(set), &expected), "{set}");
    }
}

#[test]
fn prototypical_networks_differentiate_and_give_the_same_bits() {
    for distance in [Distance::SquaredEuclidean, Distance::Cosine] {
        let config = PrototypicalConfig { distance };
        for (downsample, size) in [(Downsample::Stride, 9), (Downsample::MaxPool, 33)] {
            let network = images(downsample, Features::Flatten, size, Head::Features);
            check_metric(&network, |on| prototypical(&config, on), |on| prototypical(&config, on));
        }
    }
}

#[test]
fn matching_networks_differentiate_and_give_the_same_bits() {
    let network = images(Downsample::MaxPool, Features::Flatten, 33, Head::Features);
    check_metric(&network, matching, matching);
}

#[test]
fn siamese_networks_differentiate_and_give_the_same_bits() {
    let network = images(Downsample::MaxPool, Features::Flatten, 33, Head::WeightedDistance);
    check_metric(&network, siamese, siamese);
}

#[test]
fn relation_networks_differentiate_and_give_the_same_bits() {
    let network = images(Downsample::MaxPoolTwice, Features::Flatten, 18, Head::Relation);
    check_metric(&network, relation, relation);
}

#[test]
fn running_statistics_keep_query_examples_from_seeing_one_another() {
    let network = images(Downsample::Stride, Features::Flatten, 9, Head::Features);
    let config = PrototypicalConfig { distance: Distance::SquaredEuclidean };
    // The outputs for all query examples but the last, which is changed.
    let outputs = |transductive: bool, change: f32| {
        let mut setting = setting(&network, LossKind::CrossEntropy, InstructionSet::best(), 0);
        setting.transductive = transductive;
        let learner = prototypical::<f64>(&config, &setting);
        let theta: Vec<f64> = parameters::<f64>(learner.parameters())
            .into_iter()
            .map(|value| value.abs() + 0.1)
            .collect();
        let mut episode = episode(&network);
        let last = episode.query.inputs.len() - network.input_len();
        episode.query.inputs[last..].iter_mut().for_each(|pixel| *pixel += change);
        let mut scratch = learner.scratch();
        learner.evaluate(&theta, &episode, seed(), &mut scratch);
        let outputs = learner.evaluated(&scratch);
        outputs[..outputs.len() - WAYS].to_vec()
    };
    assert_eq!(outputs(false, 0.0), outputs(false, 0.5), "none sees the last one");
    assert_ne!(outputs(true, 0.0), outputs(true, 0.5), "the batch's own statistics let all see it");
}
