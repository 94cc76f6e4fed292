//! Learners whose parameters are no numbers any more.

use super::*;

/// A run that has diverged says so: what is not a number is nowhere taken for zero, or for a bound.
#[test]
fn what_is_not_a_number_reaches_the_loss() {
    let networks = [
        conv4(Downsample::MaxPool, Features::Flatten, 17),
        mlp(Activation::Relu),
        mlp(Activation::Tanh),
        mlp(Activation::Sigmoid),
    ];
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
