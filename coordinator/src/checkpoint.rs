//! Checkpoints: a [`Snapshot`] as one safetensors file, whole or not at all.
//!
//! Tensors: the parameters under their PyTorch names, `best/NAME` the best by validation, `optimizer/NAME` the
//! meta-optimizer's. Metadata: `format`, `step`, `digest`, `config` (the resolved configuration), `run` (the rest, as JSON;
//! sums are written by their bits).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::layout::Layout;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::meta_optimizer::State;
use crate::run::{Best, Snapshot};

/// The format's name and version.
const FORMAT: &str = "lyceum-checkpoint-1";
/// The format of a file of parameters alone.
const MODEL_FORMAT: &str = "lyceum-model-1";
/// Checkpoints that are kept, the newest.
const KEPT: usize = 3;
/// The file that names the newest checkpoint.
const LATEST: &str = "latest";

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
    /// Its tensors are not those of the run's network and learner.
    #[error("{path}: a checkpoint of another layout: {problem}")]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// The first tensor that differs, and how.
        problem: String,
    },
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The state of the run.
    pub snapshot: Snapshot,
    /// The resolved configuration, as the run's folder has it.
    pub config: String,
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
pub fn write(folder: &Path, snapshot: &Snapshot, config: &str) -> Result<PathBuf, CheckpointError> {
    let name = format!("step-{:06}.safetensors", snapshot.step.0);
    let path = folder.join(&name);
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
    tensors.write(
        &path,
        [
            ("format", FORMAT.to_owned()),
            ("step", snapshot.step.to_string()),
            ("digest", snapshot.parameters.digest().to_string()),
            ("config", config.to_owned()),
            ("run", rest),
        ],
    )?;
    let pointer = folder.join(LATEST);
    durable::write(&pointer, name.as_bytes()).map_err(|source| failed(&pointer, source))?;
    remove_old(folder)?;
    Ok(path)
}

/// Reads a checkpoint of a run with this layout, and verifies its digests.
///
/// # Errors
/// Where the file cannot be read, is damaged, or is of another layout.
pub fn read(path: &Path, layout: &Arc<Layout>) -> Result<Checkpoint, CheckpointError> {
    let file = File::read(path)?;
    let tensors = file.tensors()?;
    if file.key("format")? != FORMAT {
        return Err(damaged(path, format!("its format is not {FORMAT}")));
    }
    let step: u64 = parse(path, "step", file.key("step")?)?;
    let rest: Rest =
        serde_json::from_str(file.key("run")?).map_err(|error| damaged(path, error))?;
    let parameters = tensors.parameters("", layout, file.key("digest")?)?;
    let best = match rest.best {
        None => None,
        Some(BestScore { step, digest, sums }) => Some(Best {
            step: MetaStep(step),
            parameters: tensors.parameters("best/", layout, &digest)?,
            sums: sums.into(),
        }),
    };
    let snapshot = Snapshot {
        step: MetaStep(step),
        parameters,
        optimizer: tensors.state()?,
        best,
        validated: rest.validated,
        unreported: rest.unreported.into(),
    };
    Ok(Checkpoint { snapshot, config: file.key("config")?.to_owned() })
}

/// Writes meta-parameters alone, under their PyTorch names.
///
/// # Errors
/// Where the file system refuses.
pub fn write_model(path: &Path, parameters: &MetaParameters) -> Result<(), CheckpointError> {
    let mut tensors = Tensors::default();
    tensors.push_parameters("", parameters);
    let digest = parameters.digest().to_string();
    tensors.write(path, [("format", MODEL_FORMAT.to_owned()), ("digest", digest)])
}

/// Reads what [`write_model`] wrote, and verifies its digest.
///
/// # Errors
/// Where the file cannot be read, is damaged, or is of another layout.
pub fn read_model(path: &Path, layout: &Arc<Layout>) -> Result<MetaParameters, CheckpointError> {
    let file = File::read(path)?;
    let tensors = file.tensors()?;
    tensors.parameters("", layout, file.key("digest")?)
}

/// The newest checkpoint of a folder: the one that `latest` names, or where that is lost, the one of the highest step.
///
/// # Errors
/// Where the folder cannot be read.
pub fn latest(folder: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    let named = std::fs::read_to_string(folder.join(LATEST)).ok();
    let all = steps(folder)?;
    let named = named.and_then(|name| {
        all.iter().find(|(_, path)| path.file_name().is_some_and(|file| file == name.trim()))
    });
    Ok(named.or(all.last()).map(|(_, path)| path.clone()))
}

