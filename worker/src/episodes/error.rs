//! What can stand between a data set and an episode.

use lyceum_common::config::{DataConfig, Shape};
use lyceum_common::ids::Split;

use super::EpisodeSize;

/// The key that says how many ways episodes of a split have.
fn ways_key(split: Split) -> &'static str {
    match split {
        Split::Train => "episode.ways",
        Split::Validation | Split::Test => "episode.evaluation_ways (else episode.ways)",
    }
}

/// Why episodes cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpisodeError {
    /// The data are images, and there is no pack of them.
    #[error("data: images come from a data pack, and there is none")]
    NoPack,
    /// The data are functions to be minimised.
    #[error("data.quadratics: quadratics have no support and query sets")]
    NoSupport,
    /// The data are functions, which have no classes.
    #[error("data.{kind}: has no classes to draw episodes of")]
    NoClasses {
        /// The kind of data.
        kind: &'static str,
    },
    /// The pack's images are not the configuration's.
    #[error("data: the pack holds examples of {pack:?}, the configuration has {config:?}")]
    Shape {
        /// The pack's.
        pack: Shape,
        /// The configuration's.
        config: Shape,
    },
    /// A regression episode of more than one way.
    #[error("episode.ways: {ways}, and a regression episode has 1")]
    NotOneWay {
        /// Ways asked for.
        ways: usize,
    },
    /// Images that are not square cannot be turned by 90° and keep their shape.
    #[error("images.rotations: images of {rows} × {columns} cannot be turned, square ones can")]
    NotSquare {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// More ways than classes.
    #[error("{}: {ways}, and the {split} split has {classes} classes", ways_key(*split))]
    TooFewClasses {
        /// The split.
        split: Split,
        /// Ways asked for.
        ways: usize,
        /// Classes that there are, each of a character's rotations counted.
        classes: usize,
    },
    /// More ways than classes, where a run is to begin and may be given more.
    #[error("{error}; `lyceum data` says how many each split has, and {divided}")]
    Divided {
        /// More ways than classes.
        error: Box<Self>,
        /// What divides the classes.
        divided: &'static str,
    },
    /// More ways than classes of any group.
    #[error(
        "episode.within_groups: no group of the {split} split (an alphabet, the part of a class's name before its last `/`) has {ways} classes"
    )]
    TooSmallGroups {
        /// The split.
        split: Split,
        /// Ways asked for.
        ways: usize,
    },
    /// Episodes are to stay within groups, and there are none.
    #[error(
        "episode.within_groups: no class of the {split} split is in a group (an alphabet, the part of its name before its last `/`)"
    )]
    OneGroup {
        /// The split.
        split: Split,
    },
    /// A class has fewer images than an episode takes of it.
    #[error(
        "class {class} of the {split} split has {images} images, and an episode takes {shots} shots + {queries} queries"
    )]
    TooFewImages {
        /// The class.
        class: String,
        /// Its split.
        split: Split,
        /// Images that it has.
        images: usize,
        /// Support images a class.
        shots: usize,
        /// Query images a class.
        queries: usize,
    },
    /// More ways, or more images a class, than an episode can have.
    #[error("episode: {count} {of}, and at most {limit} can be drawn")]
    TooLarge {
        /// What there are too many of.
        of: &'static str,
        /// How many were asked for.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A learned optimizer's episodes are no classes and images.
    #[error(
        "learner.learned_optimizer: trains optimizees on minibatches, and has no few-shot episodes"
    )]
    NotListed,
    /// Other episodes than a list has.
    #[error(
        "the listed episodes are of the {split} split, {ways} ways, {shots} shots, {queries} queries",
        ways = size.ways, shots = size.shots, queries = size.queries
    )]
    Listed {
        /// The list's split.
        split: Split,
        /// The list's size.
        size: EpisodeSize,
    },
}

impl EpisodeError {
    /// The same, with what divides the classes of `data` where a split has too few.
    #[must_use]
    pub(super) fn divided(self, data: &DataConfig) -> Self {
        if !matches!(self, Self::TooFewClasses { .. }) {
            return self;
        }
        let divided = match data {
            DataConfig::Folder(_) => {
                "data.folder.held_out which shares validate and test, where the folder has no split of its own"
            }
            DataConfig::Idx(_) => "data.idx.held_out which shares validate and test",
            DataConfig::Omniglot(_) => "data.omniglot.split divides them",
            DataConfig::Glyphs(_) => "data.glyphs.classes how many are drawn",
            DataConfig::Sinusoid(_) | DataConfig::Quadratics(_) => return self,
        };
        Self::Divided { error: Box::new(self), divided }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::load;

    use super::*;

    #[test]
    fn too_few_classes_are_told_with_what_divides_them() {
        let folder = load("glyphs-maml", &["data.folder.path=x".to_owned()]).unwrap().data;
        let few = EpisodeError::TooFewClasses { split: Split::Validation, ways: 5, classes: 2 };
        let error = few.divided(&folder).to_string();
        let begins = "episode.evaluation_ways (else episode.ways): 5, and the validation split has 2 classes; `lyceum data` ";
        assert!(error.starts_with(begins) && error.contains("data.folder.held_out"), "{error}");
        assert_eq!(EpisodeError::NoPack.divided(&folder), EpisodeError::NoPack);
    }
}
