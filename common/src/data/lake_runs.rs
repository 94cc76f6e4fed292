//! Lake's 20 runs of one-shot classification (Lake, Salakhutdinov and Tenenbaum 2015): in each, 20 characters of one
//! alphabet, drawn once for training by one drawer and once for the test by another.

use std::path::{Path, PathBuf};

use super::DataError;
use super::picture::Picture;
use super::tree::Tree;
use crate::config::{DataConfig, OmniglotSplit, RunConfig};
use crate::ids::Split;
use crate::pack::Pack;

/// How many runs there are.
pub const LAKE_RUNS: usize = 20;
/// Characters a run.
pub const LAKE_WAYS: usize = 20;

/// Why a model must not be scored on the runs: their alphabets are of Omniglot's evaluation set, and are to be new to it.
///
/// # Errors
/// Where it trained on characters of that set, or nothing says that it did not.
pub fn check_lake_runs(trained: &RunConfig) -> Result<(), LakeError> {
    if let Some(initialisation) = &trained.initialisation {
        return Err(LakeError::Begun { from: initialisation.from.clone() });
    }
    let trained_on = &trained.data;
    match trained_on {
        DataConfig::Omniglot(omniglot) => match omniglot.split {
            OmniglotSplit::Lake { .. }
            | OmniglotSplit::Small1 { .. }
            | OmniglotSplit::Small2 { .. } => Ok(()),
            OmniglotSplit::Vinyals { .. } => Err(LakeError::Contaminated { split: "vinyals" }),
            OmniglotSplit::Random { .. } => Err(LakeError::Contaminated { split: "random" }),
        },
        DataConfig::Glyphs(_) => Ok(()),
        DataConfig::Folder(_) | DataConfig::Idx(_) => {
            Err(LakeError::Unknown { kind: trained_on.kind() })
        }
        DataConfig::Sinusoid(_) | DataConfig::Quadratics(_) => {
            Err(LakeError::NoImages { kind: trained_on.kind() })
        }
    }
}

/// Why a model is not scored on Lake's runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// Its training classes are of both sets.
    #[error(
        "data.omniglot.split.{split}: this model trained on characters of the evaluation alphabets, which the runs are drawn from; train on the background set alone, as in `--set data.omniglot.split.lake.validation_alphabets=5`"
    )]
    Contaminated {
        /// The split.
        split: &'static str,
    },
    /// Nobody knows what its training images show.
    #[error(
        "data.{kind}: nothing says that these images hold none of the evaluation alphabets, which the runs are drawn from"
    )]
    Unknown {
        /// The kind of data.
        kind: &'static str,
    },
    /// Nobody knows what the model saw that it began with.
    #[error(
        "initialisation.from: nothing says that {} saw none of the evaluation alphabets, which the runs are drawn from", from.display()
    )]
    Begun {
        /// That model.
        from: PathBuf,
    },
    /// It classifies no images.
    #[error("data.{kind}: this model classifies no images")]
    NoImages {
        /// The kind of data.
        kind: &'static str,
    },
}

/// Reads the runs: `all_runs.zip`, the folder that it unpacks to, or Omniglot's own folder. Images are prepared as
/// Omniglot's are, of `size` rows and columns.
///
/// Classes are in the order of the runs and of their training images, 20 a run, all of the test split; each has two images,
/// the training one first.
///
/// # Errors
/// Where a file is missing or damaged, or the answers are not one for each image and each class.
pub fn lake_runs(path: &Path, size: usize) -> Result<Pack, DataError> {
    let tree = find(path)?;
    let picture = Picture::ink_on_paper(size);
    let images = tree.classes(2, picture)?;
    let length = size * size;
    let mut builder = picture.pack();
    for run in (1..=LAKE_RUNS).map(|run| format!("run{run:02}")) {
        let part = |part: &str| {
            let pixels = images.get(&format!("{run}/{part}")).map_or(&[][..], Vec::as_slice);
            if pixels.len() == LAKE_WAYS * length {
                return Ok(pixels.chunks(length));
            }
            let there = pixels.len() / length;
            Err(problem(path, format!("{run}/{part} has {there} images and not {LAKE_WAYS}")))
        };
        let labels = format!("{run}/class_labels.txt");
        let answers = answers(&run, &tree.text(&labels)?)
            .map_err(|what| problem(path, format!("{labels}{what}")))?;
        let tests: Vec<_> = part("test")?.collect();
        for ((class, training), item) in part("training")?.enumerate().zip(answers) {
            let images = [training, tests[item]].concat();
            builder.class(Split::Test, format!("{run}/class{:02}", class + 1), images);
        }
    }
    builder.in_memory().map_err(|error| problem(path, error.to_string()))
}

