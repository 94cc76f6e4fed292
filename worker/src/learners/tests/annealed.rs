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
