//! From a run's configuration to the work that a worker farms.

use std::sync::Arc;

use lyceum_common::abreast::episodes_abreast;
use lyceum_common::config::{ConfigError, LearnerConfig, RunConfig};
use lyceum_common::model::ModelError;
use lyceum_common::pack::Pack;

use super::Work;
use super::optimizer_problem::OptimizerProblem;
use super::problem::Problem;
use super::side_by_side::SideBySideProblem;
use crate::episodes::{
    EpisodeError, EpisodeSize, EpisodeSource, ListedSource, source, used_splits,
};
use crate::kernels::{InstructionSet, LANES};
use crate::layers::LossKind;
use crate::learners::{Registered, Setting, learner};
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
    config.validate_evaluation()?;
    let source: Arc<dyn EpisodeSource> = Arc::new(listed);
    assemble(&config, None, &|| Ok(Arc::clone(&source)), options)
}

/// The work on the episodes of `source`.
fn assemble(
    config: &RunConfig,
    pack: Option<Arc<Pack>>,
    source: &dyn Fn() -> Result<Arc<dyn EpisodeSource>, EpisodeError>,
    options: BuildOptions,
) -> Result<Arc<dyn Work>, BuildError> {
    let network = network(config)?.in_precision(config.training.precision);
    let setting = setting(config, &network, options);
    Ok(match learner(&config.learner, &setting) {
        Registered::OfEpisodes(learner) => {
            let layout = config.learner.layout(network.layout());
            let training = EpisodeSize::of_training(config);
            let evaluation = EpisodeSize::of_evaluation(config);
            if setting.abreast == LANES {
                return Ok(Arc::new(SideBySideProblem {
                    learner,
                    source: source()?,
                    training,
                    evaluation,
                    parameters: layout.len(),
                    instruction_set: setting.instruction_set,
                }));
            }
            let order = network.order(&layout).into();
            let (source, sums) = (source()?, config.training.sums);
            Arc::new(Problem { learner, source, training, evaluation, order, sums })
        }
        Registered::OfOptimizees(optimizer) => {
            let splits = used_splits(config);
            Arc::new(OptimizerProblem::build(config, optimizer, pack, &splits, options)?)
        }
    })
}

/// The network of a run, which its learner adapts or trains.
pub(crate) fn network(config: &RunConfig) -> Result<Network, ModelError> {
    let head = config.learner.head(config.outputs());
    Network::new(&config.network, config.data.shape(), head)
}

/// What the learner of a run is built from.
pub(crate) fn setting<'n>(
    config: &RunConfig,
    network: &'n Network,
    options: BuildOptions,
) -> Setting<'n> {
    Setting {
        network,
        loss: LossKind::of(&config.data),
        training: EpisodeSize::of_training(config).into(),
        evaluation: EpisodeSize::of_evaluation(config).into(),
        abreast: episodes_abreast(config),
        instruction_set: options.instruction_set,
        kept_bytes: config.farm.kept_values_megabytes << 20,
        transductive: config.is_transductive(options.transductive),
    }
}
