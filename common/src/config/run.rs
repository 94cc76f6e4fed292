//! The whole configuration of a run.

use serde::{Deserialize, Serialize};

use super::{
    DataConfig, DistortionConfig, FarmConfig, InitialisationConfig, LearnerConfig,
    MetaOptimizerConfig, NetworkConfig, Published,
};

/// All that a run is determined by. The same configuration gives the same bits on any number of workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The run's name: that of its folder.
    pub name: String,
    /// What everything that is drawn is drawn from.
    #[serde(default)]
    pub seed: u64,
    /// Where episodes come from.
    pub data: DataConfig,
    /// What an episode consists of.
    pub episode: EpisodeConfig,
    /// The network.
    pub network: NetworkConfig,
    /// What is meta-learned, and how it adapts.
    pub learner: LearnerConfig,
    /// Where the meta-parameters begin, if they are not drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialisation: Option<InitialisationConfig>,
    /// How meta-gradients are applied.
    pub meta_optimizer: MetaOptimizerConfig,
    /// How long, how often, how many.
    pub training: TrainingConfig,
    /// How the farm behaves; nothing in here changes a bit of the result.
    #[serde(default)]
    pub farm: FarmConfig,
    /// What papers report of such runs; nothing in here changes a bit of the result either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

impl RunConfig {
    /// Outputs of a network that adapts: one for each class, and in regression one.
    #[must_use]
    pub fn outputs(&self) -> usize {
        if self.data.is_classification() { self.episode.ways } else { 1 }
    }

    /// Whether what is learned tells classes apart, and more accuracy is better. A learned optimizer is to bring losses down,
    /// those of classification too.
    #[must_use]
    pub fn classifies(&self) -> bool {
        let optimizer = matches!(self.learner, LearnerConfig::LearnedOptimizer(_));
        self.data.is_classification() && !optimizer
    }

    /// Whether an evaluation lets query examples see one another through batch norm: as `chosen`, else as the configuration
    /// says, else as the learner does; never where there is no batch norm.
    #[must_use]
    pub fn is_transductive(&self, chosen: Option<bool>) -> bool {
        let chosen = chosen.or(self.episode.transductive);
        self.normalises() && chosen.unwrap_or(!self.learner.is_metric())
    }

    /// Whether there is batch norm.
    pub(super) fn normalises(&self) -> bool {
        matches!(self.network, NetworkConfig::Conv4(_))
    }
}

/// An episode: N ways, K shots and some queries a class. A regression episode has one way. Where an optimizer is learned,
/// an optimizee tells as many classes apart as there are ways.
///
/// Episodes of validation and test have the same sizes where no other ones are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeConfig {
    /// Classes an episode in training.
    pub ways: usize,
    /// Support examples a class in training; none where an optimizer is learned, whose minibatches are not counted by class.
    #[serde(default)]
    pub shots: usize,
    /// Query examples a class in training; none where an optimizer is learned.
    #[serde(default)]
    pub queries: usize,
    /// Classes an episode in validation and test; learners with an output for each class have no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_ways: Option<usize>,
    /// Support examples a class in validation and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_shots: Option<usize>,
    /// Query examples a class in validation and test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_queries: Option<usize>,
    /// Whether validation and test let query examples see one another through batch norm; as the learner does where absent:
    /// what adapts does, what learns to compare does not. In training a batch is normalised by itself all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transductive: Option<bool>,
    /// The share of training episodes all of whose classes are of one group, turned alike: of one of Omniglot's alphabets,
    /// which are harder to tell apart than characters of several.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub within_groups: f32,
    /// How training images are distorted, each anew; those of validation and test never are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distortion: Option<DistortionConfig>,
    /// How the classes of a training episode are distorted, each anew and all its images alike: classes that nobody drew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_distortion: Option<DistortionConfig>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
pub(super) fn is_zero(share: &f32) -> bool {
    *share == 0.0
}

impl EpisodeConfig {
    /// Classes an episode in validation and test.
    #[must_use]
    pub fn ways_in_evaluation(&self) -> usize {
        self.evaluation_ways.unwrap_or(self.ways)
    }

    /// Support examples a class in validation and test.
    #[must_use]
    pub fn shots_in_evaluation(&self) -> usize {
        self.evaluation_shots.unwrap_or(self.shots)
    }

    /// Query examples a class in validation and test.
    #[must_use]
    pub fn queries_in_evaluation(&self) -> usize {
        self.evaluation_queries.unwrap_or(self.queries)
    }
}

/// A format of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32.
    #[default]
    Float32,
    /// bfloat16: eight bits of precision, and f32's range.
    Bfloat16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_default(precision: &Precision) -> bool {
    *precision == Precision::default()
}

/// How long a run lasts and when it looks up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Updates of the meta-parameters.
    pub meta_steps: u64,
    /// Episodes a meta-step.
    pub meta_batch: u64,
    /// Meta-steps between validations; 0 for none, and then the last parameters are the ones kept.
    #[serde(default)]
    pub validate_every: u64,
    /// Episodes a validation.
    #[serde(default = "validation_episodes")]
    pub validation_episodes: u64,
    /// Episodes of the test at the end.
    #[serde(default = "test_episodes")]
    pub test_episodes: u64,
    /// Meta-steps between checkpoints; 0 for one at the end alone.
    #[serde(default = "checkpoint_every")]
    pub checkpoint_every: u64,
    /// Meta-steps between lines of metrics.
    #[serde(default = "report_every")]
    pub report_every: u64,
    /// What the numbers are that training multiplies in convolutions between maps of which there are multiples of sixteen.
    /// Their sums are f32, and so are parameters, gradients and all that evaluation computes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// What meta-gradients and their sums are rounded to, at every node of the tree that sums them, so that as many bytes of
    /// each travel. bfloat16 gives another run's bits, which are the same on any number of workers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sums: Precision,
}

fn validation_episodes() -> u64 {
    200
}

fn test_episodes() -> u64 {
    1000
}

fn checkpoint_every() -> u64 {
    500
}

fn report_every() -> u64 {
    10
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    #[test]
    fn examples_see_one_another_as_chosen_or_configured_or_as_the_learner_has_it() {
        for (preset, default) in [("glyphs-maml", true), ("omniglot-prototypical-5w1s", false)] {
            let mut config = load(preset, &[]).unwrap();
            assert_eq!(config.is_transductive(None), default, "{preset}");
            for configured in [false, true] {
                config.episode.transductive = Some(configured);
                assert_eq!(config.is_transductive(None), configured, "{preset}");
                assert_eq!(config.is_transductive(Some(!configured)), !configured, "{preset}");
            }
        }
        let no_batch_norm = load("sinusoid-maml", &[]).unwrap();
        assert!(!no_batch_norm.is_transductive(Some(true)));
    }
}
