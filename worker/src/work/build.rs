//! From a run's configuration to the work that a worker farms: the one place that knows every learner.

use std::sync::Arc;

use lyceum_common::abreast::episodes_abreast;
use lyceum_common::config::{ConfigError, LearnerConfig, RunConfig};
use lyceum_common::model::{Head, ModelError};
use lyceum_common::pack::Pack;

use super::Work;
use super::optimizer_problem::OptimizerProblem;
use super::problem::Problem;
use super::side_by_side::SideBySideProblem;
use crate::episodes::{EpisodeError, EpisodeSize, EpisodeSource, ListedSource, source};
use crate::kernels::{InstructionSet, LANES};
use crate::layers::LossKind;
use crate::learners::{
    Learner, Maml, MetaSgd, Reptile, Setting, matching, prototypical, relation, siamese,
};
use crate::networks::Network;

/// Why a worker cannot do a run's work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The network cannot read the data's examples.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The sizes of listed episodes do not go with the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data has no such episodes.
    #[error(transparent)]
    Episodes(#[from] EpisodeError),
}

/// What a worker chooses for itself. Nothing here but `transductive` changes a bit of a result.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// The instruction set that kernels use.
    pub instruction_set: InstructionSet,
    /// Whether, in evaluation, query examples see one another through batch norm; as the learner does where absent.
    pub transductive: Option<bool>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { instruction_set: InstructionSet::best(), transductive: None }
    }
}

/// The work of the run of `config` on `pack` (none for data that is made up on the way).
///
/// # Errors
/// Where network, data and episodes do not fit together.
pub fn build(
    config: &RunConfig,
    pack: Option<Arc<Pack>>,
    options: BuildOptions,
) -> Result<Arc<dyn Work>, BuildError> {
    let images = pack.clone();
    let drawn = || Ok(Arc::from(source(config, images.clone())?));
    assemble(config, pack, &drawn, options)
}

/// The work of evaluating a run's parameters on the episodes of a list, whose sizes take the place of the configuration's.
///
/// # Errors
/// Where the learner cannot be evaluated on such episodes.
pub fn build_listed(
    config: &RunConfig,
    listed: ListedSource,
    options: BuildOptions,
) -> Result<Arc<dyn Work>, BuildError> {
    if matches!(config.learner, LearnerConfig::LearnedOptimizer(_)) {
        return Err(EpisodeError::NotListed.into());
    }
    let mut config = config.clone();
    listed.list().size().set_evaluation(&mut config.episode);
    config.validate()?;
    let source: Arc<dyn EpisodeSource> = Arc::new(listed);
    assemble(&config, None, &|| Ok(Arc::clone(&source)), options)
}

/// The one match over learners.
fn assemble(
    config: &RunConfig,
    pack: Option<Arc<Pack>>,
    source: &dyn Fn() -> Result<Arc<dyn EpisodeSource>, EpisodeError>,
    options: BuildOptions,
) -> Result<Arc<dyn Work>, BuildError> {
    let network = network(config)?;
    let setting = setting(config, &network, options);
    Ok(match &config.learner {
        LearnerConfig::Maml(maml) => problem(Maml::<f32>::new(maml, &setting), &setting, source()?),
        LearnerConfig::MetaSgd(meta_sgd) => {
            problem(MetaSgd::<f32>::new(meta_sgd, &setting), &setting, source()?)
        }
        LearnerConfig::Reptile(reptile) => {
            problem(Reptile::<f32>::new(reptile, &setting), &setting, source()?)
        }
        LearnerConfig::Prototypical(config) => {
            problem(prototypical::<f32>(config, &setting), &setting, source()?)
        }
        LearnerConfig::Matching(_) => problem(matching::<f32>(&setting), &setting, source()?),
        LearnerConfig::Siamese(_) => problem(siamese::<f32>(&setting), &setting, source()?),
        LearnerConfig::Relation(_) => problem(relation::<f32>(&setting), &setting, source()?),
        LearnerConfig::LearnedOptimizer(optimizer) => {
            Arc::new(OptimizerProblem::build(config, optimizer, pack, options)?)
        }
    })
}

/// The network of a run, which its learner adapts or trains.
pub(super) fn network(config: &RunConfig) -> Result<Network, ModelError> {
    let head = Head::of(&config.learner, config.outputs());
    Network::new(&config.network, config.data.shape(), head)
}

/// What the learner of a run is built from.
pub(super) fn setting<'n>(
    config: &RunConfig,
    network: &'n Network,
    options: BuildOptions,
) -> Setting<'n> {
    Setting {
        network,
        loss: LossKind::of(&config.data),
        training: EpisodeSize::of_training(config),
        evaluation: EpisodeSize::of_evaluation(config),
        abreast: episodes_abreast(config),
        instruction_set: options.instruction_set,
        kept_bytes: config.farm.kept_values_megabytes << 20,
        transductive: options.transductive.unwrap_or(!config.learner.is_metric()),
    }
}

fn problem<L: Learner<f32> + 'static>(
    learner: L,
    setting: &Setting<'_>,
    source: Arc<dyn EpisodeSource>,
) -> Arc<dyn Work> {
    let (training, evaluation) = (setting.training, setting.evaluation);
    let learner = Arc::new(learner);
    if setting.abreast == LANES {
        let instruction_set = setting.instruction_set;
        return Arc::new(SideBySideProblem {
            learner,
            source,
            training,
            evaluation,
            instruction_set,
        });
    }
    let order = setting.network.meta_order(learner.parameters()).into();
    Arc::new(Problem { learner, source, training, evaluation, order })
}
