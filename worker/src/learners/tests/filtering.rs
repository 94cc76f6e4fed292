//! Learners on networks whose second convolution is by Winograd's filtering.

use lyceum_common::config::Precision;

use super::*;
use crate::ops::{ConvolutionShape, Share};

const FILTERS: usize = 32;
const SIZE: usize = 16;

fn network(head: Head) -> Network {
    let shape = ConvolutionShape {
        images: WAYS,
        height: SIZE / 2,
        width: SIZE / 2,
        inputs: FILTERS,
        outputs: FILTERS,
        stride: 1,
        share: Share::ALL,
        precision: Precision::Float32,
    };
    assert!(shape.winograd_filters().is_some(), "the second block's products are transformed");
    let (downsample, features) = (Downsample::MaxPool, Features::Flatten);
    let config = NetworkConfig::Conv4(Conv4Config { filters: FILTERS, downsample, features });
    Network::new(&config, Shape::Image { height: SIZE, width: SIZE, channels: 1 }, head).unwrap()
}

#[test]
fn exact_maml_goes_through_transformed_products() {
    let network = network(Head::Linear(WAYS));
    for kept in [0, usize::MAX] {
        let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, kept);
        check(&maml(Order::Second, Adapt::All, 2), &setting);
    }
    check_bits(&maml(Order::Second, Adapt::All, 2), &network);
}

#[test]
fn metric_learners_go_through_transformed_products() {
    let network = network(Head::Features);
    check_everywhere(&LearnerConfig::Prototypical(PrototypicalConfig::default()), &network);
}
