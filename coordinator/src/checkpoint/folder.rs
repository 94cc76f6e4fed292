//! A folder of checkpoints: `step-NNNNNN.safetensors`, and `latest`, which names the newest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lyceum_common::ids::MetaStep;

use super::{CheckpointError, failed};
use crate::durable;

/// Checkpoints that are kept, the newest. More than one, so that there is another where one is damaged.
const KEPT: usize = 3;
/// The file that names the newest checkpoint.
const LATEST: &str = "latest";

/// The file of the checkpoint after `step` meta-steps.
pub(super) fn name(step: MetaStep) -> String {
    format!("step-{:06}.safetensors", step.0)
}

/// Makes `latest` name the checkpoint after `step` meta-steps.
pub(super) fn point_to(folder: &Path, step: MetaStep) -> Result<(), CheckpointError> {
    let pointer = folder.join(LATEST);
    durable::write(&pointer, name(step).as_bytes()).map_err(|source| failed(&pointer, source))
}

/// The checkpoints of a folder: the one that `latest` names, then the others, the highest step first.
pub(super) fn newest_first(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let named = fs::read_to_string(folder.join(LATEST)).unwrap_or_default();
    let is_named = |path: &PathBuf| path.file_name().is_some_and(|file| file == named.trim());
    let mut paths: Vec<_> = steps(folder)?.into_iter().rev().map(|(_, path)| path).collect();
    // A stable sort: the others stay in order.
    paths.sort_by_key(|path| !is_named(path));
    Ok(paths)
}

/// Removes all but the newest few.
pub(super) fn remove_old(folder: &Path) -> Result<(), CheckpointError> {
    let steps = steps(folder)?;
    for (_, path) in &steps[..steps.len().saturating_sub(KEPT)] {
        fs::remove_file(path).map_err(|source| failed(path, source))?;
    }
    durable::sync_folder(folder).map_err(|source| failed(folder, source))
}

/// The checkpoints of a folder, by step.
pub(super) fn steps(folder: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let entries = match fs::read_dir(folder) {
        // A run that was not served yet, or a copy of a model with its configuration alone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| failed(folder, source))?,
    };
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
