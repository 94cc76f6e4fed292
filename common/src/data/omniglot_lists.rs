//! Lists of Omniglot's characters, as Vinyals et al. (2016) split them: a folder with `train.txt`, `val.txt` and
//! `test.txt`. A line is `<Alphabet>/characterNN/rotRRR`. The rotation is left to the sampler: the character is the class.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::ids::Split;

/// The list of each split.
pub(super) fn files(folder: &Path) -> impl Iterator<Item = (Split, PathBuf)> + '_ {
    let names = ["train.txt", "val.txt", "test.txt"];
    Split::ALL.into_iter().zip(names).map(|(split, name)| (split, folder.join(name)))
}

/// The split of every character that is listed; each is one that `exists`, and in one split.
pub(super) fn read(
    folder: &Path,
    exists: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Split>, DataError> {
    let mut splits = BTreeMap::new();
    for (split, list) in files(folder) {
        let text = fs::read_to_string(&list)
            .map_err(|source| DataError::Io { path: list.clone(), source })?;
        let mut listed = false;
        for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let line = index + 1;
            let Some(character) = character(text.trim()) else {
                let (text, form) = (text.to_owned(), "<Alphabet>/characterNN/rotRRR");
                return Err(DataError::ListLine { list, line, text, form });
            };
            if !exists(character) {
                let (what, name) = ("character", character.to_owned());
                return Err(DataError::Unknown { list, line, what, name });
            }
            match splits.insert(character.to_owned(), split) {
                Some(split_before) if split_before != split => {
                    let class = character.to_owned();
                    return Err(DataError::TwoSplits { list, line, class, split: split_before });
                }
                _ => listed = true,
            }
        }
        if !listed {
            return Err(DataError::EmptySplit { data: list.display().to_string(), split });
        }
    }
    Ok(splits)
}

/// The character of a line.
fn character(line: &str) -> Option<&str> {
    let (character, rotation) = line.rsplit_once('/')?;
    let valid = matches!(rotation, "rot000" | "rot090" | "rot180" | "rot270")
        && character.split('/').count() == 2;
    valid.then_some(character)
}
