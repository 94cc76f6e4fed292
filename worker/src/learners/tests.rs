//! Every learner against finite differences in f64, and the same bits on every instruction set.

mod annealed;
mod budget;
mod cosines;
mod diverging;
mod filtering;
mod neutral;
mod precision;
mod reptile;
mod side_by_side;

use lyceum_common::config::{
    Activation, Adapt, Conv4Config, Definition, Distance, Downsample, Features, FullContext,
    ImamlConfig, InitialHead, InnerClip, LearnerConfig, MamlConfig, MatchingConfig,
    MetaCurvatureConfig, MetaSgdConfig, MlpConfig, MultiStepLoss, NetworkConfig, Order,
    PairSampling, PrototypicalConfig, RelationConfig, Shape, SiameseConfig,
};
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::layout::Role;
use lyceum_common::model::Head;
use lyceum_common::seed::{OfEpisode, Seed};

use super::maml::Maml;
use super::{Learner, LearnerThread, Registered, Setting, learner, prototypical};
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
    Setting {
        network,
        loss,
        training: SIZE.into(),
        evaluation: SIZE.into(),
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

fn maml(order: Order, adapt: Adapt, inner_steps: usize) -> LearnerConfig {
    LearnerConfig::Maml(maml_config(order, adapt, inner_steps))
}

fn maml_config(order: Order, adapt: Adapt, inner_steps: usize) -> MamlConfig {
    MamlConfig { order, adapt, evaluation_steps: 2, ..MamlConfig::plain(0.1, inner_steps) }
}

/// The learner of the registry and its meta-parameters' layout, for the thread of a test.
fn registered<T: Real>(config: &LearnerConfig, setting: &Setting<'_>) -> Box<dyn LearnerThread<T>> {
    let Registered::OfEpisodes(learner) = learner::<T>(config, setting) else {
        panic!("{config:?} has no episodes of support and query sets")
    };
    learner.thread()
}

/// The meta-gradient along some directions of the meta-parameters against central differences of the loss after adaptation.
fn check(config: &LearnerConfig, setting: &Setting<'_>) {
    let network = setting.network;
    let layout = config.layout(network.layout());
    let episode = episode(network);
    let theta = parameters::<f64>(layout.len());
    let mut learner = registered::<f64>(config, setting);
    let mut gradient = vec![f64::NAN; theta.len()];
    learner.meta_gradient(&theta, &episode, seed(), &mut gradient);
    // That of buffers is their change: the loss does not depend on them.
    for entry in layout.entries().iter().filter(|entry| entry.role == Role::Buffer) {
        gradient[entry.range()].fill(0.0);
    }
    let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    assert!(scale > 1e-3, "there is something to compare: {scale}, {config:?}");
    let mut ignored = vec![0.0; theta.len()];
    for salt in 10..14 {
        let direction = numbers(salt, theta.len());
        let mut loss_at = |step: f64| {
            let moved: Vec<f64> =
                theta.iter().zip(&direction).map(|(&t, &d)| t + step * f64::from(d)).collect();
            learner.meta_gradient(&moved, &episode, seed(), &mut ignored).alone().loss
        };
        // Small enough that no ReLU or max pool turns over on the way.
        let h = 1e-7;
        let difference = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        let product: f64 = gradient.iter().zip(&direction).map(|(&g, &d)| g * f64::from(d)).sum();
        assert!(
            (product - difference).abs() < 1e-6 * scale.max(1.0),
            "{product} is {difference}, of {scale}: {config:?}"
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
        check(&maml(Order::Second, Adapt::All, 3), &setting);
    }
}

#[test]
fn anil_has_the_mixed_block_and_squared_error_and_clipping_differentiate() {
    for network in [conv4(Downsample::MaxPool, Features::Flatten, 17), mlp(Activation::Tanh)] {
        for loss in [LossKind::CrossEntropy, LossKind::SquaredError] {
            let setting = setting(&network, loss, InstructionSet::PORTABLE, 0);
            check(&maml(Order::Second, Adapt::Head, 2), &setting);
            check(&maml(Order::Second, Adapt::AllButNorms, 2), &setting);
            let clipped = MamlConfig {
                inner_clip: Some(InnerClip { value: 0.05 }),
                ..maml_config(Order::Second, Adapt::All, 2)
            };
            check(&LearnerConfig::Maml(clipped), &setting);
        }
    }
}

/// MAML++'s switches, each alone and all together, on top of `config`.
fn switched(config: &MamlConfig) -> [MamlConfig; 4] {
    let multi_step_loss = Some(MultiStepLoss { meta_steps: 9 });
    [
        MamlConfig { multi_step_loss, ..config.clone() },
        MamlConfig { learned_rates: true, ..config.clone() },
        MamlConfig { batch_norm_per_step: true, ..config.clone() },
        MamlConfig {
            multi_step_loss,
            learned_rates: true,
            batch_norm_per_step: true,
            inner_clip: Some(InnerClip { value: 0.05 }),
            ..config.clone()
        },
    ]
}

#[test]
fn every_switch_of_maml_plus_plus_differentiates() {
    for network in [
        conv4(Downsample::Stride, Features::Flatten, 9),
        conv4(Downsample::MaxPool, Features::SpatialMean, 17),
    ] {
        for adapt in [Adapt::All, Adapt::Head] {
            for (config, kept) in switched(&maml_config(Order::Second, adapt, 3))
                .iter()
                .zip([0, usize::MAX].into_iter().cycle())
            {
                let setting =
                    setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, kept);
                check(&LearnerConfig::Maml(config.clone()), &setting);
            }
        }
    }
    let network = mlp(Activation::Tanh);
    let setting = setting(&network, LossKind::SquaredError, InstructionSet::PORTABLE, 0);
    for config in switched(&maml_config(Order::Second, Adapt::All, 3)).into_iter().take(2) {
        check(&LearnerConfig::Maml(config), &setting);
    }
}

#[test]
fn the_gradient_of_proto_maml_goes_through_the_prototypes() {
    let plain = MamlConfig {
        initial_head: InitialHead::Prototypes,
        ..maml_config(Order::Second, Adapt::All, 2)
    };
    for network in [
        conv4(Downsample::Stride, Features::Flatten, 17),
        conv4(Downsample::MaxPool, Features::SpatialMean, 33),
    ] {
        let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
        for config in switched(&plain).iter().chain([&plain]) {
            check(&LearnerConfig::Maml(config.clone()), &setting);
        }
        check_everywhere(&LearnerConfig::Maml(plain.clone()), &network);
    }
}

/// Before the first step, the head of Proto-MAML classifies as a prototypical network does.
#[test]
fn without_a_step_proto_maml_is_a_prototypical_network() {
    let network = conv4(Downsample::Stride, Features::Flatten, 17);
    let features = images(Downsample::Stride, Features::Flatten, 17, Head::Features);
    // One batch norm for both sets, as a prototypical network has it in training.
    let mut episode = episode(&network);
    episode.query.inputs.clone_from(&episode.support.inputs);
    let evaluate = |config: &LearnerConfig, network: &Network| {
        let setting = setting(network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
        let theta = parameters::<f64>(config.layout(network.layout()).len());
        registered::<f64>(config, &setting).evaluate(&theta, &episode, seed()).alone().loss
    };
    let proto_maml = LearnerConfig::Maml(MamlConfig {
        initial_head: InitialHead::Prototypes,
        evaluation_steps: 0,
        ..MamlConfig::plain(0.1, 1)
    });
    let prototypical = LearnerConfig::Prototypical(PrototypicalConfig::default());
    let (a, b) = (evaluate(&proto_maml, &network), evaluate(&prototypical, &features));
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

/// Where the inner loop and conjugate gradients have converged, the implicit gradient is exact.
#[test]
fn the_implicit_gradient_is_the_derivative_of_the_loss_at_the_inner_optimum() {
    let linear = MlpConfig { hidden: vec![], activation: Activation::Tanh };
    let linear =
        Network::new(&NetworkConfig::Mlp(linear), Shape::Vector { length: 6 }, Head::Linear(WAYS));
    let config = LearnerConfig::Imaml(ImamlConfig {
        regularisation: 1.0,
        damping: 0.0,
        inner_rate: 0.5,
        inner_steps: 200,
        evaluation_steps: 1,
        conjugate_gradient_steps: 60,
    });
    for (network, loss) in [
        // A quadratic: φ* and its derivative are those of a linear system.
        (linear.unwrap(), LossKind::SquaredError),
        (mlp(Activation::Tanh), LossKind::CrossEntropy),
    ] {
        check(&config, &setting(&network, loss, InstructionSet::PORTABLE, 0));
    }
    check_bits(&config, &conv4(Downsample::Stride, Features::Flatten, 9));
}

#[test]
fn meta_curvature_differentiates_the_initialisation_and_the_matrices() {
    let config = LearnerConfig::MetaCurvature(MetaCurvatureConfig {
        inner_rate: 0.1,
        inner_steps: 2,
        evaluation_steps: 2,
    });
    for network in [
        conv4(Downsample::Stride, Features::Flatten, 33),
        conv4(Downsample::MaxPool, Features::SpatialMean, 33),
        mlp(Activation::Tanh),
    ] {
        for kept_bytes in [0, 1 << 24] {
            let loss = LossKind::CrossEntropy;
            check(&config, &setting(&network, loss, InstructionSet::best(), kept_bytes));
        }
    }
}

#[test]
fn meta_sgd_differentiates_the_initialisation_and_the_rates() {
    let config = LearnerConfig::MetaSgd(MetaSgdConfig {
        initial_rates: [0.0, 0.1],
        inner_steps: 3,
        evaluation_steps: 3,
    });
    for network in [conv4(Downsample::Stride, Features::Flatten, 9), mlp(Activation::Tanh)] {
        let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
        check(&config, &setting);
    }
}

fn bits(network: &Network, instruction_set: InstructionSet, kept_bytes: usize) -> Vec<f32> {
    let setting = setting(network, LossKind::CrossEntropy, instruction_set, kept_bytes);
    gradient(&maml(Order::Second, Adapt::All, 4), &setting)
}

fn gradient(config: &LearnerConfig, setting: &Setting<'_>) -> Vec<f32> {
    let theta = parameters::<f32>(config.layout(setting.network.layout()).len());
    let mut gradient = vec![0.0; theta.len()];
    let mut learner = registered::<f32>(config, setting);
    learner.meta_gradient(&theta, &episode(setting.network), seed(), &mut gradient);
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

/// The meta-gradient is the derivative of the loss, and the same bits on every instruction set.
fn check_everywhere(config: &LearnerConfig, network: &Network) {
    check(config, &setting(network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0));
    check_bits(config, network);
}

/// The same bits on every instruction set.
fn check_bits(config: &LearnerConfig, network: &Network) {
    let on = |set| setting(network, LossKind::CrossEntropy, set, 0);
    let bits = |set| gradient(config, &on(set));
    let expected = bits(InstructionSet::PORTABLE);
    assert!(expected.iter().any(|&value| value != 0.0));
    for set in InstructionSet::available() {
        assert!(same_bits(&bits(set), &expected), "{set}");
    }
}

#[test]
fn prototypical_networks_differentiate_and_give_the_same_bits() {
    for (distance, scale) in [(Distance::SquaredEuclidean, 1.0), (Distance::Cosine, 3.0)] {
        let config = LearnerConfig::Prototypical(PrototypicalConfig { distance, scale });
        for (downsample, size) in [(Downsample::Stride, 9), (Downsample::MaxPool, 33)] {
            let network = images(downsample, Features::Flatten, size, Head::Features);
            check_everywhere(&config, &network);
        }
    }
}

#[test]
fn matching_networks_differentiate_and_give_the_same_bits() {
    let full_context = Some(FullContext { processing_steps: 3 });
    for (config, head) in [
        (MatchingConfig::default(), Head::Features),
        (MatchingConfig { scale: 7.0, ..MatchingConfig::default() }, Head::Features),
        (MatchingConfig { full_context, ..MatchingConfig::default() }, Head::FullContext),
    ] {
        let network = images(Downsample::MaxPool, Features::Flatten, 33, head);
        check_everywhere(&LearnerConfig::Matching(config), &network);
    }
}

#[test]
fn siamese_networks_differentiate_and_give_the_same_bits() {
    let network = images(Downsample::MaxPool, Features::Flatten, 33, Head::WeightedDistance);
    for pairs in [PairSampling::Every, PairSampling::Balanced] {
        check_everywhere(&LearnerConfig::Siamese(SiameseConfig { pairs }), &network);
    }
}

#[test]
fn relation_networks_differentiate_and_give_the_same_bits() {
    // Fewer channels than lanes, and as many.
    for filters in [4, 16] {
        let (downsample, features) = (Downsample::MaxPoolTwice, Features::Flatten);
        let conv4 = NetworkConfig::Conv4(Conv4Config { filters, downsample, features });
        let shape = Shape::Image { height: 18, width: 18, channels: 2 };
        let network = Network::new(&conv4, shape, Head::Relation).unwrap();
        check_everywhere(&LearnerConfig::Relation(RelationConfig::default()), &network);
    }
}

/// The outputs of an evaluation for all query examples but the last, which is changed.
fn outputs_beside<L: Learner<f64>>(
    learner: &L,
    (network, parameter_count): (&Network, usize),
    change: f32,
) -> Vec<f64> {
    let theta: Vec<f64> =
        parameters::<f64>(parameter_count).into_iter().map(|value| value.abs() + 0.1).collect();
    let mut episode = episode(network);
    let last = episode.query.inputs.len() - network.input_len();
    episode.query.inputs[last..].iter_mut().for_each(|pixel| *pixel += change);
    let mut scratch = learner.scratch();
    learner.evaluate(&theta, &episode, seed(), &mut scratch);
    let (objective, frame) = learner.evaluated(&scratch);
    let outputs = objective.outputs_of(frame);
    outputs[..outputs.len() - WAYS].to_vec()
}

#[test]
fn running_statistics_keep_query_examples_from_seeing_one_another() {
    fn set(network: &Network, transductive: bool) -> Setting<'_> {
        let setting = setting(network, LossKind::CrossEntropy, InstructionSet::best(), 0);
        Setting { transductive, ..setting }
    }
    let network = images(Downsample::Stride, Features::Flatten, 9, Head::Features);
    let config = PrototypicalConfig::default();
    let metric = |transductive: bool, change: f32| {
        let learner = prototypical::learner::<f64>(&config, &set(&network, transductive));
        let of = (&network, network.layout().len());
        outputs_beside(&learner, of, change)
    };
    let adapted = conv4(Downsample::Stride, Features::Flatten, 9);
    let config = MamlConfig { batch_norm_per_step: true, ..MamlConfig::plain(0.1, 2) };
    let maml = |transductive: bool, change: f32| {
        let learner = Maml::<f64>::new(&config, &set(&adapted, transductive));
        let of = (&adapted, config.layout(adapted.layout()).len());
        outputs_beside(&learner, of, change)
    };
    for outputs in [&metric as &dyn Fn(bool, f32) -> Vec<f64>, &maml] {
        assert_eq!(outputs(false, 0.0), outputs(false, 0.5), "none sees the last one");
        let together = "the batch's own statistics let all see it";
        assert_ne!(outputs(true, 0.0), outputs(true, 0.5), "{together}");
    }
}
