//! Frozen lists of episodes: files that name every class and image, so that others can be judged by the very same
//! episodes.
//!
//! A list is one JSON object, and is named by the BLAKE3 digest of its file:
//!
//! | key | what |
//! | --- | --- |
//! | `format` | `lyceum-episodes-1` |
//! | `pack` | the digest of the data pack |
//! | `split` | `train`, `validation` or `test` |
//! | `ways`, `shots`, `queries` | the size of every episode |
//! | `classes` | the names of the split's classes, in the pack's order |
//! | `episodes` | an array an episode, of as many objects as there are ways, in the order of the labels |
//!
//! A way is its `class`, a place in `classes`; `quarters`, how often it is turned by 90° counter-clockwise (none where
//! absent); and `images`, places among the class's images in the order of their files' names, or of the list that names them:
//! `shots` of support, then `queries` of query.

use std::io;
use std::path::{Path, PathBuf};

use lyceum_common::ids::{Digest, EpisodeIndex, Split};
use lyceum_common::seed::{OfStep, Seed};
use lyceum_common::whole_file;
use serde::{Deserialize, Serialize};

use super::few_shot::LIMIT;
use super::rotation::Rotation;
use super::{EpisodeError, EpisodeSize, EpisodeSource as _, FewShotSource};

/// The format's name and version.
const FORMAT: &str = "lyceum-episodes-1";

/// Episodes, class by class and image by image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeList {
    digest: Digest,
    pack: Digest,
    split: Split,
    size: EpisodeSize,
    classes: Vec<String>,
    episodes: Vec<Vec<ListedWay>>,
}

/// A way of a listed episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedWay {
    /// Its class's place within the split.
    pub class: u32,
    /// How often it is turned by 90°, counter-clockwise: 0 to 3.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarters: u32,
    /// Places of its images within the class: support, then query.
    pub images: Vec<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a file is no list of episodes, or not one of this data.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The file is no such list.
    #[error("{}: not a list of episodes: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ListProblem,
    },
}

/// What is wrong with a list of episodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// The text is not such an object.
    #[error("{0}")]
    Json(String),
    /// Another format, or another version of it.
    #[error("its format is `{0}` and not `{FORMAT}`")]
    Format(String),
    /// A value that no list has.
    #[error("{key}: `{value}` is none")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A size that no episode has.
    #[error("{key}: must be from {low} to {LIMIT}, and is {value}")]
    Size {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The smallest that there is.
        low: usize,
    },
    /// There is no episode.
    #[error("it has no episode")]
    Empty,
    /// An episode is not of the list's size, or not of its classes.
    #[error("episode {episode}: {problem}")]
    Episode {
        /// Its place, from 0.
        episode: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The file's name is another digest.
    #[error("it bears the name of digest {named}, and its digest is {found}")]
    Digest {
        /// What the name says.
        named: Digest,
        /// The file's.
        found: Digest,
    },
    /// It is a list for other data.
    #[error("it is for data pack {list}, and the data here is {pack}")]
    OtherPack {
        /// The list's.
        list: Digest,
        /// The one at hand.
        pack: Digest,
    },
    /// Its classes are not those of its split.
    #[error("classes: {}, and the {split} split has {}", place(*at, list.as_ref()), place(*at, pack.as_ref()))]
    OtherClasses {
        /// The split.
        split: Split,
        /// The first place at which they differ, from 0.
        at: usize,
        /// The list's class there, if it has one.
        list: Option<String>,
        /// The data's.
        pack: Option<String>,
    },
}

fn place(at: usize, class: Option<&String>) -> String {
    class.map_or_else(|| format!("none at {at}"), |class| format!("`{class}` at {at}"))
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    pack: String,
    split: String,
    ways: usize,
    shots: usize,
    queries: usize,
    classes: Vec<String>,
    episodes: Vec<Vec<ListedWay>>,
}

impl EpisodeList {
    /// The first `episodes` episodes that `source` draws from `split` by this seed of an evaluation.
    ///
    /// # Errors
    /// Where the split has no such episodes.
    pub fn draw(
        source: &FewShotSource,
        seed: Seed<OfStep>,
        split: Split,
        size: EpisodeSize,
        episodes: u64,
    ) -> Result<Self, EpisodeError> {
        source.check(split, size)?;
        let drawn = (0..episodes).map(|index| {
            let mut ways = Vec::with_capacity(size.ways);
            source.draw(seed.episode(EpisodeIndex(index)), split, size, |way| {
                let (class, quarters) = (way.class, way.quarters);
                ways.push(ListedWay { class, quarters, images: way.images.to_vec() });
            });
            ways
        });
        Ok(Self::new(source, split, size, drawn.collect()))
    }

    /// A list of these episodes of `source`'s data.
    #[must_use]
    pub fn new(
        source: &FewShotSource,
        split: Split,
        size: EpisodeSize,
        episodes: Vec<Vec<ListedWay>>,
    ) -> Self {
        let names = source.pack().classes(split).iter().map(|class| class.name().to_owned());
        let mut list = Self {
            digest: Digest([0; 32]),
            pack: source.pack().digest(),
            split,
            size,
            classes: names.collect(),
            episodes,
        };
        list.digest = Digest::of(list.to_json().as_bytes());
        list
    }

