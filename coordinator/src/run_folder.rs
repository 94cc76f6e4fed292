//! A run's folder: `runs/NAME/{config.toml, metrics.jsonl, checkpoints/, evaluations/, tensorboard/, model.safetensors}`,
//! of a learned optimizer `comparison/` too, and `lock`, which is empty.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::parameters::MetaParameters;

use crate::checkpoint::{self, Checkpoint, CheckpointError, Newest};
use crate::durable;
use crate::run::Snapshot;

/// The file of the resolved configuration.
const CONFIG: &str = "config.toml";
/// The file of the parameters that a complete run is for.
pub(crate) const MODEL: &str = "model.safetensors";

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    config: String,
}

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct RunFolderError {
    /// The folder or file.
    pub path: PathBuf,
    /// What the file system says.
    pub source: io::Error,
}

impl RunFolder {
    /// Creates the folder of a new run below `runs`: NAME, or where that is taken, NAME-2, NAME-3, … `config` is the resolved
    /// configuration.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn create(runs: &Path, name: &str, config: &str) -> Result<Self, RunFolderError> {
        durable::create_folder(runs).map_err(|source| failed(runs, source))?;
        let path = paths(runs, name)
            .find_map(|path| match fs::create_dir(&path) {
                Ok(()) => Some(Ok(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(source) => Some(Err(failed(&path, source))),
            })
            .unwrap_or_else(|| Err(failed(runs, io::ErrorKind::AlreadyExists.into())))?;
        durable::sync_folder(runs).map_err(|source| failed(runs, source))?;
        let folder = Self { path, config: config.to_owned() };
        let file = folder.config_file();
        let begun = folder.create_parts().and_then(|()| {
            durable::write(&file, config.as_bytes()).map_err(|source| failed(&file, source))
        });
        if begun.is_err() {
            // It is nobody's, and would be in the next one's way.
            let _ = fs::remove_dir_all(&folder.path);
        }
        begun.map(|()| folder)
    }

    /// The last of the runs below `runs` that are in the way of a new one called `name`, and are not over.
    #[must_use]
    pub fn last_unfinished(runs: &Path, name: &str) -> Option<PathBuf> {
        let is_unfinished = |path: &PathBuf| Self::open(path).is_ok_and(|run| !run.is_over());
        paths(runs, name).take_while(|path| path.exists()).filter(is_unfinished).last()
    }

    /// Opens the folder of a run that was begun before. Nothing is written: it may be somebody else's, or read-only.
    ///
    /// # Errors
    /// Where it is not there, or has no configuration.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RunFolderError> {
        let path = path.into();
        let file = path.join(CONFIG);
        let config = fs::read_to_string(&file).map_err(|source| failed(&file, source))?;
        Ok(Self { path, config })
    }

    /// Creates the folders that serving the run writes into, where they are not there.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub(crate) fn create_parts(&self) -> Result<(), RunFolderError> {
        [self.checkpoints(), self.tensorboard()].iter().try_for_each(|part| {
            durable::create_folder(part).map_err(|source| failed(part, source))
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the resolved configuration.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.config
    }

    /// The file of the resolved configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The folder of checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of TensorBoard's event files.
    #[must_use]
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// The folder of evaluations, a file each.
    #[must_use]
    pub fn evaluations(&self) -> PathBuf {
        self.path.join("evaluations")
    }

    /// The folder of a learned optimizer's comparisons with hand-made ones.
    #[must_use]
    pub fn comparison(&self) -> PathBuf {
        self.path.join("comparison")
    }

    /// The file that is locked while a process trains the run.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The file of metrics, a line a report.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The parameters that a complete run is for.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// Whether the run is over: the parameters that it is for are there, and it has not become longer since.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let model = self.model();
        let meta_steps = |config: &str| {
            RunConfig::from_toml(config).ok().map(|config| config.training.meta_steps)
        };
        let has_become_longer = || {
            // What cannot be read is no sign of it, and whoever puts the model to use says what is wrong.
            let of_model = meta_steps(&checkpoint::model_config(&model).ok()??)?;
            Some(of_model < meta_steps(&self.config)?)
        };
        model.is_file() && !has_become_longer().unwrap_or(false)
    }

