//! Computing a case, with the learners that training uses.

use lyceum_common::abreast::regressions_abreast;
use lyceum_common::config::LearnerConfig;
use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::model::Head;
use lyceum_common::seed::Seed;

use super::description::LEARNED_OPTIMIZER;
use super::read::{Case, CaseError, CaseResult, FewShot};
use crate::episodes::{Episode, EpisodeSize};
use crate::kernels::{InstructionSet, offset};
use crate::layers::LossKind;
use crate::learners::{
    Learner, Maml, MetaSgd, Reptile, Setting, matching, prototypical, relation, siamese,
};
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
    let head = Head::of(&few_shot.learner, outputs);
    let network = Network::new(&few_shot.network, few_shot.shape, head)
        .map_err(|source| CaseError::Model { path: case.path.with_extension("toml"), source })?;
    let ways = few_shot.classes.unwrap_or(1);
    let examples = |inputs: &[f32]| inputs.len() / few_shot.shape.len() / ways;
    let size = EpisodeSize {
        ways,
        shots: examples(&few_shot.episode.support.inputs),
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
        training: size,
        evaluation: size,
        abreast,
        instruction_set,
        kept_bytes: usize::MAX,
        transductive: true,
    };
    Ok(match &few_shot.learner {
        LearnerConfig::Maml(maml) => run(&Maml::new(maml, &setting), &setting, &few_shot),
        LearnerConfig::MetaSgd(meta_sgd) => {
            run(&MetaSgd::new(meta_sgd, &setting), &setting, &few_shot)
        }
        LearnerConfig::Reptile(reptile) => {
            run(&Reptile::new(reptile, &setting), &setting, &few_shot)
        }
        LearnerConfig::Prototypical(config) => {
            run(&prototypical(config, &setting), &setting, &few_shot)
        }
        LearnerConfig::Matching(_) => run(&matching(&setting), &setting, &few_shot),
        LearnerConfig::Siamese(_) => run(&siamese(&setting), &setting, &few_shot),
        LearnerConfig::Relation(_) => run(&relation(&setting), &setting, &few_shot),
        LearnerConfig::LearnedOptimizer(_) => {
            return super::learned_optimizer::compute(case, instruction_set);
        }
    })
}

/// The case, in every lane where training computes several episodes side by side; what is told is of the first lane.
fn run<L: Learner<f32>>(learner: &L, setting: &Setting<'_>, case: &FewShot) -> CaseResult {
    let abreast = setting.abreast;
    let (order, episode) = if abreast == 1 {
        (setting.network.meta_order(learner.parameters()), case.episode.clone())
    } else {
        let mut episodes = Episode::default();
        (0..abreast).for_each(|lane| episodes.put(lane, &case.episode));
        ((0..offset(learner.parameters())).collect(), episodes)
    };
    let theta: Vec<f32> = order.iter().map(|&place| case.parameters[place as usize]).collect();
    let mut gradient = vec![0.0; theta.len() * abreast];
    let mut scratch = learner.scratch();
    // Nothing is drawn: the episode is given, and cases train on whole support sets.
    let seed = Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(0));
    let report = learner.meta_gradient(&theta, &episode, seed, &mut scratch, &mut gradient);
    let mut meta_gradient = vec![0.0; theta.len()];
    for (&place, &value) in order.iter().zip(gradient.iter().step_by(abreast)) {
        meta_gradient[place as usize] = value;
    }
    // What stands behind the trained entries is no gradient.
    let layout = case.layout.trained();
    meta_gradient.truncate(layout.len());
    let output = learner.outputs(&scratch).iter().step_by(abreast).copied().collect();
    CaseResult { loss: report.alone().loss, output, meta_gradient, layout }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::case::Tolerance;

    #[test]
    fn every_case_of_a_known_algorithm_is_within_the_tolerances_on_every_instruction_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
        let names = [
            "maml_stride_1step",
            "maml_pool_5step",
            "maml_rgb_2step",
            "fomaml_pool_5step",
            "anil_pool_5step",
            "reptile_stride_5step",
            "meta_sgd_stride_2step",
            "maml_sinusoid",
            "prototypical",
            "matching",
            "siamese",
            "relation",
            "learned_optimizer_quadratic",
            "learned_optimizer_mlp",
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
}
