//! Checkpoints: a [`Snapshot`] as one safetensors file, whole or not at all.
//!
//! Tensors: the parameters under their PyTorch names, `best/NAME` the best by validation, `optimizer/NAME` the
//! meta-optimizer's. Metadata: `format`, `step`, `digest`, `config` (the resolved configuration), `pack` (the data pack's
//! digest, where there is one), `run` (the rest, as JSON; sums are written by their bits), and `checksum` over all of
//! these.

mod file;
mod folder;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;
use serde::{Deserialize, Serialize};

use crate::run::{Best, Snapshot};
pub(crate) use file::floats;
use file::{File, Tensors};

/// The format's name and version.
const FORMAT: &str = "lyceum-checkpoint-2";
/// The format of a file of parameters alone.
const MODEL_FORMAT: &str = "lyceum-model-1";

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The file is no checkpoint, or is damaged.
    #[error("{path}: not a whole checkpoint: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No checkpoint of a run is whole.
    #[error(
        "{path}: not a whole checkpoint: {problem}; nor is an older one: put a copy of it in its place, or begin a new run"
    )]
    NoneWhole {
        /// The newest.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is no model, or is damaged: the run can write it once more.
    #[error(
        "{}: not a whole model: {problem}; `lyceum train --resume {}` writes it anew from the run's last checkpoint",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    DamagedModel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Its tensors are not those of the run's network and learner.
    #[error("{path}: a checkpoint of another layout: {problem}")]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// The first tensor that differs, and how.
        problem: String,
    },
    /// The checkpoint was not written, or is no longer kept.
    #[error("{folder}: no checkpoint of meta-step {step} is kept: there are {kept}")]
    NotKept {
        /// The folder.
        folder: PathBuf,
        /// The meta-step that was asked for.
        step: MetaStep,
        /// Those that there are.
        kept: String,
    },
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The state of the run.
    pub snapshot: Snapshot,
    /// The resolved configuration, as the run's folder has it.
    pub config: String,
    /// The data pack that the run draws from; none where it has none, or an older version wrote the checkpoint.
    pub pack: Option<Digest>,
}

/// The newest checkpoint of a folder that is whole.
#[derive(Debug)]
pub struct Newest {
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub checkpoint: Checkpoint,
    /// Why newer ones, if any, were passed over.
    pub passed_over: Vec<CheckpointError>,
}

/// What is neither a tensor nor worth a key of its own.
#[derive(Serialize, Deserialize)]
struct Rest {
    validated: bool,
    unreported: Sums,
    best: Option<BestScore>,
}

#[derive(Serialize, Deserialize)]
struct BestScore {
    step: u64,
    digest: String,
    sums: Sums,
}

/// Report sums by their bits, so that what is read is what was written.
#[derive(Serialize, Deserialize)]
struct Sums {
    episodes: u64,
    bits: [u64; 4],
}

impl From<ReportSums> for Sums {
    fn from(sums: ReportSums) -> Self {
        let ReportSums { episodes, loss, loss_squared, accuracy, accuracy_squared } = sums;
        let bits = [loss, loss_squared, accuracy, accuracy_squared].map(f64::to_bits);
        Self { episodes, bits }
    }
}

impl From<Sums> for ReportSums {
    fn from(Sums { episodes, bits }: Sums) -> Self {
        let [loss, loss_squared, accuracy, accuracy_squared] = bits.map(f64::from_bits);
        Self { episodes, loss, loss_squared, accuracy, accuracy_squared }
    }
}

/// Writes a checkpoint into `folder`, points `latest` to it, and removes all but the newest few. Returns its path.
///
/// # Errors
/// Where the file system refuses.
pub fn write(
    folder: &Path,
    snapshot: &Snapshot,
    config: &str,
    pack: Option<Digest>,
) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(folder::name(snapshot.step));
    let mut tensors = Tensors::default();
    tensors.push_parameters("", &snapshot.parameters);
    if let Some(best) = &snapshot.best {
        tensors.push_parameters("best/", &best.parameters);
    }
    for (name, values) in &snapshot.optimizer {
        tensors.push(format!("optimizer/{name}"), vec![values.len()], values);
    }
    let rest = Rest {
        validated: snapshot.validated,
        unreported: snapshot.unreported.into(),
        best: snapshot.best.as_ref().map(|best| BestScore {
            step: best.step.0,
            digest: best.parameters.digest().to_string(),
            sums: best.sums.into(),
        }),
    };
    let rest = serde_json::to_string(&rest).map_err(|error| damaged(&path, error))?;
    let mut metadata = vec![
        ("format", FORMAT.to_owned()),
        ("step", snapshot.step.to_string()),
        ("digest", snapshot.parameters.digest().to_string()),
        ("config", config.to_owned()),
        ("run", rest),
    ];
    metadata.extend(pack.map(|pack| ("pack", pack.to_string())));
    tensors.write_with_checksum(&path, metadata)?;
    folder::point_to(folder, snapshot.step)?;
    folder::remove_old(folder)?;
    Ok(path)
}

