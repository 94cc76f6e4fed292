//! Learners that compare by scaled cosines.

use super::*;

/// A prototype of examples that are one and the same is where each of them is: attention to them is a choice of it.
#[test]
fn prototypes_by_scaled_cosines_are_matching_where_shots_are_alike() {
    let network = images(Downsample::Stride, Features::Flatten, 9, Head::Features);
    let setting = setting(&network, LossKind::CrossEntropy, InstructionSet::PORTABLE, 0);
    let mut episode = episode(&network);
    let length = network.input_len();
    for way in episode.support.inputs.chunks_exact_mut(SIZE.shots * length) {
        let (first, others) = way.split_at_mut(length);
        others.chunks_exact_mut(length).for_each(|other| other.copy_from_slice(first));
    }
    let theta = parameters::<f64>(network.layout().len());
    let loss = |config: &LearnerConfig| {
        registered::<f64>(config, &setting).evaluate(&theta, &episode, seed()).alone().loss
    };
    let mut losses = Vec::new();
    for scale in [1.0, 5.0] {
        let config = PrototypicalConfig { distance: Distance::Cosine, scale };
        let prototypical = loss(&LearnerConfig::Prototypical(config));
        let config = MatchingConfig { scale, ..MatchingConfig::default() };
        let matching = loss(&LearnerConfig::Matching(config));
        assert!((prototypical - matching).abs() < 1e-9, "{prototypical} is not {matching}");
        losses.push(prototypical);
    }
    assert!((losses[0] - losses[1]).abs() > 1e-3, "the scale counts: {losses:?}");
}
