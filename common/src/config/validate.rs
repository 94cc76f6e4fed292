//! Ranges: what a type cannot say about a number, and what the parts of a configuration ask of one another.

mod data;
mod meta_optimizer;

use super::{
    ConfigError, DataConfig, EpisodeConfig, FarmConfig, InitialisationConfig, LearnerConfig,
    NetworkConfig, Precision, RunConfig, TrainingConfig,
};
use crate::model::{ModelError, run_layout};

/// No count that a person means is larger, and sums and products of a few still fit.
pub(in crate::config) const LARGE: u64 = 1_000_000_000_000;

/// Examples a class, ways and inner steps stay below what a machine's memory holds.
pub(in crate::config) const MANY: usize = 10_000;

/// The longest name of a run, which names a folder.
const LONGEST_NAME: usize = 100;

impl RunConfig {
    /// Checks every number against its range, and the parts against one another. What only the data itself can tell
    /// (how many classes a folder has, say) is checked when it is prepared.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_evaluation()?;
        self.data.validate_episode(&self.episode, &self.learner, &self.training)
    }

    /// As [`RunConfig::validate`], but for whether all splits have the classes and images of an episode: an evaluation draws
    /// from one of them, and checks that one when it does.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn validate_evaluation(&self) -> Result<(), ConfigError> {
        name(&self.name)?;
        within("seed", self.seed, 0, i64::MAX as u64)?;
        self.data.validate()?;
        self.episode.validate(self.data.is_classification(), &self.learner)?;
        self.episode.validate_images(&self.data, &self.learner)?;
        self.network.validate()?;
        self.learner.validate(self)?;
        self.initialisation.as_ref().map_or(Ok(()), InitialisationConfig::validate)?;
        self.meta_optimizer.validate()?;
        self.training.validate()?;
        self.farm.validate()?;
        self.validate_precision()?;
        self.validate_transductive()?;
        self.validate_network_reads_data()
    }

    /// Refuses a choice that nothing would heed.
    fn validate_transductive(&self) -> Result<(), ConfigError> {
        if self.episode.transductive.is_none() {
            return Ok(());
        }
        let problem = if matches!(self.learner, LearnerConfig::LearnedOptimizer(_)) {
            "an optimizee's minibatches are normalised by themselves, always"
        } else if !self.normalises() {
            "examples see one another through batch norm, and there is none"
        } else {
            return Ok(());
        };
        Err(ConfigError::new("episode.transductive", problem))
    }

    /// Refuses a precision that nothing in the run would have.
    fn validate_precision(&self) -> Result<(), ConfigError> {
        if self.training.precision == Precision::Float32 {
            return Ok(());
        }
        let problem = match (&self.learner, &self.network) {
            (LearnerConfig::LearnedOptimizer(_), _) => "an optimizer is learned in float32",
            (_, NetworkConfig::Conv4(conv4)) if conv4.filters.is_multiple_of(16) => return Ok(()),
            (_, NetworkConfig::Conv4(_)) => "needs a multiple of 16 as network.conv4.filters",
            _ => "only convolutions multiply bfloat16: use network.conv4",
        };
        Err(ConfigError::new("training.precision", problem))
    }

    fn validate_network_reads_data(&self) -> Result<(), ConfigError> {
        if self.learner.is_metric() && !self.data.is_classification() {
            let problem = format!("data.{} has no classes to compare", self.data.kind());
            return Err(ConfigError::new("learner", problem));
        }
        match run_layout(self) {
            Ok(_) => Ok(()),
            Err(error @ ModelError::NoEncoder) => {
                Err(ConfigError::new("network", format!("{error}; use network.conv4")))
            }
            Err(error @ ModelError::NotImages(_)) => {
                Err(ConfigError::new("network", format!("{error}; use network.mlp")))
            }
            Err(error @ ModelError::NothingToRelate(..)) => {
                Err(ConfigError::new("network.conv4.downsample", error.to_string()))
            }
            Err(error @ ModelError::TooLarge(_)) => {
                let key = match self.network {
                    NetworkConfig::Conv4(_) => "network.conv4.filters",
                    NetworkConfig::Mlp(_) => "network.mlp.hidden",
                    NetworkConfig::Linear(_) => "network.linear",
                };
                Err(ConfigError::new(key, error.to_string()))
            }
            Err(error @ ModelError::TooSmall(..)) => Err(ConfigError::new(
                format!("data.{}.images.image_size", self.data.kind()),
                error.to_string(),
            )),
        }
    }
}

