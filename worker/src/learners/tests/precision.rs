//! What training multiplies in bfloat16: nearly the meta-gradient, the same on every instruction set, and evaluation as it is.

use std::ops::Range;

use lyceum_common::config::{
    Adapt, Conv4Config, Downsample, Features, LearnerConfig, NetworkConfig, Order, Precision,
    PrototypicalConfig, RelationConfig, Shape,
};
use lyceum_common::layout::Role;
use lyceum_common::model::Head;

use super::{Setting, WAYS, episode, maml, parameters, registered, seed, setting};
use crate::kernels::InstructionSet;
use crate::kernels::test_support::same_bits;
use crate::layers::LossKind;
use crate::networks::Network;

/// Room for all values of an inner loop.
const KEPT: usize = 1 << 24;

/// The meta-gradient, and what evaluation says.
fn compute(config: &LearnerConfig, setting: &Setting<'_>) -> (Vec<f32>, f64) {
    let network = setting.network;
    let theta = parameters::<f32>(config.layout(network.layout()).len());
    let mut learner = registered::<f32>(config, setting);
    let mut gradient = vec![0.0; theta.len()];
    let episode = episode(network);
    learner.meta_gradient(&theta, &episode, seed(), &mut gradient);
    // Nothing of an episode is left over in the next one.
    let mut again = vec![f32::NAN; theta.len()];
    learner.meta_gradient(&theta, &episode, seed(), &mut again);
    assert!(same_bits(&again, &gradient), "{config:?}");
    (gradient, learner.evaluate(&theta, &episode, seed()).alone().loss)
}

#[test]
fn rounded_operands_move_the_meta_gradient_a_little_and_evaluation_not_at_all() {
    let prototypical = LearnerConfig::Prototypical(PrototypicalConfig::default());
    let relation = LearnerConfig::Relation(RelationConfig::default());
    for (config, head, downsample) in [
        (maml(Order::Second, Adapt::All, 2), Head::Linear(WAYS), Downsample::Stride),
        (prototypical, Head::Features, Downsample::Stride),
        (relation, Head::Relation, Downsample::MaxPoolTwice),
    ] {
        let features = Features::Flatten;
        let conv4 = NetworkConfig::Conv4(Conv4Config { filters: 32, downsample, features });
        let shape = Shape::Image { height: 40, width: 40, channels: 1 };
        let exact = Network::new(&conv4, shape, head).unwrap();
        let rounding = exact.in_precision(Precision::Bfloat16);
        let of = |network: &Network, set, kept_bytes| {
            compute(&config, &setting(network, LossKind::CrossEntropy, set, kept_bytes))
        };
        let (gradient, evaluated) = of(&exact, InstructionSet::best(), KEPT);
        let (rounded, evaluated_too) = of(&rounding, InstructionSet::best(), KEPT);
        assert_eq!(evaluated.to_bits(), evaluated_too.to_bits(), "{config:?}");

        let square = |x: f32| f64::from(x).powi(2);
        // The square of a part's error, and of its norm.
        let squares = |part: Range<usize>| {
            let (exact, rounded) = (&gradient[part.clone()], &rounded[part]);
            let error: f64 = exact.iter().zip(rounded).map(|(a, b)| square(a - b)).sum();
            let norm: f64 = exact.iter().map(|&x| square(x)).sum();
            (error, norm)
        };
        let (apart, norm) = squares(0..gradient.len());
        let error = (apart / norm).sqrt();
        // Six images of noise: some ReLUs and the few numbers of a norm make more of an error of 2⁻⁹.
        assert!((1e-4..0.3).contains(&error), "{error}: {config:?}");
        let layout = config.layout(exact.layout());
        let trained = || layout.entries().iter().filter(|entry| entry.role == Role::Trained);
        let whole: f64 = trained().map(|entry| squares(entry.range()).1).sum();
        for entry in trained() {
            let (apart, norm) = squares(entry.range());
            // Nothing but rounding is left of a bias in front of a norm.
            let is_noise = norm < 1e-4 * whole;
            assert!(
                is_noise || apart < 0.36 * norm,
                "{} is {} off: {config:?}",
                entry.name,
                (apart / norm).sqrt()
            );
        }
        let budgets: &[usize] = if config.is_metric() { &[KEPT] } else { &[0, KEPT] };
        for set in InstructionSet::available() {
            for &kept_bytes in budgets {
                let found = of(&rounding, set, kept_bytes).0;
                assert!(same_bits(&found, &rounded), "{set}, {kept_bytes} bytes: {config:?}");
            }
        }
    }
}
