//! Learners and meta-optimizers: rates, steps, constants.

use super::{ConfigError, LARGE, MANY, positive, range, within};
use crate::config::{
    AdamConfig, DataConfig, EpisodeConfig, Estimator, InnerOptimizer, LearnedOptimizerConfig,
    LearnerConfig, MamlConfig, MetaOptimizerConfig, MetaSgdConfig, NetworkConfig, ReptileConfig,
    Rule, Schedule,
};

impl LearnerConfig {
    pub(super) fn validate(&self, episode: &EpisodeConfig) -> Result<(), ConfigError> {
        let (ways, in_evaluation) = (episode.ways, episode.ways_in_evaluation());
        if !self.is_metric() && ways != in_evaluation {
            let problem = format!(
                "must be {ways}, as in training: the learner has an output for each class; and is {in_evaluation}"
            );
            return Err(ConfigError::new("episode.evaluation_ways", problem));
        }
        match self {
            Self::Maml(maml) => maml.validate(),
            Self::MetaSgd(meta_sgd) => meta_sgd.validate(),
            Self::Reptile(reptile) => reptile.validate(episode),
            Self::Prototypical(_) | Self::Matching(_) | Self::Siamese(_) | Self::Relation(_) => {
                Ok(())
            }
            Self::LearnedOptimizer(optimizer) => optimizer.validate(),
        }
    }

    /// Quadratics are a linear map's, and a learned optimizer's alone: there is nothing to adapt to.
    pub(super) fn validate_optimizee(
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

impl MamlConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        positive("learner.maml.inner_rate", self.inner_rate)?;
        steps("learner.maml", self.inner_steps, self.evaluation_steps)?;
        self.inner_clip.map_or(Ok(()), |clip| positive("learner.maml.inner_clip.value", clip.value))
    }
}

impl MetaSgdConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        range("learner.meta_sgd.initial_rates", self.initial_rates)?;
        steps("learner.meta_sgd", self.inner_steps, self.evaluation_steps)
    }
}

impl ReptileConfig {
    fn validate(&self, episode: &EpisodeConfig) -> Result<(), ConfigError> {
        positive("learner.reptile.inner_rate", self.inner_rate)?;
        steps("learner.reptile", self.inner_steps, self.evaluation_steps)?;
        let training_shots = self.training_shots.unwrap_or(episode.shots);
        within("learner.reptile.training_shots", training_shots, 1, MANY)?;
        let batch = |key: &str, batch: Option<usize>, shots: usize| {
            let support = episode.ways * shots;
            within(&format!("learner.reptile.{key}"), batch.unwrap_or(support), 1, support)
        };
        batch("inner_batch", self.inner_batch, training_shots)?;
        batch("evaluation_batch", self.evaluation_batch, episode.shots_in_evaluation())?;
        match self.inner_optimizer {
            InnerOptimizer::Sgd => Ok(()),
            InnerOptimizer::Adam(adam) => adam.validate("learner.reptile.inner_optimizer.adam"),
        }
    }
}

impl LearnedOptimizerConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("learner.learned_optimizer.{name}");
        within(&key("hidden"), self.hidden, 1, 1024)?;
        steps("learner.learned_optimizer", self.inner_steps, self.evaluation_steps)?;
        within(&key("evaluation_steps"), self.evaluation_steps, 1, MANY)?;
        within(&key("unroll"), self.unroll, 1, MANY)?;
        positive(&key("output_scale"), self.output_scale)?;
        // e to this and to minus this are numbers of single precision, with digits to spare.
        within(&key("preprocess_p"), self.preprocess_p, 0.1, 60.0)?;
        within(&key("batch"), self.batch, 1, 1_000_000)?;
        within(&key("loss_power"), self.loss_power, 0.0, 100.0)?;
        let deviation = self.initial_deviation;
        deviation.map_or(Ok(()), |deviation| positive(&key("initial_deviation"), deviation))?;
        match self.estimator {
            Estimator::BackPropagation => Ok(()),
            Estimator::Pes { deviation, pairs } => {
                positive(&key("estimator.pes.deviation"), deviation)?;
                within(&key("estimator.pes.pairs"), pairs, 1, MANY)
            }
        }
    }
}

/// Training adapts by at least one step; evaluation may look at the initialisation itself.
fn steps(learner: &str, training: usize, evaluation: usize) -> Result<(), ConfigError> {
    within(&format!("{learner}.inner_steps"), training, 1, MANY)?;
    within(&format!("{learner}.evaluation_steps"), evaluation, 0, MANY)
}

impl AdamConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        share(&format!("{key}.beta1"), self.beta1)?;
        share(&format!("{key}.beta2"), self.beta2)?;
        positive(&format!("{key}.epsilon"), self.epsilon)
    }
}

impl MetaOptimizerConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        positive("meta_optimizer.rate", self.rate)?;
        self.clip_norm.map_or(Ok(()), |norm| positive("meta_optimizer.clip_norm", norm))?;
        self.clip_value.map_or(Ok(()), |value| positive("meta_optimizer.clip_value", value))?;
        self.rule.validate()?;
        self.schedule.validate()
    }
}

impl Rule {
    fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Sgd { momentum } => share("meta_optimizer.rule.sgd.momentum", *momentum),
            Self::Adam(adam) => adam.validate("meta_optimizer.rule.adam"),
            Self::AdamW { adam, weight_decay } => {
                adam.validate("meta_optimizer.rule.adam_w.adam")?;
                within("meta_optimizer.rule.adam_w.weight_decay", *weight_decay, 0.0, 1e6)
            }
        }
    }
}

impl Schedule {
    fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Constant => Ok(()),
            Self::Linear { to } => within("meta_optimizer.schedule.linear.to", to, 0.0, 1e6),
            Self::Cosine { to } => within("meta_optimizer.schedule.cosine.to", to, 0.0, 1e6),
            Self::Step { every, factor } => {
                within("meta_optimizer.schedule.step.every", every, 1, LARGE)?;
                positive("meta_optimizer.schedule.step.factor", factor)
            }
        }
    }
}

/// Refuses what is not in 0..1.
fn share(key: &str, value: f32) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("must be at least 0 and less than 1, and is {value}")))
}