/// The checkpoints of a folder, by step.
fn steps(folder: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
    let mut steps = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| failed(folder, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digits = name.strip_prefix("step-").and_then(|n| n.strip_suffix(".safetensors"));
        if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
            steps.push((step, path));
        }
    }
    steps.sort();
    Ok(steps)
}

fn remove_old(folder: &Path) -> Result<(), CheckpointError> {
    let steps = steps(folder)?;
    for (_, path) in &steps[..steps.len().saturating_sub(KEPT)] {
        std::fs::remove_file(path).map_err(|source| failed(path, source))?;
    }
    durable::sync_folder(folder).map_err(|source| failed(folder, source))
}

/// Tensors to be written.
#[derive(Default)]
struct Tensors(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn push(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((name, shape, bytes));
    }

    fn push_parameters(&mut self, prefix: &str, parameters: &MetaParameters) {
        for entry in parameters.layout().entries() {
            let values = &parameters.values()[entry.range()];
            self.push(format!("{prefix}{}", entry.name), entry.shape.clone(), values);
        }
    }

    fn write<const N: usize>(
        self,
        path: &Path,
        metadata: [(&str, String); N],
    ) -> Result<(), CheckpointError> {
        let views = self.0.iter().map(|(name, shape, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        });
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let bytes = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| damaged(path, error))?;
        durable::write(path, &bytes).map_err(|source| failed(path, source))
    }
}

/// A file that was read.
struct File<'p> {
    path: &'p Path,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
}

impl<'p> File<'p> {
    fn read(path: &'p Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| failed(path, source))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(path, error))?;
        let metadata = metadata.metadata().iter().flatten();
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { path, bytes, metadata })
    }

    fn key(&self, key: &str) -> Result<&str, CheckpointError> {
        let value = self.metadata.get(key).map(String::as_str);
        value.ok_or_else(|| damaged(self.path, format!("its metadata has no `{key}`")))
    }

    fn tensors(&self) -> Result<FileTensors<'_>, CheckpointError> {
        let tensors =
            SafeTensors::deserialize(&self.bytes).map_err(|error| damaged(self.path, error))?;
        Ok(FileTensors { path: self.path, tensors })
    }
}

struct FileTensors<'f> {
    path: &'f Path,
    tensors: SafeTensors<'f>,
}

impl FileTensors<'_> {
    /// The tensors `prefix` + name of a layout, and no others with this prefix.
    fn parameters(
        &self,
        prefix: &str,
        layout: &Arc<Layout>,
        digest: &str,
    ) -> Result<MetaParameters, CheckpointError> {
        let other = |problem| CheckpointError::OtherLayout { path: self.path.into(), problem };
        let mut values = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            let name = format!("{prefix}{}", entry.name);
            let tensor = self.tensors.tensor(&name);
            let tensor = tensor.map_err(|_| other(format!("it has no tensor `{name}`")))?;
            if tensor.shape() != entry.shape || tensor.dtype() != Dtype::F32 {
                let (found, expected) = (tensor.shape(), &entry.shape);
                let kind = tensor.dtype();
                return Err(other(format!(
                    "`{name}` is {kind:?} {found:?}, where the run has F32 {expected:?}"
                )));
            }
            values.extend(floats(tensor.data()));
        }
        let surplus = self.tensors.names().into_iter().filter(|name| {
            let own = name.strip_prefix(prefix).filter(|own| !own.contains('/'));
            own.is_some_and(|own| layout.get(own).is_none())
        });
        if let Some(name) = surplus.min() {
            return Err(other(format!("the run has no tensor `{name}`")));
        }
        let parameters = MetaParameters::new(layout.clone(), values)
            .map_err(|error| damaged(self.path, error))?;
        let expected: Digest = parse(self.path, "digest", digest)?;
        if parameters.digest() != expected {
            let found = parameters.digest();
            let problem = format!("its parameters' digest is {found}, and it says {expected}");
            return Err(damaged(self.path, problem));
        }
        Ok(parameters)
    }

    fn state(&self) -> Result<State, CheckpointError> {
        let mut state = State::new();
        for (name, tensor) in self.tensors.iter() {
            if let Some(name) = name.strip_prefix("optimizer/") {
                if tensor.dtype() != Dtype::F32 {
                    return Err(damaged(self.path, format!("`optimizer/{name}` is not F32")));
                }
                state.insert(name.to_owned(), floats(tensor.data()).collect());
            }
        }
        Ok(state)
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    path: &Path,
    key: &str,
    text: &str,
) -> Result<T, CheckpointError> {
    text.parse().map_err(|error| damaged(path, format!("its `{key}`: {error}")))
}

fn failed(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.into(), source }
}

fn damaged(path: &Path, problem: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Damaged { path: path.into(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