/// Reads a checkpoint of a run with this layout, and verifies its checksum and digests.
///
/// # Errors
/// Where the file cannot be read, is damaged, or is of another layout.
pub fn read(path: &Path, layout: &Arc<Layout>) -> Result<Checkpoint, CheckpointError> {
    let file = File::read(path)?;
    let tensors = file.tensors()?;
    let format = file.key("format")?;
    if format != FORMAT {
        return Err(damaged(path, format!("its format is `{format}` and not `{FORMAT}`")));
    }
    // Before all else, so that damage to a tensor's name does not look like another layout.
    file.verify_checksum(&tensors)?;
    let step = MetaStep(file.parse("step")?);
    let rest: Rest =
        serde_json::from_str(file.key("run")?).map_err(|error| damaged(path, error))?;
    let parameters = tensors.parameters("", layout, file.parse("digest")?)?;
    let best = match rest.best {
        None => None,
        Some(BestScore { step, digest, sums }) => {
            let digest = digest.parse().map_err(|error| damaged(path, error))?;
            let parameters = tensors.parameters("best/", layout, digest)?;
            Some(Best { step: MetaStep(step), parameters, sums: sums.into() })
        }
    };
    let snapshot = Snapshot {
        step,
        parameters,
        optimizer: tensors.state(),
        best,
        validated: rest.validated,
        unreported: rest.unreported.into(),
    };
    let config = file.key("config")?.to_owned();
    Ok(Checkpoint { snapshot, config, pack: file.parse_if_there("pack")? })
}

/// Writes meta-parameters alone, under their PyTorch names, with the configuration of the run that they come from.
///
/// # Errors
/// Where the file system refuses.
pub fn write_model(
    path: &Path,
    parameters: &MetaParameters,
    config: &str,
) -> Result<(), CheckpointError> {
    let mut tensors = Tensors::default();
    tensors.push_parameters("", parameters);
    let metadata = vec![
        ("format", MODEL_FORMAT.to_owned()),
        ("digest", parameters.digest().to_string()),
        ("config", config.to_owned()),
    ];
    tensors.write(path, metadata)
}

/// Reads what [`write_model`] wrote, and verifies its digest.
///
/// # Errors
/// Where the file cannot be read, is damaged, or is of another layout.
pub fn read_model(path: &Path, layout: &Arc<Layout>) -> Result<MetaParameters, CheckpointError> {
    read_parameters(path, layout).map_err(|error| match error {
        CheckpointError::Damaged { path, problem } => {
            CheckpointError::DamagedModel { path, problem }
        }
        other => other,
    })
}

fn read_parameters(path: &Path, layout: &Arc<Layout>) -> Result<MetaParameters, CheckpointError> {
    let file = File::read(path)?;
    let tensors = file.tensors()?;
    tensors.parameters("", layout, file.parse("digest")?)
}

/// The configuration that [`write_model`] wrote beside the parameters; none where the file has none.
///
/// # Errors
/// Where the file cannot be read.
pub fn model_config(path: &Path) -> Result<Option<String>, CheckpointError> {
    File::read(path)?.parse_if_there("config")
}

/// Reads the newest checkpoint of a folder that is whole: first the one that `latest` names, then the others, the highest
/// step first. None where none was written yet.
///
/// Which one it is changes no bit of a run that goes on from it, but only how many meta-steps are computed again.
///
/// # Errors
/// Where the folder cannot be read, where a checkpoint is of another layout, and where none is whole: then what is wrong
/// with the newest.
pub fn newest(folder: &Path, layout: &Arc<Layout>) -> Result<Option<Newest>, CheckpointError> {
    let mut passed_over = Vec::new();
    for path in folder::newest_first(folder)? {
        match read(&path, layout) {
            Ok(checkpoint) => return Ok(Some(Newest { path, checkpoint, passed_over })),
            Err(error @ CheckpointError::OtherLayout { .. }) => return Err(error),
            Err(error) => passed_over.push(error),
        }
    }
    match passed_over.into_iter().next() {
        None => Ok(None),
        Some(CheckpointError::Damaged { path, problem }) => {
            Err(CheckpointError::NoneWhole { path, problem })
        }
        Some(other) => Err(other),
    }
}

/// The meta-steps whose checkpoints a folder keeps, in order.
///
/// # Errors
/// Where the folder cannot be read.
pub fn kept(folder: &Path) -> Result<Vec<MetaStep>, CheckpointError> {
    Ok(folder::steps(folder)?.into_iter().map(|(step, _)| MetaStep(step)).collect())
}

/// The file of a folder's checkpoint after `step` meta-steps.
///
/// # Errors
/// Where it is not kept, or the folder cannot be read.
pub fn at(folder: &Path, step: MetaStep) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(folder::name(step));
    if path.is_file() {
        return Ok(path);
    }
    let kept: Vec<_> = kept(folder)?.iter().map(ToString::to_string).collect();
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    Err(CheckpointError::NotKept { folder: folder.into(), step, kept })
}

fn failed(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.into(), source }
}

fn damaged(path: &Path, problem: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Damaged { path: path.into(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
