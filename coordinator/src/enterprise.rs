//! All that it takes to serve a run: from its beginning, or on from its last checkpoint.

use std::sync::Arc;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::MetaStep;
use lyceum_common::layout::Layout;
use lyceum_common::model::{ModelError, run_layout};
use lyceum_common::pack::Pack;
use lyceum_common::parameters::{LengthMismatch, MetaParameters};
use lyceum_common::seed::Seed;

use crate::checkpoint::CheckpointError;
use crate::meta_optimizer::StateError;
use crate::run::{Run, Snapshot};
use crate::run_folder::RunFolder;

/// A run with what it needs to be served.
#[derive(Debug)]
pub struct Enterprise {
    pub(crate) config: RunConfig,
    pub(crate) layout: Arc<Layout>,
    pub(crate) pack: Option<Arc<Pack>>,
    pub(crate) folder: RunFolder,
    pub(crate) resumed: Option<Snapshot>,
    pub(crate) run: Run,
}

/// Why a run cannot be begun or resumed.
#[derive(Debug, thiserror::Error)]
pub enum EnterpriseError {
    /// The network cannot read the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The initial parameters are not the layout's.
    #[error(transparent)]
    Parameters(#[from] LengthMismatch),
    /// The last checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The last checkpoint is of another meta-optimizer.
    #[error("the last checkpoint is of another meta-optimizer: {0}")]
    Optimizer(#[from] StateError),
}

impl Enterprise {
    /// A run from its beginning, with parameters drawn from its seed.
    ///
    /// # Errors
    /// Where the network cannot read the data.
    pub fn begin(
        config: RunConfig,
        pack: Option<Arc<Pack>>,
        folder: RunFolder,
    ) -> Result<Self, EnterpriseError> {
        let layout = layout_of(&config)?;
        let run = Self::first_run(&config, &layout)?;
        Ok(Self { config, layout, pack, folder, resumed: None, run })
    }

    /// A run that goes on from the last checkpoint in its folder; from its beginning where there is none yet.
    ///
    /// # Errors
    /// Where the checkpoint cannot be read or is another run's.
    pub fn resume(
        config: RunConfig,
        pack: Option<Arc<Pack>>,
        folder: RunFolder,
    ) -> Result<Self, EnterpriseError> {
        let layout = layout_of(&config)?;
        let resumed = folder.latest(&layout)?.map(|checkpoint| checkpoint.snapshot);
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
        &self.folder
    }

    fn first_run(config: &RunConfig, layout: &Arc<Layout>) -> Result<Run, EnterpriseError> {
        let values = layout.initialise(Seed::of_run(config.seed).initialisation());
        let parameters = MetaParameters::new(Arc::clone(layout), values)?;
        Ok(Run::new(config.clone(), parameters))
    }
}

/// What the meta-parameters of a run consist of.
///
/// # Errors
/// Where the network cannot read the data.
pub fn layout_of(config: &RunConfig) -> Result<Arc<Layout>, ModelError> {
    run_layout(config).map(Arc::new)
}
