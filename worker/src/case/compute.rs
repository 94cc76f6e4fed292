//! Computing a case, with the learners that training uses.

use lyceum_common::abreast::regressions_abreast;
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::layout::Role;
use lyceum_common::seed::Seed;

use super::description::LEARNED_OPTIMIZER;
use super::read::{Case, CaseError, CaseResult};
use crate::episodes::Episode;
use crate::kernels::{InstructionSet, offset};
use crate::layers::LossKind;
use crate::learners::{Extent, Registered, Setting, learner};
use crate::networks::Network;

/// Loss, outputs and meta-gradient of a case.
///
/// # Errors
/// Where the case's algorithm is not known, or its tensors do not fit its description.
pub fn compute(case: &Case, instruction_set: InstructionSet) -> Result<CaseResult, CaseError> {
    if case.description.algorithm == LEARNED_OPTIMIZER {
        return super::learned_optimizer::compute(case, instruction_set);
    }
    let few_shot = case.few_shot()?;
    let outputs = few_shot.classes.unwrap_or(1);
    let head = few_shot.learner.head(outputs);
    let network = Network::new(&few_shot.network, few_shot.shape, head)
        .map_err(|source| CaseError::Model { path: case.path.with_extension("toml"), source })?;
    let ways = few_shot.classes.unwrap_or(1);
    let examples = |inputs: &[f32]| inputs.len() / few_shot.shape.len();
    let extent = Extent {
        ways,
        shots: examples(&few_shot.episode.support.inputs) / ways,
        queries: examples(&few_shot.episode.query.inputs),
    };
    let abreast = if few_shot.classes.is_some() {
        1
    } else {
        regressions_abreast(&few_shot.learner, &few_shot.network, network.layout())
    };
    let setting = Setting {
        network: &network,
        loss: if few_shot.classes.is_some() {
            LossKind::CrossEntropy
        } else {
            LossKind::SquaredError
        },
        training: extent,
        evaluation: extent,
        abreast,
        instruction_set,
        kept_bytes: usize::MAX,
        transductive: true,
    };
    let Registered::OfEpisodes(learner) = learner::<f32>(&few_shot.learner, &setting) else {
        return super::learned_optimizer::compute(case, instruction_set);
    };
    // The case is in every lane where training computes several episodes side by side; what is told is of the first.
    let (order, episode) = if abreast == 1 {
        (network.order(&few_shot.layout), few_shot.episode.clone())
    } else {
        let mut episodes = Episode::default();
        (0..abreast).for_each(|lane| episodes.put(lane, &few_shot.episode));
        ((0..offset(few_shot.layout.len())).collect(), episodes)
    };
    let theta: Vec<f32> = order.iter().map(|&place| few_shot.parameters[place as usize]).collect();
    let mut gradient = vec![0.0; theta.len() * abreast];
    let mut thread = learner.thread();
    // Nothing is drawn: the episode is given, and cases train on whole support sets.
    let meta_step = MetaStep(case.description.meta_step.unwrap_or(0));
    let seed = Seed::of_run(0).step(meta_step).episode(EpisodeIndex(0));
    let report = thread.meta_gradient(&theta, &episode, seed, &mut gradient);
    let mut meta_gradient = vec![0.0; theta.len()];
    for (&place, &value) in order.iter().zip(gradient.iter().step_by(abreast)) {
        meta_gradient[place as usize] = value;
    }
    // What stands behind the trained entries is no gradient: running statistics have their change there.
    let layout = few_shot.layout.trained();
    let entries = few_shot.layout.entries().iter();
    let changes = entries
        .filter(|entry| entry.role == Role::Buffer)
        .map(|entry| (entry.name.clone(), meta_gradient[entry.range()].to_vec()))
        .collect();
    meta_gradient.truncate(layout.len());
    let output = thread.outputs().iter().step_by(abreast).copied().collect();
    Ok(CaseResult { loss: report.alone().loss, output, meta_gradient, layout, changes })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lyceum_common::config::Activation;

    use super::*;
    use crate::case::Tolerance;
    use crate::case::description::Hidden;

    #[test]
    fn every_case_of_a_known_algorithm_is_within_the_tolerances_on_every_instruction_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
        let names = [
            "maml_stride_1step",
            "maml_pool_5step",
            "maml_rgb_2step",
            "fomaml_pool_5step",
            "anil_pool_5step",
            "maml_plus_plus",
            "proto_maml",
            "imaml",
            "reptile_stride_5step",
            "meta_sgd_stride_2step",
            "meta_curvature",
            "maml_sinusoid",
            "prototypical",
            "matching",
            "siamese",
            "relation",
            "learned_optimizer_quadratic",
            "learned_optimizer_mlp",
            "learned_optimizer_pes",
            "learned_optimizer_memory",
        ];
        for name in names {
            let case = Case::read(&folder.join(name)).unwrap();
            let expected = compute(&case, InstructionSet::PORTABLE).unwrap();
            let comparison = expected.compare(&case, &Tolerance::SINGLE).unwrap().unwrap();
            println!("{name}: {comparison:?}");
            assert!(comparison.agrees(&Tolerance::SINGLE), "{name}: {comparison:?}");
            for set in InstructionSet::available() {
                let result = compute(&case, set).unwrap();
                assert!(
                    crate::kernels::test_support::same_bits(
                        &result.meta_gradient,
                        &expected.meta_gradient
                    ),
                    "{name} on {set}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_case_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
        let refused = |name: &str, change: &dyn Fn(&mut Case), culprit: &str| {
            let mut case = Case::read(&folder.join(name)).unwrap();
            change(&mut case);
            let error = compute(&case, InstructionSet::PORTABLE).unwrap_err().to_string();
            assert!(error.contains(culprit), "{name}: `{culprit}` is not in: {error}");
        };
        refused("prototypical", &|case| case.description.ways = Some(0), "ways");
        let unheard_of = |case: &mut Case| case.description.algorithm = "evolution".into();
        refused("prototypical", &unheard_of, "`evolution`");
        refused("maml_stride_1step", &|case| case.description.inner_steps = Some(0), "inner_steps");
        let perceptron = |case: &mut Case| {
            case.description.network = Some("mlp".into());
            case.description.hidden = Some(Hidden::One(4));
            case.description.activation = Some(Activation::Relu);
        };
        refused("proto_maml", &perceptron, "encoder");
        let mixed = |case: &mut Case| {
            let labels = case.episode.get_mut("support.y").unwrap();
            labels.values.reverse();
        };
        refused("proto_maml", &mixed, "support.y");
        refused("imaml", &|case| case.description.regularisation = Some(0.0), "regularisation");
        let none = |case: &mut Case| case.description.multi_step_meta_steps = None;
        refused("maml_plus_plus", &none, "multi_step_meta_steps");
        let other = |case: &mut Case| case.description.estimator = Some("guess".into());
        refused("learned_optimizer_pes", &other, "`guess`");
        let more = |case: &mut Case| case.description.pairs = Some(77);
        refused("learned_optimizer_pes", &more, "perturbations");
        let huge = |case: &mut Case| case.description.image_size = Some(1_000_000_000);
        refused("maml_stride_1step", &huge, "image_size");
        let huge = |case: &mut Case| case.description.hidden = Some(Hidden::One(1_000_000_000));
        refused("learned_optimizer_mlp", &huge, "hidden");
        // One example and its label less than as many of each class.
        let uneven = |case: &mut Case| {
            for axis in ["x", "y"] {
                let tensor = case.episode.get_mut(&format!("support.{axis}")).unwrap();
                let count = tensor.shape[0];
                tensor.values.truncate(tensor.values.len() / count * (count - 1));
                tensor.shape[0] = count - 1;
            }
        };
        refused("maml_stride_1step", &uneven, "support.y");
        let labels = |case: &mut Case| {
            let labels = case.episode.get_mut("support.y").unwrap();
            labels.values.extend_from_within(..);
            labels.shape.push(2);
        };
        refused("maml_stride_1step", &labels, "support.y");
    }
}
