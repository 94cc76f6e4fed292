//! Where data lies, and a model that a run begins with: below which folder, from where a relative path begins, and what that
//! changes.

use std::path::{Path, PathBuf};

use super::data::is_nowhere;
use super::idx_folder::{idx_files, idx_files_named};
use super::{ConfigError, DataConfig, OmniglotConfig, OmniglotSplit, RunConfig};

impl RunConfig {
    /// The keys that say where something lies. No bit of a run depends on them, but on what lies there.
    pub const PLACES: [&'static str; 7] = [
        "data.omniglot.path",
        "data.omniglot.split.vinyals.lists",
        "data.folder.path",
        "data.folder.lists",
        "data.idx.images_path",
        "data.idx.labels_path",
        "initialisation.from",
    ];

    /// Makes relative paths, which begin at the current folder, lead to the same places from any other.
    ///
    /// # Errors
    /// Where there is no current folder.
    pub fn make_absolute(&mut self) -> std::io::Result<()> {
        if let Some(initialisation) = &mut self.initialisation {
            initialisation.from = std::path::absolute(&initialisation.from)?;
        }
        self.data.make_absolute()
    }
}

impl DataConfig {
    /// Says where the data lies: Omniglot's folder (and its `splits/vinyals`, unless the lists were said to lie elsewhere), the
    /// folder of class folders, or that of IDX files: those that are called as they were before, or else those that are named
    /// as MNIST's are.
    ///
    /// # Errors
    /// Where this kind of data is in no folder.
    pub fn set_folder(&mut self, folder: PathBuf) -> Result<(), ConfigError> {
        match self {
            Self::Omniglot(omniglot) => {
                let before = std::mem::replace(&mut omniglot.path, folder);
                if let OmniglotSplit::Vinyals { lists } = &mut omniglot.split
                    && !is_nowhere(&before)
                    && *lists == vinyals_lists(&before)
                {
                    lists.clear();
                }
                self.fill_in_lists();
                Ok(())
            }
            Self::Folder(config) => {
                let before = std::mem::replace(&mut config.path, folder);
                // Lists that lay in the folder are in it still.
                if !is_nowhere(&before)
                    && let Ok(below) = config.lists.strip_prefix(&before)
                {
                    config.lists = config.path.join(below);
                }
                Ok(())
            }
            Self::Glyphs(_) | Self::Sinusoid(_) | Self::Quadratics(_) => Err(ConfigError::new(
                format!("data.{}", self.kind()),
                "this data is made up, and lies in no folder",
            )),
            Self::Idx(idx) => {
                let named = idx_files_named(&folder, &idx.images_path, &idx.labels_path)?;
                let (images, labels) = named.map_or_else(|| idx_files(&folder), Ok)?;
                (idx.images_path, idx.labels_path) = (images, labels);
                Ok(())
            }
        }
    }

    /// The folder of Vinyals' lists where none is given: the one beside the images.
    pub(super) fn fill_in_lists(&mut self) {
        if let Self::Omniglot(OmniglotConfig {
            path, split: OmniglotSplit::Vinyals { lists }, ..
        }) = self
            && lists.as_os_str().is_empty()
            && !path.as_os_str().is_empty()
        {
            *lists = vinyals_lists(path);
        }
    }

    /// As [`RunConfig::make_absolute`], of the data alone.
    ///
    /// # Errors
    /// Where there is no current folder.
    pub fn make_absolute(&mut self) -> std::io::Result<()> {
        for path in self.paths_mut().into_iter().filter(|path| !is_nowhere(path)) {
            *path = std::path::absolute(&*path)?;
        }
        Ok(())
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Omniglot(OmniglotConfig { path, split, .. }) => match split {
                OmniglotSplit::Vinyals { lists } => vec![path, lists],
                OmniglotSplit::Lake { .. }
                | OmniglotSplit::Random { .. }
                | OmniglotSplit::Small1 { .. }
                | OmniglotSplit::Small2 { .. } => vec![path],
            },
            Self::Folder(folder) => vec![&mut folder.path, &mut folder.lists],
            Self::Idx(idx) => vec![&mut idx.images_path, &mut idx.labels_path],
            Self::Glyphs(_) | Self::Sinusoid(_) | Self::Quadratics(_) => Vec::new(),
        }
    }
}

/// The folder of Vinyals' lists beside the images.
fn vinyals_lists(images: &Path) -> PathBuf {
    images.join("splits").join("vinyals")
}

/// Makes the relative paths in a file's table begin at the file's folder.
///
/// # Errors
/// Where such a path is not UTF-8, as a configuration is.
pub(super) fn begin_at(folder: &Path, table: &mut toml::Table) -> Result<(), ConfigError> {
    for key in RunConfig::PLACES {
        let Some(toml::Value::String(path)) = value_mut(table, key) else { continue };
        if path.is_empty() {
            continue;
        }
        let place = folder.join(path.as_str());
        let Some(text) = place.to_str() else { return Err(not_utf8(key, &place)) };
        text.clone_into(path);
    }
    Ok(())
}

