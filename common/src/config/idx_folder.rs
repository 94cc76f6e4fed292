//! Which files of a folder are a set of images and labels.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The files of images and labels in a folder, named as MNIST's are: `SET-images-idx3-ubyte`, and `SET-labels-idx1-ubyte`
/// or `-int`, gzipped or not. Of several sets it is `train`, or else `t10k`.
pub(super) fn idx_files(folder: &Path) -> Result<(PathBuf, PathBuf), ConfigError> {
    let error = |problem: String| Err(ConfigError::new("data.idx", problem));
    let names = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect::<BTreeSet<_>>(),
        Err(cause) => return error(format!("{}: {cause}", folder.display())),
    };
    let there = |name: String| {
        let zipped = format!("{name}.gz");
        [name, zipped].into_iter().find(|name| names.contains(name))
    };
    let files = |set: &str| {
        let images = there(format!("{set}-images-idx3-ubyte"))?;
        let labels = ["ubyte", "int"]
            .into_iter()
            .find_map(|kind| there(format!("{set}-labels-idx1-{kind}")))?;
        Some((folder.join(images), folder.join(labels)))
    };
    let of_sets = names.iter().filter_map(|name| Some(name.split_once("-images-idx3-ubyte")?.0));
    let sets: Vec<_> = of_sets.filter(|set| files(set).is_some()).collect();
    let chosen = match *sets {
        [only] => Some(only),
        _ => ["train", "t10k"].into_iter().find(|set| sets.contains(set)),
    };
    match chosen.and_then(files) {
        Some(files) => Ok(files),
        None => error(format!(
            "{} has no SET-images-idx3-ubyte with SET-labels-idx1-ubyte or -int, gzipped or not, \
             or several sets and neither train nor t10k; set images_path and labels_path, file by file",
            folder.display()
        )),
    }
}

/// The files in a folder that are called as `images` and `labels` are, gzipped or not; none where these name nothing, or the
/// folder has neither.
pub(super) fn idx_files_named(
    folder: &Path,
    images: &Path,
    labels: &Path,
) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    let (Some(images), Some(labels)) = (name_of(images), name_of(labels)) else { return Ok(None) };
    let there = |name: &str| {
        let bare = name.strip_suffix(".gz").unwrap_or(name);
        let names = [name.to_owned(), bare.to_owned(), format!("{bare}.gz")];
        names.into_iter().map(|name| folder.join(name)).find(|file| file.is_file())
    };
    let missing = |key: &str, name: &str, other: &str| {
        let problem = format!("{} has {other}, and no {name}, gzipped or not", folder.display());
        Err(ConfigError::new(format!("data.idx.{key}"), problem))
    };
    match (there(images), there(labels)) {
        (Some(images), Some(labels)) => Ok(Some((images, labels))),
        (None, None) => Ok(None),
        (None, Some(_)) => missing("images_path", images, labels),
        (Some(_), None) => missing("labels_path", labels, images),
    }
}

fn name_of(file: &Path) -> Option<&str> {
    file.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Result<[String; 2], String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), []).unwrap();
        }
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        match idx_files(folder.path()) {
            Ok((images, labels)) => Ok([name(images), name(labels)]),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_set_is_found_by_its_files_names() {
        let test = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
        let train = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"];
        let other = ["drawn-images-idx3-ubyte.gz", "drawn-labels-idx1-int.gz"];
        let owned = |files: [&str; 2]| Ok(files.map(str::to_owned));
        assert_eq!(found(&[test[0], test[1], "README"]), owned(test));
        assert_eq!(found(&[test, train, other].concat()), owned(train));
        assert_eq!(found(&[other, test].concat()), owned(test));
        assert_eq!(found(&other), owned(other));
    }

    #[test]
    fn a_folder_without_one_is_told_what_is_looked_for() {
        let one = ["a-images-idx3-ubyte", "a-labels-idx1-ubyte"];
        let two = ["b-images-idx3-ubyte", "b-labels-idx1-ubyte"];
        for files in [&[][..], &one[..1], &[one, two].concat()] {
            assert!(found(files).unwrap_err().contains("set images_path"), "{files:?}");
        }
        let missing = idx_files(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/folder"), "{missing}");
    }
}
