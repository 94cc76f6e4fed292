//! Omniglot (Lake, Salakhutdinov and Tenenbaum 2015): handwritten characters of 50 alphabets, 20 drawers each. Ink is 255.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::picture::Picture;
use super::tree::{Classes, Tree};
use super::{DataError, omniglot_lists, split};
use crate::config::{OmniglotConfig, OmniglotSplit};
use crate::ids::Split;
use crate::pack::PackBuilder;

/// Images lie in the folder of a character, in that of an alphabet.
const DEPTH: usize = 2;

/// The parts of Omniglot that a split uses: where training classes come from, and where test classes.
fn sets(split: &OmniglotSplit) -> [&'static str; 2] {
    let background = match split {
        OmniglotSplit::Lake { .. }
        | OmniglotSplit::Vinyals { .. }
        | OmniglotSplit::Random { .. } => "images_background",
        OmniglotSplit::Small1 { .. } => "images_background_small1",
        OmniglotSplit::Small2 { .. } => "images_background_small2",
    };
    [background, "images_evaluation"]
}

/// A part of Omniglot, unpacked or as a zip, in `folder` or in a folder `python` in it.
fn find(folder: &Path, set: &str) -> Result<Tree, DataError> {
    for root in [folder.to_owned(), folder.join("python")] {
        let (unpacked, zip) = (root.join(set), root.join(format!("{set}.zip")));
        if unpacked.is_dir() {
            return Ok(Tree::Folder(unpacked));
        }
        if zip.is_file() {
            return Ok(Tree::Zip(zip, set.to_owned()));
        }
    }
    Err(DataError::Missing { folder: folder.to_owned(), set: set.to_owned() })
}

/// The files that the set is made of.
pub(super) fn inputs(config: &OmniglotConfig) -> Result<Vec<PathBuf>, DataError> {
    let (key, path) = ("data.omniglot.path (--data DIR)", &*config.path);
    let expected = "a folder with images_background and images_evaluation, as zips or folders,";
    fs::read_dir(path).map_err(DataError::absent(key, expected, path))?;
    let mut inputs = Vec::new();
    for set in sets(&config.split) {
        inputs.extend(find(&config.path, set)?.inputs(DEPTH)?);
    }
    if let OmniglotSplit::Vinyals { lists } = &config.split {
        let key = "data.omniglot.split.vinyals.lists";
        let expected = "a folder with train.txt, val.txt and test.txt (or another split, as in `--set data.omniglot.split.lake.validation_alphabets=5`)";
        for (_, list) in omniglot_lists::files(lists) {
            list.metadata().map_err(DataError::absent(key, expected, &list))?;
            inputs.push(list);
        }
    }
    Ok(inputs)
}

/// Reads the set. A class is a character, named `<Alphabet>/characterNN`; classes are in the order of their names.
///
/// Where alphabets validate, they are the last ones of the training part in the order of their names.
pub(super) fn import(config: &OmniglotConfig) -> Result<PackBuilder, DataError> {
    let picture = Picture::from(config);
    let [background, evaluation] = sets(&config.split);
    let background = find(&config.path, background)?.classes(DEPTH, picture)?;
    let evaluation = find(&config.path, evaluation)?.classes(DEPTH, picture)?;
    let mut builder = picture.pack();
    match &config.split {
        OmniglotSplit::Lake { validation_alphabets }
        | OmniglotSplit::Small1 { validation_alphabets }
        | OmniglotSplit::Small2 { validation_alphabets } => {
            let validation = last_alphabets(&background, *validation_alphabets, &config.path)?;
            for (name, images) in background {
                let validates = validation.contains(alphabet(&name));
                let split = if validates { Split::Validation } else { Split::Train };
                builder.class(split, name, images);
            }
            for (name, images) in evaluation {
                builder.class(Split::Test, name, images);
            }
        }
        OmniglotSplit::Vinyals { lists } => {
            let mut characters = background;
            characters.extend(evaluation);
            let splits =
                omniglot_lists::read(lists, |character| characters.contains_key(character))?;
            for (name, images) in characters {
                if let Some(split) = splits.get(&name) {
                    builder.class(*split, name, images);
                }
            }
        }
        OmniglotSplit::Random { train, validation, seed } => {
            let mut characters = background;
            characters.extend(evaluation);
            let (asked, there) = (train.saturating_add(*validation), characters.len());
            if asked >= there {
                let path = config.path.clone();
                let what = "characters for training and validation, with some left for the test,";
                return Err(DataError::TooFew { path, what, asked, there });
            }
            let splits = split::at_random(there, *train, *validation, *seed);
            for (split, (name, images)) in splits.into_iter().zip(characters) {
                builder.class(split, name, images);
            }
        }
    }
    Ok(builder)
}

fn alphabet(character: &str) -> &str {
    character.split_once('/').map_or(character, |(alphabet, _)| alphabet)
}

/// The last `count` alphabets in the order of names; at least one must be left.
fn last_alphabets(
    characters: &Classes,
    count: usize,
    path: &Path,
) -> Result<BTreeSet<String>, DataError> {
    let alphabets = characters.keys().map(|name| alphabet(name).to_owned());
    let alphabets = alphabets.collect::<BTreeSet<_>>();
    if count >= alphabets.len() {
        return Err(DataError::TooFew {
            path: path.to_owned(),
            what: "validation alphabets, with some left for training,",
            asked: count,
            there: alphabets.len(),
        });
    }
    Ok(alphabets.into_iter().rev().take(count).collect())
}