    /// Writes a checkpoint of a run that draws from this data pack, if from any.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn save(
        &self,
        snapshot: &Snapshot,
        pack: Option<Digest>,
    ) -> Result<PathBuf, CheckpointError> {
        checkpoint::write(&self.checkpoints(), snapshot, &self.config, pack)
    }

    /// Reads the newest checkpoint that is whole; none where none was written yet. Warns of newer ones that are damaged.
    ///
    /// # Errors
    /// Where none is whole, or it is of another layout.
    pub fn latest(&self, layout: &Arc<Layout>) -> Result<Option<Checkpoint>, CheckpointError> {
        let newest = checkpoint::newest(&self.checkpoints(), layout)?;
        Ok(newest.map(|Newest { path, checkpoint, passed_over }| {
            for error in passed_over {
                tracing::warn!("{error}; going back to {}", path.display());
            }
            checkpoint
        }))
    }

    /// The meta-steps whose checkpoints are kept, in order.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn kept_checkpoints(&self) -> Result<Vec<MetaStep>, CheckpointError> {
        checkpoint::kept(&self.checkpoints())
    }

    /// Reads the checkpoint after `step` meta-steps.
    ///
    /// # Errors
    /// Where it is not kept, is damaged, or is of another layout.
    pub fn checkpoint(
        &self,
        step: MetaStep,
        layout: &Arc<Layout>,
    ) -> Result<Checkpoint, CheckpointError> {
        checkpoint::read(&checkpoint::at(&self.checkpoints(), step)?, layout)
    }

    /// Writes the parameters that a complete run is for.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub(crate) fn save_model(&self, parameters: &MetaParameters) -> Result<(), CheckpointError> {
        checkpoint::write_model(&self.model(), parameters, &self.config)
    }
}

/// Where runs called `name` go, one after the other.
fn paths(runs: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    (1u64..).map(move |n| runs.join(if n == 1 { name.to_owned() } else { format!("{name}-{n}") }))
}

fn failed(path: &Path, source: io::Error) -> RunFolderError {
    RunFolderError { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), "another program's").unwrap();
        let opened = RunFolder::open(folder.path()).unwrap();
        assert_eq!(opened.kept_checkpoints().unwrap(), []);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        opened.create_parts().unwrap();
        assert!(opened.checkpoints().is_dir() && opened.tensorboard().is_dir());
    }

    #[test]
    fn the_last_run_that_is_not_over_is_found_among_those_of_its_name() {
        let runs = tempfile::tempdir().unwrap();
        let runs = runs.path();
        let unfinished = || RunFolder::last_unfinished(runs, "run");
        assert_eq!(unfinished(), None);
        let [first, second, third] =
            [(); 3].map(|()| RunFolder::create(runs, "run", "name = \"run\"\n").unwrap());
        assert_eq!(unfinished().as_deref(), Some(third.path()));
        fs::write(third.model(), "").unwrap();
        assert_eq!(unfinished().as_deref(), Some(second.path()));
        fs::remove_dir_all(second.path()).unwrap();
        assert_eq!(unfinished().as_deref(), Some(first.path()), "a new one would be the second");
        fs::write(first.model(), "").unwrap();
        assert_eq!(unfinished(), None);
        fs::create_dir(second.path()).unwrap();
        assert_eq!(unfinished(), None, "a folder of something else");
    }

    #[test]
    fn a_run_that_becomes_longer_is_not_over() {
        let of = |meta_steps: u64| {
            let set = [format!("training.meta_steps={meta_steps}")];
            lyceum_common::config::load("glyphs-maml", &set).unwrap().to_toml()
        };
        let runs = tempfile::tempdir().unwrap();
        let run = RunFolder::create(runs.path(), "run", &of(40)).unwrap();
        assert!(!run.is_over());
        let parameters = MetaParameters::new(Arc::new(Layout::new()), Vec::new()).unwrap();
        run.save_model(&parameters).unwrap();
        assert!(run.is_over());
        fs::write(run.config_file(), of(60)).unwrap();
        let longer = RunFolder::open(run.path()).unwrap();
        assert!(!longer.is_over());
        assert_eq!(RunFolder::last_unfinished(runs.path(), "run").as_deref(), Some(run.path()));
        longer.save_model(&parameters).unwrap();
        assert!(longer.is_over());
    }
}