/// The error of a path that a configuration cannot hold.
pub(super) fn not_utf8(key: impl Into<String>, path: &Path) -> ConfigError {
    ConfigError::new(key, format!("{} is not UTF-8, as a configuration is", path.display()))
}

fn value_mut<'t>(table: &'t mut toml::Table, key: &str) -> Option<&'t mut toml::Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((around, below)) => value_mut(table.get_mut(around)?.as_table_mut()?, below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load, load_data};

    /// Writes a file of this text below `folder`, and returns its path.
    fn write(folder: &Path, file: &str, text: &str) -> String {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn paths_of_a_file_begin_at_its_folder_and_those_of_an_override_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let data =
            "data.omniglot = { path = \"images\", split = { vinyals = { lists = \"lists\" } } }";
        let text = format!("name = \"base\"\nbase = \"glyphs-maml\"\n{data}\n");
        write(folder, "sets/base.toml", &text);
        let file = write(folder, "mine.toml", "name = \"mine\"\nbase = \"sets/base.toml\"\n");
        let places = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
            let mut data = load(&file, &overrides).unwrap().data;
            data.paths_mut().into_iter().map(|path| path.clone()).collect::<Vec<_>>()
        };
        let [images, lists] = ["sets/images", "sets/lists"].map(|place| folder.join(place));
        assert_eq!(places(&[]), [images.clone(), lists.clone()]);
        assert_eq!(places(&["data.omniglot.path=images"]), [PathBuf::from("images"), lists]);
        let beside = places(&["data.omniglot.split=vinyals"]);
        assert_eq!(beside, [images.clone(), images.join("splits/vinyals")]);
        assert_eq!(load_data(&file).unwrap(), load(&file, &[]).unwrap().data);
        let text = "name = \"other\"\nbase = \"../mine.toml\"\n[data.folder]\npath = \"/there\"\n";
        let other = write(folder, "others/run.toml", text);
        let DataConfig::Folder(data) = load_data(&other).unwrap() else { panic!("{text}") };
        assert_eq!((data.path.as_path(), data.lists), (Path::new("/there"), PathBuf::new()));
    }

    #[test]
    fn what_is_absolute_leads_to_the_same_place() {
        let here = std::env::current_dir().unwrap();
        let overrides = ["data.omniglot.path=./there", "initialisation.from=model"];
        let overrides = overrides.map(str::to_owned);
        let mut config = load("omniglot-maml-5w1s", &overrides).unwrap();
        config.make_absolute().unwrap();
        let expected = [here.join("there"), here.join("there/splits/vinyals")];
        assert_eq!(config.data.paths_mut(), [&expected[0], &expected[1]]);
        assert_eq!(config.initialisation.unwrap().from, here.join("model"));
        // Nowhere is nowhere, and what is made up has no place.
        for preset in ["omniglot-maml-5w1s", "miniimagenet-maml-5w1s", "glyphs-maml"] {
            let before = load(preset, &[]).unwrap();
            let mut config = before.clone();
            config.make_absolute().unwrap();
            assert_eq!(config, before, "{preset}");
        }
    }

    #[test]
    fn files_that_were_named_are_looked_for_in_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let images = |set: &str| format!("{set}-images-idx3-ubyte");
        let labels = |set: &str| format!("{set}-labels-idx1-ubyte");
        for file in [images("train"), labels("train"), images("t10k"), labels("t10k") + ".gz"] {
            write(folder, &file, "");
        }
        let moved = |images: &str, labels: &str| {
            let set = [("images", images), ("labels", labels)]
                .map(|(of, file)| format!("data.idx.{of}_path={file}"));
            let mut data = load("mnist-learned-optimizer", &set).unwrap().data;
            data.set_folder(folder.to_owned()).map_err(|error| error.to_string())?;
            let names = |path: &mut PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            Ok::<Vec<String>, String>(data.paths_mut().into_iter().map(names).collect())
        };
        let test = vec![images("t10k"), labels("t10k") + ".gz"];
        let zipped = |name: String| format!("mnist/{name}.gz");
        assert_eq!(moved(&zipped(images("t10k")), &zipped(labels("t10k"))), Ok(test));
        let training = vec![images("train"), labels("train")];
        assert_eq!(moved("", ""), Ok(training.clone()));
        assert_eq!(moved("own.images", "own.labels"), Ok(training));
        let half = moved(&images("t10k"), "own.labels").unwrap_err();
        assert!(
            half.starts_with("data.idx.labels_path: ") && half.contains("no own.labels"),
            "{half}"
        );
    }
}
