//! How a meta-gradient becomes an update of the meta-parameters.

use std::collections::BTreeMap;

/// What a meta-optimizer keeps between steps: tensors of the layout's length (over the trained entries), by name.
pub type State = BTreeMap<String, Vec<f32>>;
