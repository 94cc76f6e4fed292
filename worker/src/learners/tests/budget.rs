//! How many of an inner loop's values are kept says how long a meta-gradient takes, and nothing else.

use super::*;

const STEPS: usize = 3;

/// Every learner that goes back through an inner loop, in every way that it does.
fn learners() -> Vec<LearnerConfig> {
    let exact = maml_config(Order::Second, Adapt::All, STEPS);
    let clip = Some(InnerClip { value: 0.05 });
    let mut configs = vec![MamlConfig { inner_clip: clip, ..exact.clone() }];
    for config in [
        maml_config(Order::First, Adapt::All, STEPS),
        maml_config(Order::Second, Adapt::Head, STEPS),
        maml_config(Order::Second, Adapt::AllButNorms, STEPS),
        MamlConfig { initial_head: InitialHead::Prototypes, ..exact.clone() },
        exact,
    ] {
        configs.extend(switched(&config));
        configs.push(config);
    }
    let mut learners: Vec<_> = configs.into_iter().map(LearnerConfig::Maml).collect();
    learners.push(LearnerConfig::MetaSgd(MetaSgdConfig {
        initial_rates: [0.0, 0.1],
        inner_steps: STEPS,
        evaluation_steps: STEPS,
    }));
    learners.push(LearnerConfig::MetaCurvature(MetaCurvatureConfig {
        inner_rate: 0.1,
        inner_steps: STEPS,
        evaluation_steps: STEPS,
    }));
    learners
}

/// Bytes of one step's values.
fn frame_bytes(config: &LearnerConfig, network: &Network) -> usize {
    let setting = setting(network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let curved = match config {
        LearnerConfig::Maml(MamlConfig { order: Order::First, .. }) => 0..0,
        _ => 0..network.layout().len(),
    };
    setting.objective::<f32>(setting.training.support(), curved).frame_bytes()
}

/// The meta-gradient of a thread that has computed another one before.
fn gradient_behind_another(config: &LearnerConfig, setting: &Setting<'_>) -> Vec<f32> {
    let theta = parameters::<f32>(config.layout(setting.network.layout()).len());
    let another: Vec<f32> = theta.iter().map(|value| -value).collect();
    let episode = episode(setting.network);
    let mut learner = registered::<f32>(config, setting);
    let mut gradient = vec![f32::NAN; theta.len()];
    for theta in [another, theta] {
        learner.meta_gradient(&theta, &episode, seed(), &mut gradient);
    }
    gradient
}

#[test]
fn what_is_kept_of_an_inner_loop_is_seen_in_no_bit_of_any_learner() {
    let network = conv4(Downsample::MaxPool, Features::SpatialMean, 17);
    let on = |set, kept| setting(&network, LossKind::CrossEntropy, set, kept);
    for config in learners() {
        let expected = gradient(&config, &on(InstructionSet::PORTABLE, 0));
        assert!(expected.iter().all(|value| value.is_finite()), "{config:?}");
        assert!(expected.iter().any(|&value| value != 0.0), "{config:?}");
        // None; one of two; both.
        for kept in [0, frame_bytes(&config, &network), usize::MAX] {
            for set in InstructionSet::available() {
                let found = gradient_behind_another(&config, &on(set, kept));
                assert!(same_bits(&found, &expected), "{set}, {kept} bytes: {config:?}");
            }
        }
    }
}
