//! Meta-optimizers: rates and constants.

use super::{ConfigError, LARGE, positive, within};
use crate::config::{AdamConfig, MetaOptimizerConfig, Rule, Schedule};

impl AdamConfig {
    pub(in crate::config) fn validate(&self, key: &str) -> Result<(), ConfigError> {
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
