//! MAML that is first-order at first.

use super::*;

#[test]
fn meta_steps_are_first_order_until_they_are_exact() {
    let network = conv4(Downsample::Stride, Features::Flatten, 9);
    let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let plain = maml_config(Order::Second, Adapt::All, 3);
    let annealed = MamlConfig { first_order_meta_steps: 5, ..plain.clone() };
    let of = |config: &MamlConfig, step: u64| {
        let theta = parameters::<f32>(network.layout().len());
        let mut gradient = vec![f32::NAN; theta.len()];
        let seed = Seed::of_run(0).step(MetaStep(step)).episode(EpisodeIndex(0));
        let mut learner = registered::<f32>(&LearnerConfig::Maml(config.clone()), &setting);
        learner.meta_gradient(&theta, &episode(&network), seed, &mut gradient);
        gradient
    };
    let (first, exact) =
        (of(&MamlConfig { order: Order::First, ..plain.clone() }, 0), of(&plain, 0));
    assert!(!same_bits(&first, &exact));
    assert!(same_bits(&of(&annealed, 4), &first));
    assert!(same_bits(&of(&annealed, 5), &exact));
}

/// A run that has diverged says so: what is not a number is nowhere taken for zero, or for a bound.
#[test]
fn what_is_not_a_number_reaches_the_loss() {
    let networks = [conv4(Downsample::MaxPool, Features::Flatten, 17), mlp(Activation::Relu)];
    for network in &networks {
        let setting = setting(network, LossKind::SquaredError, InstructionSet::best(), 0);
        let clipped = MamlConfig {
            inner_clip: Some(InnerClip { value: 0.1 }),
            ..maml_config(Order::First, Adapt::All, 1)
        };
        let mut theta = parameters::<f32>(network.layout().len());
        theta[0] = f32::NAN;
        let mut gradient = vec![0.0; theta.len()];
        let mut learner = registered::<f32>(&LearnerConfig::Maml(clipped), &setting);
        let reports = learner.meta_gradient(&theta, &episode(network), seed(), &mut gradient);
        assert!(!reports.alone().loss.is_finite());
    }
}