fn problem(path: &Path, problem: String) -> DataError {
    DataError::Runs { path: path.to_owned(), problem }
}

fn find(path: &Path) -> Result<Tree, DataError> {
    if path.is_file() {
        return Ok(Tree::Zip(path.to_owned(), String::new()));
    }
    for below in ["", "one-shot-classification", "python/one-shot-classification"] {
        let (folder, zip) = (path.join(below), path.join(below).join("all_runs.zip"));
        for folder in [folder.join("all_runs"), folder] {
            if folder.join("run01").is_dir() {
                return Ok(Tree::Folder(folder));
            }
        }
        if zip.is_file() {
            return Ok(Tree::Zip(zip, String::new()));
        }
    }
    Err(problem(path, "holds neither all_runs.zip nor a folder run01".to_owned()))
}

/// The test item of every class of a run, both counted from 0. A line is `run01/test/item01.png run01/training/class08.png`.
fn answers(run: &str, text: &str) -> Result<[usize; LAKE_WAYS], String> {
    let mut items = [None; LAKE_WAYS];
    let mut answered = [false; LAKE_WAYS];
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = |name: Option<&str>, before: &str| -> Option<usize> {
            let name = name?.strip_prefix(run)?.strip_prefix(before)?.strip_suffix(".png")?;
            let number: usize = name.parse().ok()?;
            (1..=LAKE_WAYS).contains(&number).then(|| number - 1)
        };
        let mut names = line.split_whitespace();
        let item = number(names.next(), "/test/item");
        let class = number(names.next(), "/training/class");
        let (Some(item), Some(class), None) = (item, class, names.next()) else {
            let form = format!("{run}/test/itemNN.png {run}/training/classNN.png");
            return Err(format!(", line {}: {line:?} is not {form}", index + 1));
        };
        if std::mem::replace(&mut answered[item], true) || items[class].is_some() {
            return Err(format!(", line {}: an image or a class that was named before", index + 1));
        }
        items[class] = Some(item);
    }
    let items: Option<Vec<_>> = items.into_iter().collect();
    let items = items.and_then(|items| items.try_into().ok());
    items.ok_or_else(|| format!(": not an answer for each of {LAKE_WAYS} images"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn lines(class: impl Fn(usize) -> usize) -> String {
        let line = |item: usize| {
            format!("run03/test/item{item:02}.png run03/training/class{:02}.png\n", class(item))
        };
        (1..=20).map(line).collect()
    }

    #[test]
    fn answers_are_one_for_each_image_and_class() {
        let turned = answers("run03", &lines(|item| 21 - item)).unwrap();
        assert_eq!((turned[0], turned[19]), (19, 0));
        let refused = |text: &str| answers("run03", text).unwrap_err();
        assert!(refused(&lines(|item| item.min(19))).contains("line 20"));
        assert!(refused(&lines(|item| item + 1)).contains("line 20"));
        assert!(refused(&lines(|item| item).replacen("run03", "run04", 1)).contains("line 1"));
        assert!(refused("run03/test/item01.png").contains("line 1"));
        assert!(refused("").contains("20 images"));
    }

    #[test]
    fn a_model_that_saw_the_alphabets_is_refused() {
        let split = |split: &str| {
            let set = format!("data.omniglot.split.{split}");
            let config = load("omniglot-maml-5w1s", &[set]).unwrap();
            check_lake_runs(&config)
        };
        for of_background in ["lake", "small1", "small2"] {
            assert_eq!(split(&format!("{of_background}.validation_alphabets=1")), Ok(()));
        }
        let vinyals = split("vinyals={}").unwrap_err();
        assert_eq!(vinyals, LakeError::Contaminated { split: "vinyals" });
        let random = split("random={ train = 9, validation = 1, seed = 0 }").unwrap_err();
        assert_eq!(random, LakeError::Contaminated { split: "random" });
        let folder = load("glyphs-maml", &["data.folder.path=x".to_owned()]).unwrap();
        assert!(matches!(check_lake_runs(&folder), Err(LakeError::Unknown { .. })));
        assert_eq!(check_lake_runs(&load("glyphs-maml", &[]).unwrap()), Ok(()));
        let begun = load("glyphs-maml", &["initialisation.from=x".to_owned()]).unwrap();
        assert!(matches!(check_lake_runs(&begun), Err(LakeError::Begun { .. })));
    }
}
