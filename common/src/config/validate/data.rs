//! Data: sizes, shares, and whether an episode fits what is known of the set beforehand.

use std::path::Path;

use super::{ConfigError, range, within};
use crate::config::places::not_utf8;
use crate::config::{
    DataConfig, EpisodeConfig, GlyphsConfig, ImageOptions, LearnerConfig, OmniglotSplit,
    QuadraticsConfig, SinusoidConfig, TrainingConfig,
};

/// A class of glyphs is drawn in memory: this many bytes of it at most.
const LARGEST_CLASS: usize = 1 << 30;

const SPLITS: [&str; 3] = ["training", "validation", "test"];

impl DataConfig {
    pub(in crate::config) fn validate(&self) -> Result<(), ConfigError> {
        let kind = self.kind();
        if let Some(images) = self.images() {
            images.validate(kind)?;
        }
        for (key, path) in self.paths() {
            if path.to_str().is_none() {
                return Err(not_utf8(format!("data.{kind}.{key}"), path));
            }
        }
        match self {
            Self::Glyphs(glyphs) => glyphs.validate(),
            Self::Omniglot(omniglot) => omniglot.split.validate(),
            Self::Folder(folder) => held_out(kind, folder.held_out, folder.split_seed),
            Self::Idx(idx) => held_out(kind, idx.held_out, idx.split_seed),
            Self::Sinusoid(sinusoid) => sinusoid.validate(),
            Self::Quadratics(quadratics) => quadratics.validate(),
        }
    }

    /// Where it lies, by key.
    fn paths(&self) -> Vec<(&'static str, &Path)> {
        match self {
            Self::Omniglot(omniglot) => {
                let mut paths = vec![("path", &*omniglot.path)];
                if let OmniglotSplit::Vinyals { lists } = &omniglot.split {
                    paths.push(("split.vinyals.lists", lists));
                }
                paths
            }
            Self::Folder(folder) => vec![("path", &*folder.path), ("lists", &folder.lists)],
            Self::Idx(idx) => {
                vec![("images_path", &*idx.images_path), ("labels_path", &*idx.labels_path)]
            }
            Self::Glyphs(_) | Self::Sinusoid(_) | Self::Quadratics(_) => Vec::new(),
        }
    }

    fn images(&self) -> Option<&ImageOptions> {
        match self {
            Self::Glyphs(glyphs) => Some(&glyphs.images),
            Self::Omniglot(omniglot) => Some(&omniglot.images),
            Self::Folder(folder) => Some(&folder.images),
            Self::Idx(idx) => Some(&idx.images),
            Self::Sinusoid(_) | Self::Quadratics(_) => None,
        }
    }

    /// Whether episodes can be drawn, as far as the configuration alone tells.
    pub(super) fn validate_episode(
        &self,
        episode: &EpisodeConfig,
        learner: &LearnerConfig,
        training: &TrainingConfig,
    ) -> Result<(), ConfigError> {
        let Self::Glyphs(glyphs) = self else { return Ok(()) };
        let turns = if glyphs.images.rotations { 4 } else { 1 };
        for (split, classes) in SPLITS.into_iter().zip(glyphs.classes) {
            let unused = split == "validation" && training.validate_every == 0;
            let (key, ways) = match episode.evaluation_ways {
                Some(ways) if split != "training" => ("episode.evaluation_ways", ways),
                _ => ("episode.ways", episode.ways),
            };
            if ways > classes * turns && !unused {
                let problem = format!("{ways} ways of {} {split} classes", classes * turns);
                return Err(ConfigError::new(key, problem));
            }
        }
        let there = glyphs.images_per_class;
        let [(shots_key, shots), (queries_key, queries)] = most_images(episode, learner);
        let needed = shots + queries;
        if needed <= there {
            return Ok(());
        }
        let key = "data.glyphs.images_per_class";
        let problem = format!(
            "{shots} shots ({shots_key}) + {queries} queries ({queries_key}) are {needed} images a class, and a class has {there} ({key})"
        );
        Err(ConfigError::new(key, problem).or_of(&[shots_key, queries_key]))
    }
}

