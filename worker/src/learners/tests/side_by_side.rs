//! Learners on sixteen episodes side by side: each lane is what the learner makes of its episode alone, and nothing else.

use lyceum_common::config::{
    Activation, Adapt, InnerClip, LearnerConfig, MamlConfig, MetaSgdConfig, MlpConfig,
    NetworkConfig, Order, Shape,
};
use lyceum_common::model::Head;

use super::{Setting, maml, maml_config, parameters, registered, seed};
use crate::episodes::{Batch, Episode, EpisodeSize};
use crate::kernels::test_support::{numbers, same_bits};
use crate::kernels::{InstructionSet, LANES, Real};
use crate::layers::LossKind;
use crate::networks::Network;

const SIZE: EpisodeSize = EpisodeSize { ways: 1, shots: 6, queries: 3 };

fn network(activation: Activation) -> Network {
    let config = NetworkConfig::Mlp(MlpConfig { hidden: vec![7, 5], activation });
    Network::new(&config, Shape::Vector { length: 2 }, Head::Linear(1)).unwrap()
}

fn setting(
    network: &Network,
    abreast: usize,
    set: InstructionSet,
    kept_bytes: usize,
) -> Setting<'_> {
    Setting {
        network,
        loss: LossKind::SquaredError,
        training: SIZE.into(),
        evaluation: SIZE.into(),
        abreast,
        instruction_set: set,
        kept_bytes,
        transductive: true,
    }
}

fn episode(salt: u64) -> Episode {
    let batch = |salt, count| Batch {
        inputs: numbers(salt, 2 * count),
        targets: numbers(salt + 1000, count),
    };
    Episode { support: batch(salt, SIZE.shots), query: batch(salt + 500, SIZE.queries) }
}

fn side_by_side(salts: impl Iterator<Item = u64>) -> Episode {
    let mut episodes = Episode::default();
    salts.enumerate().for_each(|(lane, salt)| episodes.put(lane, &episode(salt)));
    episodes
}

/// The meta-gradients and then the losses, of training and of evaluation, of every lane.
fn compute<T: Real>(
    config: &LearnerConfig,
    setting: &Setting<'_>,
    theta: &[T],
    episodes: &Episode,
) -> Vec<T> {
    let mut learner = registered::<T>(config, setting);
    let mut out = vec![T::ZERO; theta.len() * setting.abreast];
    let trained = learner.meta_gradient(theta, episodes, seed(), &mut out);
    let evaluated = learner.evaluate(theta, episodes, seed());
    for reports in [trained, evaluated] {
        out.extend((0..setting.abreast).map(|lane| T::from_f64(reports.lane(lane).loss)));
    }
    out
}

/// Compares every lane in f64 with its episode alone, whose derivatives finite differences vouch for.
/// An episode alone has its numbers in the network's order, one of many in the layout's.
fn check(config: &LearnerConfig, network: &Network, kept_bytes: usize) {
    let [alone, together] =
        [1, LANES].map(|abreast| setting(network, abreast, InstructionSet::PORTABLE, kept_bytes));
    let salts = || 20..20 + LANES as u64;
    let layout = config.layout(network.layout());
    let theta = parameters::<f64>(layout.len());
    let order = network.order(&layout);
    let reordered: Vec<f64> = order.iter().map(|&place| theta[place as usize]).collect();
    let lanes = compute(config, &together, &theta, &side_by_side(salts()));
    for (lane, salt) in salts().enumerate() {
        let found = compute(config, &alone, &reordered, &episode(salt));
        let mut expected = found.clone();
        for (&place, &value) in order.iter().zip(&found) {
            expected[place as usize] = value;
        }
        assert!(expected.iter().any(|&value| value != 0.0));
        for (&found, expected) in lanes.iter().skip(lane).step_by(LANES).zip(expected) {
            assert!(
                (found - expected).abs() < 1e-11 * expected.abs().max(1.0),
                "{found} is {expected}"
            );
        }
    }
}

#[test]
fn every_lane_is_its_episode_alone() {
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
        let network = network(activation);
        for (order, adapt) in
            [(Order::Second, Adapt::All), (Order::First, Adapt::All), (Order::Second, Adapt::Head)]
        {
            for kept_bytes in [0, 100_000, usize::MAX] {
                check(&maml(order, adapt, 4), &network, kept_bytes);
            }
            check(&maml(order, adapt, 1), &network, 0);
        }
        let clip = Some(InnerClip { value: 0.05 });
        let clipped = MamlConfig { inner_clip: clip, ..maml_config(Order::Second, Adapt::All, 2) };
        check(&LearnerConfig::Maml(clipped), &network, 0);
        let config =
            MetaSgdConfig { initial_rates: [0.0, 0.1], inner_steps: 3, evaluation_steps: 2 };
        check(&LearnerConfig::MetaSgd(config), &network, 0);
    }
}

#[test]
fn a_lanes_bits_depend_neither_on_the_other_lanes_nor_on_the_instruction_set() {
    for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
        let network = network(activation);
        let lanes = |set, salts: &[u64]| {
            let setting = setting(&network, LANES, set, usize::MAX);
            let theta = parameters::<f32>(network.layout().len());
            let config = maml(Order::Second, Adapt::All, 3);
            compute(&config, &setting, &theta, &side_by_side(salts.iter().copied()))
        };
        let of_lane = |all: &[f32], lane: usize| -> Vec<f32> {
            all.iter().skip(lane).step_by(LANES).copied().collect()
        };
        let salts: Vec<u64> = (20..20 + LANES as u64).collect();
        let expected = lanes(InstructionSet::PORTABLE, &salts);
        for set in InstructionSet::available() {
            assert!(same_bits(&lanes(set, &salts), &expected), "{set}");
            // The same episodes, the other way round; and each of a few with nothing beside it.
            let reversed: Vec<u64> = salts.iter().rev().copied().collect();
            let reversed = lanes(set, &reversed);
            for lane in 0..LANES {
                let found = of_lane(&reversed, LANES - 1 - lane);
                assert!(same_bits(&found, &of_lane(&expected, lane)), "lane {lane}, {set}");
            }
            for count in [1, 9] {
                let few = lanes(set, &salts[..count]);
                for lane in 0..count {
                    assert!(same_bits(&of_lane(&few, lane), &of_lane(&expected, lane)), "{set}");
                }
            }
        }
    }
}
