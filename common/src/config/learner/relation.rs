//! Relation networks, as both sides know them.

use serde::{Deserialize, Serialize};

use super::Definition;
use crate::model::Head;

/// Relation networks (Sung et al. 2018): a module learns to compare feature maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationConfig {}

impl Definition for RelationConfig {
    fn head(&self, _: usize) -> Head {
        Head::Relation
    }
}