/// A run's name names its folder, on any file system.
fn name(name: &str) -> Result<(), ConfigError> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let problem = if name.is_empty() {
        "a run needs a name".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("a name has at most {LONGEST_NAME} characters")
    } else if name.starts_with('.') || !name.chars().all(fit) {
        format!(
            "`{name}` does not name a folder: use letters, digits, `-`, `_` and `.`, and no `.` at the start"
        )
    } else {
        return Ok(());
    };
    Err(ConfigError::new("name", problem))
}

impl EpisodeConfig {
    fn validate(&self, classification: bool, learner: &LearnerConfig) -> Result<(), ConfigError> {
        if classification {
            within("episode.ways", self.ways, 2, MANY)?;
            within("episode.evaluation_ways", self.ways_in_evaluation(), 2, MANY)?;
        } else if self.ways != 1 {
            let problem = format!("regression has 1 way, not {}", self.ways);
            return Err(ConfigError::new("episode.ways", problem));
        }
        if matches!(learner, LearnerConfig::LearnedOptimizer(_)) {
            let counts = [
                ("shots", self.shots),
                ("queries", self.queries),
                ("evaluation_shots", self.evaluation_shots.unwrap_or(0)),
                ("evaluation_queries", self.evaluation_queries.unwrap_or(0)),
            ];
            return match counts.into_iter().find(|(_, count)| *count != 0) {
                None => Ok(()),
                Some((key, _)) => Err(ConfigError::new(
                    format!("episode.{key}"),
                    "a learned optimizer's examples are counted by learner.learned_optimizer.batch",
                )),
            };
        }
        within("episode.shots", self.shots, 1, MANY)?;
        within("episode.queries", self.queries, 1, MANY)?;
        within("episode.evaluation_shots", self.shots_in_evaluation(), 1, MANY)?;
        within("episode.evaluation_queries", self.queries_in_evaluation(), 1, MANY)
    }
}

impl EpisodeConfig {
    /// What only episodes of images have.
    fn validate_images(
        &self,
        data: &DataConfig,
        learner: &LearnerConfig,
    ) -> Result<(), ConfigError> {
        within("episode.within_groups", self.within_groups, 0.0, 1.0)?;
        let distortions = [
            ("episode.distortion", &self.distortion),
            ("episode.class_distortion", &self.class_distortion),
        ];
        for (key, distortion) in distortions {
            distortion.as_ref().map_or(Ok(()), |distortion| distortion.validate(key))?;
        }
        let learns_optimizer = matches!(learner, LearnerConfig::LearnedOptimizer(_));
        if data.is_classification() && !learns_optimizer {
            return Ok(());
        }
        let distorted = distortions.iter().find(|(_, distortion)| distortion.is_some());
        let key = if let Some((key, _)) = distorted {
            (*key).to_owned()
        } else if self.within_groups > 0.0 {
            "episode.within_groups".to_owned()
        } else if data.rotations() {
            format!("data.{}.images.rotations", data.kind())
        } else {
            return Ok(());
        };
        Err(ConfigError::new(key, "this run's episodes are not made of classes of images"))
    }
}

impl NetworkConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Conv4(conv4) => within("network.conv4.filters", conv4.filters, 1, 4096),
            Self::Mlp(mlp) => {
                within("network.mlp.hidden", mlp.hidden.len(), 0, 64)?;
                mlp.hidden
                    .iter()
                    .try_for_each(|&size| within("network.mlp.hidden", size, 1, 65_536))
            }
            Self::Linear(_) => Ok(()),
        }
    }
}

impl TrainingConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        within("training.meta_steps", self.meta_steps, 1, LARGE)?;
        within("training.meta_batch", self.meta_batch, 1, 1_000_000)?;
        within("training.validate_every", self.validate_every, 0, LARGE)?;
        within("training.validation_episodes", self.validation_episodes, 1, 1_000_000_000)?;
        within("training.test_episodes", self.test_episodes, 1, 1_000_000_000)?;
        within("training.checkpoint_every", self.checkpoint_every, 0, LARGE)?;
        within("training.report_every", self.report_every, 1, LARGE)
    }
}

impl FarmConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        within("farm.assignment", self.assignment, 0, 1_000_000)?;
        positive("farm.lease_seconds", self.lease_seconds)?;
        within("farm.lease_seconds", self.lease_seconds, 0.0, 1e9)?;
        within("farm.audit", self.audit, 0.0, 1.0)?;
        within("farm.kept_values_megabytes", self.kept_values_megabytes, 0, 1 << 20)
    }
}

/// Refuses a number outside `low..=high`, and NaN.
pub(in crate::config) fn within<T: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    low: T,
    high: T,
) -> Result<(), ConfigError> {
    if low <= value && value <= high {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("must be from {low} to {high}, and is {value}")))
}

/// Refuses what is not a finite number above zero.
pub(in crate::config) fn positive(
    key: &str,
    value: impl Into<f64> + Copy + std::fmt::Display,
) -> Result<(), ConfigError> {
    let number = value.into();
    if number.is_finite() && number > 0.0 {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("must be a finite number above 0, and is {value}")))
}

