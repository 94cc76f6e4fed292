//! All that it takes to serve a run: from its beginning, or on from its last checkpoint.

use std::sync::Arc;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::model::{ModelError, run_layout};
use lyceum_common::pack::Pack;
use lyceum_common::parameters::{LengthMismatch, MetaParameters};

use crate::checkpoint::CheckpointError;
use crate::held_folder::HeldFolder;
pub use crate::held_folder::HoldError;
pub use crate::initialisation::InitialisationError;
use crate::initialisation::{initial_parameters, note_file};
use crate::meta_optimizer::StateError;
use crate::run::{Run, Snapshot};
use crate::run_folder::RunFolder;
pub use crate::same_run::{OtherRun, check_config, check_same, differing_key};

/// A run with what it needs to be served.
#[derive(Debug)]
pub struct Enterprise {
    pub(crate) config: RunConfig,
    pub(crate) layout: Arc<Layout>,
    pub(crate) pack: Option<Arc<Pack>>,
    pub(crate) folder: HeldFolder,
    pub(crate) resumed: Option<Snapshot>,
    pub(crate) run: Run,
}

/// Why a run cannot be begun or resumed.
#[derive(Debug, thiserror::Error)]
pub enum EnterpriseError {
    /// The network cannot read the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It is to begin with parameters that are not at hand, or are not such as it has.
    #[error(transparent)]
    Initialisation(#[from] InitialisationError),
    /// The initial parameters are not the layout's.
    #[error(transparent)]
    Parameters(#[from] LengthMismatch),
    /// The last checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The last checkpoint is of another meta-optimizer.
    #[error("the last checkpoint is of another meta-optimizer: {0}")]
    Optimizer(#[from] StateError),
    /// The last checkpoint is of another configuration or of other data.
    #[error(transparent)]
    OtherRun(#[from] OtherRun),
    /// The folder is another process's, or cannot be locked.
    #[error(transparent)]
    Folder(#[from] HoldError),
}

impl Enterprise {
    /// A run from its beginning, with parameters drawn from its seed, or a model's.
    ///
    /// # Errors
    /// Where the network cannot read the data, or another process trains in the folder.
    pub fn begin(
        config: RunConfig,
        pack: Option<Arc<Pack>>,
        folder: RunFolder,
    ) -> Result<Self, EnterpriseError> {
        let layout = layout_of(&config)?;
        let folder = HeldFolder::hold(folder, digest_of(pack.as_ref()))?;
        let run = Self::first_run(&config, &layout)?;
        Ok(Self { config, layout, pack, folder, resumed: None, run })
    }

    /// A run that goes on from the last checkpoint in its folder; from its beginning where there is none yet.
    ///
    /// # Errors
    /// Where the checkpoint cannot be read, is another run's, or of this one before its configuration or data changed;
    /// and where another process trains in the folder.
    pub fn resume(
        config: RunConfig,
        pack: Option<Arc<Pack>>,
        folder: RunFolder,
    ) -> Result<Self, EnterpriseError> {
        let layout = layout_of(&config)?;
        let digest = digest_of(pack.as_ref());
        // Before all else, so that no other process writes a newer checkpoint meanwhile.
        let folder = HeldFolder::hold(folder, digest)?;
        let resumed = match folder.run_folder().latest(&layout)? {
            None => None,
            Some(checkpoint) => {
                check_same(folder.run_folder(), &checkpoint, &config, digest)?;
                Some(checkpoint.snapshot)
            }
        };
        let run = match &resumed {
            None => Self::first_run(&config, &layout)?,
            Some(snapshot) => Run::restore(config.clone(), snapshot.clone())?,
        };
        Ok(Self { config, layout, pack, folder, resumed, run })
    }

    /// How many meta-steps are complete.
    #[must_use]
    pub fn step(&self) -> MetaStep {
        self.resumed.as_ref().map_or(MetaStep(0), |snapshot| snapshot.step)
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        self.folder.run_folder()
    }

    fn first_run(config: &RunConfig, layout: &Arc<Layout>) -> Result<Run, EnterpriseError> {
        let (values, _) = initial_parameters(config, layout)?;
        let parameters = MetaParameters::new(Arc::clone(layout), values)?;
        Ok(Run::new(config.clone(), parameters))
    }
}

fn digest_of(pack: Option<&Arc<Pack>>) -> Option<Digest> {
    pack.map(|pack| pack.digest())
}

/// Checks what a new run is to begin with, before it has a folder: where that is a model's file, its digest goes into the
/// configuration, so that the run begins with no other one.
///
/// # Errors
/// Where the network cannot read the data, or the model's parameters are not at hand or not such as the run has.
pub fn settle_initialisation(config: &mut RunConfig) -> Result<(), EnterpriseError> {
    let layout = layout_of(config)?;
    Ok(note_file(config, &layout)?)
}

/// What the meta-parameters of a run consist of.
///
/// # Errors
/// Where the network cannot read the data.
pub fn layout_of(config: &RunConfig) -> Result<Arc<Layout>, ModelError> {
    run_layout(config).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::write_model;
    use crate::run::{Action, Event};
    use lyceum_common::config;

    /// What a run saves when it is stopped.
    fn saved(mut run: Run) -> Snapshot {
        run.handle(std::time::Instant::now(), Event::Stop);
        let saved = std::iter::from_fn(|| run.poll()).find_map(|action| match action {
            Action::Save(snapshot) => Some(snapshot),
            _ => None,
        });
        saved.unwrap()
    }

    #[test]
    fn a_run_that_begins_with_a_models_parameters_has_them_before_its_first_step() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let config = config::load("sinusoid-maml", &[]).unwrap();
        let layout = layout_of(&config).unwrap();
        let values: Vec<f32> = (0..layout.len()).map(|i| i as f32).collect();
        write_model(&file, &MetaParameters::new(layout, values.clone()).unwrap(), "").unwrap();
        let from = format!("initialisation.from={}", file.display());
        let mut config = config::load("sinusoid-maml", &[from]).unwrap();
        settle_initialisation(&mut config).unwrap();
        let folder = RunFolder::create(folder.path(), &config.name, &config.to_toml()).unwrap();
        let begun = Enterprise::begin(config, None, folder).unwrap();
        assert_eq!(**saved(begun.run).parameters.values(), values);
    }

    #[test]
    fn a_run_that_is_being_trained_is_not_gone_on_with_by_another() {
        let runs = tempfile::tempdir().unwrap();
        let config = config::load("sinusoid-maml", &[]).unwrap();
        let folder = RunFolder::create(runs.path(), &config.name, &config.to_toml()).unwrap();
        let resume = || {
            let folder = RunFolder::open(folder.path()).unwrap();
            Enterprise::resume(config.clone(), None, folder)
        };
        let first = Enterprise::begin(config.clone(), None, folder.clone()).unwrap();
        let error = resume().unwrap_err().to_string();
        let begins = format!("{}: another process", folder.path().display());
        assert!(error.starts_with(&begins), "{error}");
        drop(first);
        let second = resume().unwrap();
        assert!(resume().is_err(), "each holds it");
        drop(second);
    }

    #[test]
    fn a_run_goes_on_with_the_configuration_of_its_last_checkpoint_alone() {
        let runs = tempfile::tempdir().unwrap();
        let config = config::load("sinusoid-maml", &[]).unwrap();
        let folder = RunFolder::create(runs.path(), &config.name, &config.to_toml()).unwrap();
        let run = Enterprise::first_run(&config, &layout_of(&config).unwrap()).unwrap();
        folder.save(&saved(run), None).unwrap();

        let resume = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
            let config = config::load("sinusoid-maml", &overrides).unwrap();
            Enterprise::resume(config, None, RunFolder::open(folder.path()).unwrap())
        };
        std::fs::remove_dir_all(folder.tensorboard()).unwrap();
        assert_eq!(resume(&["farm.lease_seconds=1"]).unwrap().step(), MetaStep(0));
        assert!(folder.tensorboard().is_dir(), "what is served has it again");
        let error = resume(&["training.meta_steps=5"]).unwrap_err().to_string();
        let file = folder.config_file();
        let begins = format!("{}: training.meta_steps is not", file.display());
        assert!(error.starts_with(&begins), "{error}");
    }
}