    /// Reads a file. One that is named by a digest must have it.
    ///
    /// # Errors
    /// Where it cannot be read, or is no list of episodes.
    pub fn read(path: &Path) -> Result<Self, ListError> {
        let text =
            std::fs::read(path).map_err(|source| ListError::Io { path: path.into(), source })?;
        let invalid = |problem| ListError::Invalid { path: path.into(), problem };
        let list = Self::parse(&text).map_err(invalid)?;
        let named = path.file_stem().and_then(|stem| stem.to_str()).and_then(|s| s.parse().ok());
        match named {
            Some(named) if named != list.digest => {
                Err(invalid(ListProblem::Digest { named, found: list.digest }))
            }
            _ => Ok(list),
        }
    }

    /// Reads a file's contents.
    ///
    /// # Errors
    /// Where they are no list of episodes.
    pub fn parse(text: &[u8]) -> Result<Self, ListProblem> {
        let json = |error: serde_json::Error| ListProblem::Json(error.to_string());
        let File { format, pack, split, ways, shots, queries, classes, episodes } =
            serde_json::from_slice(text).map_err(json)?;
        if format != FORMAT {
            return Err(ListProblem::Format(format));
        }
        let none = |key, value: &str| ListProblem::Value { key, value: value.to_owned() };
        let list = Self {
            digest: Digest::of(text),
            pack: pack.parse().map_err(|_| none("pack", &pack))?,
            split: Split::ALL
                .into_iter()
                .find(|known| known.to_string() == split)
                .ok_or_else(|| none("split", &split))?,
            size: EpisodeSize { ways, shots, queries },
            classes,
            episodes,
        };
        list.check()?;
        Ok(list)
    }

    fn check(&self) -> Result<(), ListProblem> {
        let EpisodeSize { ways, shots, queries } = self.size;
        let in_class = shots.saturating_add(queries);
        let sizes = [("ways", ways, 2), ("shots", shots, 1), ("queries", queries, 1)];
        for (key, value, low) in sizes.into_iter().chain([("shots + queries", in_class, 2)]) {
            if !(low..=LIMIT).contains(&value) {
                return Err(ListProblem::Size { key, value, low });
            }
        }
        if self.episodes.is_empty() {
            return Err(ListProblem::Empty);
        }
        for (episode, listed) in self.episodes.iter().enumerate() {
            self.check_episode(listed)
                .map_err(|problem| ListProblem::Episode { episode, problem })?;
        }
        Ok(())
    }

    fn check_episode(&self, listed: &[ListedWay]) -> Result<(), String> {
        let (ways, in_class) = (self.size.ways, self.size.examples_a_class());
        if listed.len() != ways {
            return Err(format!("has {} ways and not {ways}", listed.len()));
        }
        for (label, ListedWay { class, quarters, images }) in listed.iter().enumerate() {
            let problem = if *class as usize >= self.classes.len() {
                format!("class {class} of {} classes", self.classes.len())
            } else if *quarters >= Rotation::COUNT {
                format!("{quarters} quarters")
            } else if images.len() != in_class {
                format!("{} images and not {in_class}", images.len())
            } else if has_twins(images) {
                "an image twice".to_owned()
            } else {
                continue;
            };
            return Err(format!("way {label} has {problem}"));
        }
        let classes: Vec<_> = listed.iter().map(|way| (way.class, way.quarters)).collect();
        if has_twins(&classes) { Err("has a class twice".to_owned()) } else { Ok(()) }
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: numbers, strings and arrays are JSON.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            pack: self.pack.to_string(),
            split: self.split.to_string(),
            ways: self.size.ways,
            shots: self.size.shots,
            queries: self.size.queries,
            classes: self.classes.clone(),
            episodes: self.episodes.clone(),
        };
        serde_json::to_string(&file).expect("numbers, strings and arrays are JSON") + "\n"
    }

    /// Writes the file `DIGEST.json` into `folder`, whole or not at all, and returns its path.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ListError> {
        let path = folder.join(format!("{}.json", self.digest));
        let write = || {
            std::fs::create_dir_all(folder)?;
            whole_file::write(&path, self.to_json().as_bytes())
        };
        write().map_err(|source| ListError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// The digest of its file: the list's name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the data pack.
    #[must_use]
    pub fn pack(&self) -> Digest {
        self.pack
    }

    /// The split that its classes are of.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// The names of the split's classes, in the pack's order.
    pub(super) fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The size of every episode.
    #[must_use]
    pub fn size(&self) -> EpisodeSize {
        self.size
    }

    /// The episodes, each with its ways in the order of the labels.
    #[must_use]
    pub fn episodes(&self) -> &[Vec<ListedWay>] {
        &self.episodes
    }
}

fn has_twins<T: Clone + Ord>(values: &[T]) -> bool {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests;