/// Refuses a range that is not finite or whose ends are the wrong way round.
pub(in crate::config) fn range(key: &str, [low, high]: [f32; 2]) -> Result<(), ConfigError> {
    if low.is_finite() && high.is_finite() && low <= high {
        return Ok(());
    }
    Err(ConfigError::new(
        key,
        format!("must be two finite numbers, the lower one first, and is [{low}, {high}]"),
    ))
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    /// Each override of the default preset, and the key that the error must name.
    #[test]
    fn every_number_out_of_its_range_is_refused_by_name() {
        for (overrides, key) in [
            (&["name=../up"][..], "name"),
            (&["name=''"], "name"),
            (&["episode.ways=1"], "episode.ways"),
            (&["episode.shots=0"], "episode.shots"),
            (&["episode.queries=0"], "episode.queries"),
            (&["episode.evaluation_queries=0"], "episode.evaluation_queries"),
            (&["episode.evaluation_shots=0"], "episode.evaluation_shots"),
            (&["episode.evaluation_ways=4"], "episode.evaluation_ways"),
            (&["episode.within_groups=1.5"], "episode.within_groups"),
            (&["episode.distortion.probability=1.5"], "episode.distortion.probability"),
            (&["episode.distortion.scale=[0,1]"], "episode.distortion.scale"),
            (&["episode.distortion.scale=[1.2,0.8]"], "episode.distortion.scale"),
            (&["episode.distortion.rotation=-1"], "episode.distortion.rotation"),
            (&["episode.class_distortion.reflection=2"], "episode.class_distortion.reflection"),
            (
                &[
                    "data.sinusoid={}",
                    "episode.ways=1",
                    "network.mlp={hidden=[9], activation='relu'}",
                    "episode.distortion={}",
                ],
                "episode.distortion",
            ),
            (
                &["data.sinusoid={}", "episode.ways=1", "episode.evaluation_ways=2"],
                "episode.evaluation_ways",
            ),
            (&["episode.ways=101"], "episode.ways"),
            (&["episode.shots=6"], "episode.shots"),
            (&["episode.evaluation_queries=20"], "episode.evaluation_queries"),
            (&["data.glyphs.images_per_class=9"], "data.glyphs.images_per_class"),
            (
                &["data.glyphs.images.image_size=1024", "data.glyphs.images_per_class=100000"],
                "data.glyphs.images_per_class",
            ),
            (
                &["data.glyphs.images_per_class=100000", "data.glyphs.images.image_size=1024"],
                "data.glyphs.images.image_size",
            ),
            (&["network.mlp={hidden=[65536,65536], activation='relu'}"], "network.mlp.hidden"),
            (
                &["network.conv4.filters=4096", "learner.matching.full_context.processing_steps=1"],
                "network.conv4.filters",
            ),
            (&["data.glyphs.images.image_size=0"], "data.glyphs.images.image_size"),
            (&["data.glyphs.images.image_size=1025"], "data.glyphs.images.image_size"),
            (
                &["data.glyphs.images.image_size=15", "network.conv4.downsample=max_pool"],
                "data.glyphs.images.image_size",
            ),
            (&["data.glyphs.classes=[0,1,1]"], "data.glyphs.classes"),
            (&["data.sinusoid={}", "episode.ways=1"], "network"),
            (&["data.sinusoid={}"], "episode.ways"),
            (&["data.sinusoid={}", "episode.ways=1", "learner.prototypical={}"], "learner"),
            (
                &["learner.prototypical={}", "network.mlp={hidden=[9], activation='relu'}"],
                "network",
            ),
            (&["learner.prototypical={}", "episode.evaluation_ways=51"], "episode.evaluation_ways"),
            (&["learner.relation={}"], "network.conv4.downsample"),
            (&["learner.matching.scale=0"], "learner.matching.scale"),
            (&["data.sinusoid.domain=[1,0]"], "data.sinusoid.domain"),
            (&["data.folder={path='x', held_out=[0.5,0.6]}"], "data.folder.held_out"),
            (&["data.folder={path='x', held_out=[-0.1,0.5]}"], "data.folder.held_out"),
            (
                &["data.omniglot={path='x', split={random={train=0,validation=1,seed=0}}}"],
                "data.omniglot.split.random.train",
            ),
            (&["network.conv4.filters=0"], "network.conv4.filters"),
            (&["network.mlp={hidden=[0], activation='relu'}"], "network.mlp.hidden"),
            (&["learner.maml.inner_rate=0"], "learner.maml.inner_rate"),
            (&["learner.maml.inner_rate=nan"], "learner.maml.inner_rate"),
            (&["learner.maml.inner_rate=inf"], "learner.maml.inner_rate"),
            (&["learner.maml.inner_steps=0"], "learner.maml.inner_steps"),
            (&["learner.maml.inner_clip.value=-1"], "learner.maml.inner_clip.value"),
            (
                &["learner.maml.multi_step_loss.meta_steps=0"],
                "learner.maml.multi_step_loss.meta_steps",
            ),
            (
                &[
                    "network.mlp={hidden=[9], activation='relu'}",
                    "learner.maml.initial_head=prototypes",
                ],
                "learner.maml.initial_head",
            ),
            (
                &[
                    "network.mlp={hidden=[9], activation='relu'}",
                    "learner.maml.batch_norm_per_step=true",
                ],
                "learner.maml.batch_norm_per_step",
            ),
            (
                &["learner.imaml={regularisation=0,inner_rate=1,inner_steps=1,evaluation_steps=1}"],
                "learner.imaml.regularisation",
            ),
            (
                &["learner.meta_sgd={initial_rates=[1,0],inner_steps=1,evaluation_steps=1}"],
                "learner.meta_sgd.initial_rates",
            ),
            (
                &[
                    "learner.reptile={inner_optimizer='adam',inner_rate=1,inner_steps=1,evaluation_steps=1,inner_batch=6}",
                ],
                "learner.reptile.inner_batch",
            ),
            (
                &[
                    "learner.reptile={inner_optimizer.adam.beta1=1,inner_rate=1,inner_steps=1,evaluation_steps=1}",
                ],
                "learner.reptile.inner_optimizer.adam.beta1",
            ),
            (&["data.quadratics={}", "network.linear={}", "episode.ways=1"], "data.quadratics"),
            (&["meta_optimizer.rate=-1"], "meta_optimizer.rate"),
            (&["meta_optimizer.rule.sgd.momentum=1"], "meta_optimizer.rule.sgd.momentum"),
            (&["meta_optimizer.rule.adam.epsilon=0"], "meta_optimizer.rule.adam.epsilon"),
            (
                &["meta_optimizer.rule.adam_w.weight_decay=-1"],
                "meta_optimizer.rule.adam_w.weight_decay",
            ),
            (
                &["meta_optimizer.schedule.step={every=0,factor=1}"],
                "meta_optimizer.schedule.step.every",
            ),
            (&["meta_optimizer.clip_norm=0"], "meta_optimizer.clip_norm"),
            (&["meta_optimizer.clip_value=0"], "meta_optimizer.clip_value"),
            (&["training.meta_steps=0"], "training.meta_steps"),
            (&["training.meta_batch=0"], "training.meta_batch"),
            (&["training.test_episodes=0"], "training.test_episodes"),
            (&["training.report_every=0"], "training.report_every"),
            (&["training.precision=bfloat16", "network.conv4.filters=24"], "training.precision"),
            (&["farm.audit=1.5"], "farm.audit"),
            (&["farm.lease_seconds=0"], "farm.lease_seconds"),
        ] {
            refused("glyphs-maml", overrides, key);
        }
    }

    #[test]
    fn so_are_those_of_a_learned_optimizer() {
        for (overrides, key) in [
            ("episode.shots=1", "episode.shots"),
            ("episode.transductive=true", "episode.transductive"),
            ("episode.evaluation_shots=1", "episode.evaluation_shots"),
            ("episode.evaluation_queries=1", "episode.evaluation_queries"),
            ("episode.ways=2", "episode.ways"),
            ("learner.learned_optimizer.unroll=0", "learner.learned_optimizer.unroll"),
            ("learner.learned_optimizer.batch=0", "learner.learned_optimizer.batch"),
            ("learner.learned_optimizer.hidden=0", "learner.learned_optimizer.hidden"),
            (
                "learner.learned_optimizer.preprocess_p=100",
                "learner.learned_optimizer.preprocess_p",
            ),
            (
                "learner.learned_optimizer.evaluation_steps=0",
                "learner.learned_optimizer.evaluation_steps",
            ),
            (
                "learner.learned_optimizer.estimator.pes.deviation=0",
                "learner.learned_optimizer.estimator.pes.deviation",
            ),
            ("network.mlp={hidden=[], activation='relu'}", "network"),
            ("data.sinusoid={}", "network.linear"),
            ("data.quadratics.dimension=0", "data.quadratics.dimension"),
        ] {
            refused("quadratics-learned-optimizer", &[overrides], key);
        }
    }

    fn refused(preset: &str, overrides: &[&str], key: &str) {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        let error = load(preset, &overrides).expect_err(&format!("{overrides:?}"));
        assert_eq!(error.key(), Some(key), "{overrides:?}: {error}");
    }
}