/// A count, and the key that it is of.
type Count = (&'static str, usize);

/// Shots and queries of training episodes, or those of the others where they are more.
fn most_images(episode: &EpisodeConfig, learner: &LearnerConfig) -> [Count; 2] {
    let shots = ("episode.shots", episode.shots);
    let queries = ("episode.queries", episode.queries);
    // Reptile alone may train on other shots.
    let own = learner.training_shots().map(|shots| ("learner.reptile.training_shots", shots));
    let training = [own.unwrap_or(shots), queries];
    let (own_shots, own_queries) = (episode.evaluation_shots, episode.evaluation_queries);
    let evaluation = [
        own_shots.map_or(shots, |shots| ("episode.evaluation_shots", shots)),
        own_queries.map_or(queries, |queries| ("episode.evaluation_queries", queries)),
    ];
    let images = |[(_, shots), (_, queries)]: [Count; 2]| shots + queries;
    if images(training) > images(evaluation) { training } else { evaluation }
}

impl ImageOptions {
    fn validate(&self, kind: &str) -> Result<(), ConfigError> {
        within(&format!("data.{kind}.images.image_size"), self.image_size, 1, 1024)
    }
}

impl GlyphsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        self.classes
            .iter()
            .try_for_each(|&classes| within("data.glyphs.classes", classes, 0, 1_000_000))?;
        let [train, _, test] = self.classes;
        if train == 0 || test == 0 {
            return Err(ConfigError::new("data.glyphs.classes", "training and test need classes"));
        }
        let images_key = "data.glyphs.images_per_class";
        within(images_key, self.images_per_class, 2, 100_000)?;
        let size = self.images.image_size;
        let bytes = self.images_per_class * size * size;
        if bytes > LARGEST_CLASS {
            let problem = format!(
                "{} images of {size} × {size} are {bytes} bytes a class, and may be {LARGEST_CLASS}",
                self.images_per_class
            );
            let size_key = "data.glyphs.images.image_size";
            return Err(ConfigError::new(images_key, problem).or_of(&[size_key]));
        }
        within("data.glyphs.seed", self.seed, 0, i64::MAX as u64)
    }
}

impl OmniglotSplit {
    fn validate(&self) -> Result<(), ConfigError> {
        let key = |name: &str| format!("data.omniglot.split.{name}");
        match *self {
            Self::Lake { validation_alphabets } => {
                within(&key("lake.validation_alphabets"), validation_alphabets, 0, 29)
            }
            Self::Small1 { validation_alphabets } => {
                within(&key("small1.validation_alphabets"), validation_alphabets, 0, 4)
            }
            Self::Small2 { validation_alphabets } => {
                within(&key("small2.validation_alphabets"), validation_alphabets, 0, 4)
            }
            Self::Vinyals { .. } => Ok(()),
            Self::Random { train, validation, seed } => {
                within(&key("random.train"), train, 1, 1_000_000)?;
                within(&key("random.validation"), validation, 0, 1_000_000)?;
                within(&key("random.seed"), seed, 0, i64::MAX as u64)
            }
        }
    }
}

impl SinusoidConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        range("data.sinusoid.amplitude", self.amplitude)?;
        range("data.sinusoid.phase", self.phase)?;
        range("data.sinusoid.domain", self.domain)
    }
}

impl QuadraticsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        within("data.quadratics.dimension", self.dimension, 1, 4096)
    }
}

/// Shares of classes that validate and test, and the seed that draws them.
fn held_out(kind: &str, shares: [f64; 2], seed: u64) -> Result<(), ConfigError> {
    let key = format!("data.{kind}.held_out");
    shares.iter().try_for_each(|&share| within(&key, share, 0.0, 1.0))?;
    // Shares of all classes together are of data to test on; that they leave none to train on is told where a run begins.
    if shares[0] + shares[1] > 1.0 {
        return Err(ConfigError::new(key, "the two shares are more than all classes"));
    }
    within(&format!("data.{kind}.split_seed"), seed, 0, i64::MAX as u64)
}
