//! Where the meta-parameters begin.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::ids::Digest;

/// Meta-parameters that begin with those of a model, whatever it was trained as, instead of being drawn from the seed.
///
/// Each tensor of the run begins with the file's tensor of its name, which has its shape; what else the file holds is passed
/// over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialisationConfig {
    /// A safetensors file with PyTorch's names and f32 numbers, as `lyceum export` writes them; or the folder of a run that is
    /// complete, whose model it is then.
    pub from: PathBuf,
    /// Parts of names, between dots, of the tensors that are drawn from the seed all the same: `head` of `head.weight`, or
    /// `running_mean` of all such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<String>,
    /// The file's BLAKE3 digest, which no other file may have. A new run notes it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl InitialisationConfig {
    /// Whether the tensor of this name is drawn from the seed.
    #[must_use]
    pub fn draws(&self, name: &str) -> bool {
        self.drawn.iter().any(|part| has_part(name, part))
    }

    /// Of `drawn`, the first that is part of no name among these.
    #[must_use]
    pub fn surplus(&self, names: &[&str]) -> Option<&str> {
        let is_surplus = |part: &&String| !names.iter().any(|name| has_part(name, part));
        self.drawn.iter().find(is_surplus).map(String::as_str)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let error = |key: &str, problem: String| {
            Err(ConfigError::new(format!("initialisation.{key}"), problem))
        };
        if self.from == Path::new("") {
            return error("from", "a model's file or a run's folder is to be named".to_owned());
        }
        if let Some(Err(problem)) = self.digest.as_ref().map(|digest| digest.parse::<Digest>()) {
            return error("digest", problem.to_string());
        }
        if self.drawn.iter().any(String::is_empty) {
            return error("drawn", "an empty text is part of no name".to_owned());
        }
        Ok(())
    }
}

fn has_part(name: &str, part: &str) -> bool {
    format!(".{name}.").contains(&format!(".{part}."))
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    use super::*;

    fn begun(overrides: &[&str]) -> Result<InitialisationConfig, String> {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        let config = load("glyphs-maml", &overrides).map_err(|error| error.to_string())?;
        Ok(config.initialisation.unwrap())
    }

    #[test]
    fn tensors_are_drawn_by_whole_parts_of_their_names() {
        let drawn = "initialisation.drawn=[\"head\", \"encoder.1\", \"running_mean\"]";
        let config = begun(&["initialisation.from=model.safetensors", drawn]).unwrap();
        for name in ["head.weight", "encoder.1.conv.weight", "encoder.0.norm.running_mean"] {
            assert!(config.draws(name), "{name}");
        }
        for name in ["header.weight", "encoder.10.conv.weight", "encoder.0.norm.running_var"] {
            assert!(!config.draws(name), "{name}");
        }
        let names = ["head.bias", "encoder.1.conv.bias", "encoder.2.conv.bias"];
        assert_eq!(config.surplus(&names), Some("running_mean"));
        assert_eq!(config.surplus(&["head", "encoder.1", "x.running_mean"]), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_key() {
        let from = "initialisation.from=model.safetensors";
        for (overrides, key) in [
            (&["initialisation.drawn=[\"head\"]"][..], "initialisation.from"),
            (&["initialisation.from="], "initialisation.from"),
            (&[from, "initialisation.digest=12"], "initialisation.digest"),
            (&[from, "initialisation.drawn=[\"\"]"], "initialisation.drawn"),
            (&[from, "initialisation.draw=[\"head\"]"], "initialisation.draw"),
        ] {
            let error = begun(overrides).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
    }
}
