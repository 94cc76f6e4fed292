//! What is meta-learned, and how it adapts: one file each, and the registry of all.

mod imaml;
mod learned_optimizer;
mod maml;
mod matching;
mod meta_curvature;
mod meta_sgd;
mod prototypical;
mod relation;
mod reptile;
mod siamese;

use serde::{Deserialize, Serialize};

use super::validate::{MANY, within};
use super::{ConfigError, DataConfig, NetworkConfig, RunConfig};
use crate::layout::Layout;
use crate::model::Head;

/// What both sides know of a learner: which meta-parameters it has, and what it asks of a run.
pub trait Definition {
    /// Refuses numbers out of their ranges, and what does not fit the rest of the run.
    ///
    /// # Errors
    /// The first key that is wrong.
    fn validate(&self, _run: &RunConfig) -> Result<(), ConfigError> {
        Ok(())
    }

    /// What stands behind the network's encoder; `outputs` are those of a head that adapts.
    fn head(&self, outputs: usize) -> Head {
        Head::Linear(outputs)
    }

    /// The meta-parameters over a network with this layout: as a rule the network's, and behind them what is added.
    fn layout(&self, network: &Layout) -> Layout {
        network.clone()
    }

    /// Support examples a class in training, where they are not the episode's shots.
    fn training_shots(&self) -> Option<usize> {
        None
    }

    /// Inner steps in evaluation, of learners that take some.
    fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        None
    }
}

/// The registry: makes the variants of [`LearnerConfig`], and leads from each to its definition.
macro_rules! learners {
    ($($(#[$doc:meta])* $variant:ident($module:ident::$config:ident),)*) => {
        $(pub use $module::*;)*

        /// A learner.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum LearnerConfig {
            $($(#[$doc])* $variant($config),)*
        }

        impl LearnerConfig {
            fn definition(&self) -> &dyn Definition {
                match self { $(Self::$variant(learner) => learner,)* }
            }

            fn definition_mut(&mut self) -> &mut dyn Definition {
                match self { $(Self::$variant(learner) => learner,)* }
            }
        }
    };
}

learners! {
    /// MAML, first-order MAML and ANIL, MAML++ and Proto-MAML.
    Maml(maml::MamlConfig),
    /// iMAML: the meta-gradient follows from where the inner loop ends.
    Imaml(imaml::ImamlConfig),
    /// Meta-SGD: a rate per parameter is learned as well.
    MetaSgd(meta_sgd::MetaSgdConfig),
    /// Meta-curvature: matrices that transform gradients are learned as well.
    MetaCurvature(meta_curvature::MetaCurvatureConfig),
    /// Reptile.
    Reptile(reptile::ReptileConfig),
    /// Prototypical networks.
    Prototypical(prototypical::PrototypicalConfig),
    /// Matching networks.
    Matching(matching::MatchingConfig),
    /// Siamese networks.
    Siamese(siamese::SiameseConfig),
    /// Relation networks.
    Relation(relation::RelationConfig),
    /// A learned optimizer.
    LearnedOptimizer(learned_optimizer::LearnedOptimizerConfig),
}

impl LearnerConfig {
    /// Whether it learns a space to compare examples in, rather than something that an inner loop starts from: then
    /// nothing in it depends on the number of ways, and batch norm keeps running statistics for evaluation.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        !matches!(self.head(1), Head::Linear(_))
    }

    /// What stands behind the network's encoder: a linear layer of so many outputs, where one adapts.
    #[must_use]
    pub fn head(&self, outputs: usize) -> Head {
        self.definition().head(outputs)
    }

    /// The meta-parameters over a network with this layout.
    #[must_use]
    pub fn layout(&self, network: &Layout) -> Layout {
        self.definition().layout(network)
    }

    /// Support examples a class in training, where they are not the episode's shots.
    #[must_use]
    pub fn training_shots(&self) -> Option<usize> {
        self.definition().training_shots()
    }

    /// Inner steps in evaluation, of learners that take some.
    pub fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        self.definition_mut().evaluation_steps_mut()
    }

    pub(super) fn validate(&self, run: &RunConfig) -> Result<(), ConfigError> {
        let (ways, in_evaluation) = (run.episode.ways, run.episode.ways_in_evaluation());
        if !self.is_metric() && ways != in_evaluation {
            let problem = format!(
                "must be {ways}, as in training: the learner has an output for each class; and is {in_evaluation}"
            );
            return Err(ConfigError::new("episode.evaluation_ways", problem));
        }
        self.definition().validate(run)?;
        self.validate_optimizee(&run.data, &run.network)
    }

    /// Quadratics are a linear map's, and a learned optimizer's alone: there is nothing to adapt to.
    fn validate_optimizee(
        &self,
        data: &DataConfig,
        network: &NetworkConfig,
    ) -> Result<(), ConfigError> {
        let quadratics = matches!(data, DataConfig::Quadratics(_));
        let linear = matches!(network, NetworkConfig::Linear(_));
        if quadratics && !matches!(self, Self::LearnedOptimizer(_)) {
            let problem =
                "quadratics are trained by a learned optimizer: use learner.learned_optimizer";
            return Err(ConfigError::new("data.quadratics", problem));
        }
        if quadratics && !linear {
            return Err(ConfigError::new("network", "a quadratic is one of network.linear"));
        }
        if linear && !quadratics {
            let problem = "a linear map's function is a quadratic: use data.quadratics";
            return Err(ConfigError::new("network.linear", problem));
        }
        Ok(())
    }
}

/// Training adapts by at least one step; evaluation may look at the initialisation itself.
fn steps(learner: &str, training: usize, evaluation: usize) -> Result<(), ConfigError> {
    within(&format!("{learner}.inner_steps"), training, 1, MANY)?;
    within(&format!("{learner}.evaluation_steps"), evaluation, 0, MANY)
}
