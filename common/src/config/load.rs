//! Configurations from TOML: files, presets and overrides; and errors that say where, which key, and what.

mod layers;
mod merge;
mod place;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, DataConfig, RunConfig};
use layers::{Layers, Source};
use merge::Override;

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot read the file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Neither a file nor a preset.
    #[error("{name}: neither a file nor a preset; the nearest preset is `{nearest}`")]
    NoSuchConfig {
        /// What was asked for.
        name: String,
        /// The preset whose name is nearest.
        nearest: &'static str,
    },
    /// The text is no TOML.
    #[error("{place}: {problem}")]
    Syntax {
        /// File and line.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An override that is not `key=value`.
    #[error("--set {0}: an override is a key and a value, as in `learner.maml.inner_rate=0.1`")]
    Override(String),
    /// A key is unknown or missing, or its value is not of its type or out of range.
    #[error("{place}: {error}")]
    Key {
        /// File and line, or the override.
        place: String,
        /// The key, and what is wrong.
        error: ConfigError,
    },
}

impl LoadError {
    /// The key at fault, where one is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { error, .. } => Some(&error.key),
            Self::Read { .. }
            | Self::NoSuchConfig { .. }
            | Self::Syntax { .. }
            | Self::Override(_) => None,
        }
    }
}

/// Loads and validates the configuration of a file, or of a preset of this name, changed by `overrides`
/// (`learner.maml.inner_rate=0.1`). A path with a folder or an ending in it is a file; another name is a preset
/// before it is a file.
///
/// A file with `base = "omniglot-maml-5w1s"` builds on that preset, or on the file at that path, which is relative to its own
/// folder: what it does not say itself is as there, but for the name and for what papers report. Tables are laid over one
/// another key by key; whatever else it says takes the place of the base's. `none` turns off what is on where it is named, as
/// `distortion = "none"` under `[episode]` does, in overrides too.
///
/// An override's value is TOML where it reads as such, and else a string. Another kind of data, network, learner, rule or
/// schedule than the file or the base has (`network.mlp.hidden=[64]` over a `[network.conv4]`) takes the place
/// of theirs, with nothing kept of it. A relative path begins at the folder of the file that has it, in an override at
/// the current folder.
///
/// # Errors
/// Where there is no such file or preset, or its keys or values are not those of a run.
pub fn load(name_or_path: &str, overrides: &[String]) -> Result<RunConfig, LoadError> {
    let sources = Source::find(name_or_path, Path::new(""))?.with_bases()?;
    read(&sources, overrides, RunConfig::validate)
}

/// As [`load`], of a text that is at hand, and builds on nothing; errors call it `name`.
///
/// # Errors
/// Where its keys or values are not those of a run.
pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<RunConfig, LoadError> {
    // It may be a peer's, who has no say in which files are read.
    read(&[Source::at_hand(name, text)], overrides, RunConfig::validate)
}

/// As [`parse`], of a configuration that a model is to be [evaluated](RunConfig::validate_evaluation) with.
///
/// # Errors
/// Where its keys or values are not those of a run.
pub fn parse_for_evaluation(
    name: &str,
    text: &str,
    overrides: &[String],
) -> Result<RunConfig, LoadError> {
    read(&[Source::at_hand(name, text)], overrides, RunConfig::validate_evaluation)
}

/// Loads the `[data]` of a file or of a preset; whatever else stands there is passed over, and need not be a whole
/// configuration.
///
/// # Errors
/// Where there is no such file or preset, or its data is none.
pub fn load_data(name_or_path: &str) -> Result<DataConfig, LoadError> {
    #[derive(Deserialize)]
    struct DataAlone {
        data: DataConfig,
    }
    let sources = Source::find(name_or_path, Path::new(""))?.with_bases()?;
    let layers = Layers::parse(&sources)?;
    let blame = |error| layers.blame(&[], error);
    let DataAlone { mut data } = place::deserialize(&layers.merged(&[])).map_err(blame)?;
    data.fill_in_lists();
    data.validate().map_err(blame)?;
    Ok(data)
}

/// The comment that a file, or the preset of this name, begins with: its lines as they stand there, none where it begins
/// otherwise.
///
/// # Errors
/// Where there is no such file or preset.
pub fn comment(name_or_path: &str) -> Result<String, LoadError> {
    Ok(Source::find(name_or_path, Path::new(""))?.comment())
}

fn read(
    sources: &[Source<'_>],
    overrides: &[String],
    validate: fn(&RunConfig) -> Result<(), ConfigError>,
) -> Result<RunConfig, LoadError> {
    let layers = Layers::parse(sources)?;
    let overrides = overrides
        .iter()
        .map(|text| Override::parse(text).ok_or_else(|| LoadError::Override(text.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    let blame = |error| layers.blame(&overrides, error);
    let mut config: RunConfig = place::deserialize(&layers.merged(&overrides)).map_err(blame)?;
    config.data.fill_in_lists();
    validate(&config).map_err(blame)?;
    Ok(config)
}

impl RunConfig {
    /// Reads what [`RunConfig::to_toml`] wrote, or what a person did, and validates it.
    ///
    /// # Errors
    /// Where its keys or values are not those of a run.
    pub fn from_toml(text: &str) -> Result<Self, LoadError> {
        parse("configuration", text, &[])
    }

    /// The configuration as TOML, with the defaults spelled out; what is off is left out.
    ///
    /// # Panics
    /// Where a number is above 2⁶³ − 1, the largest that TOML can hold: no configuration that is
    /// [valid](RunConfig::validate) has one.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self)
            .expect("a valid configuration is tables, strings and numbers that TOML can hold")
    }
}

/// Of `known`, the one that is nearest to `name` as typing errors go.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
}

#[cfg(test)]
mod tests;
