//! Matching networks, as both sides know them.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::config::validate::{positive, within};
use crate::config::{ConfigError, RunConfig};
use crate::model::Head;

/// Matching networks (Vinyals et al. 2016): attention over the support examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchingConfig {
    /// What cosines are multiplied by ahead of the softmax: 1 in the paper, where no attention is above e² times another;
    /// Chen et al. (2019) take 100.
    pub scale: f32,
    /// Full-context embeddings, where they are wanted: LSTMs embed each example in the eyes of the whole support set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_context: Option<FullContext>,
}

impl Default for MatchingConfig {
    fn default() -> Self {
        Self { scale: 1.0, full_context: None }
    }
}

/// Full-context embeddings (Vinyals et al. 2016, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullContext {
    /// K: how often a query is read, with what it attends to of the support set.
    #[serde(default = "processing_steps")]
    pub processing_steps: usize,
}

fn processing_steps() -> usize {
    5
}

impl Definition for MatchingConfig {
    fn validate(&self, _: &RunConfig) -> Result<(), ConfigError> {
        positive("learner.matching.scale", self.scale)?;
        let key = "learner.matching.full_context.processing_steps";
        self.full_context.map_or(Ok(()), |context| within(key, context.processing_steps, 1, 100))
    }

    fn head(&self, _: usize) -> Head {
        if self.full_context.is_some() { Head::FullContext } else { Head::Features }
    }
}
