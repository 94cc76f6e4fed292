//! `lyceum export`: a trained model as one file, for PyTorch and for others.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lyceum_coordinator::checkpoint::write_model;
use serde::Serialize;

use crate::output::print;
use crate::place::Places;
use crate::trained::{Model, Origin, Trained};

/// Writes a model as safetensors: the parameters that `evaluate` tests, or those of a checkpoint.
///
/// Tensors have PyTorch's names and shapes, so that a network there loads them by name. The metadata has `digest`, the
/// parameters', and `config`, the configuration that they were trained with.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    /// The file; the run's name with the ending .safetensors, here, where absent
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The parameters after so many meta-steps, of which a checkpoint is kept; the best so far where absent
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Writes over a file that is there
    #[arg(long)]
    force: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Exported {
    file: String,
    /// The parameters'.
    digest: String,
    #[serde(flatten)]
    origin: Origin,
    tensors: usize,
    numbers: usize,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let trained = Trained::open(&self.places, &self.run, None)?;
        let to = match self.to {
            Some(to) => to,
            None => default_file(trained.folder.path(), self.step)?,
        };
        anyhow::ensure!(
            self.force || !to.exists(),
            "{} is there already: --force writes over it, --to names another file",
            to.display()
        );
        let Model { parameters, config, origin, .. } = trained.model(self.step)?;
        write_model(&to, &parameters, &config)?;
        let layout = parameters.layout();
        let (tensors, numbers) = (layout.entries().len(), layout.len());
        let (file, digest) = (to.display().to_string(), parameters.digest().to_string());
        if self.json {
            let exported = Exported { file, digest, origin, tensors, numbers };
            return print(&serde_json::to_string(&exported)?);
        }
        print(&format!(
            "file         {file}\nmodel        {origin}\nparameters   {digest}\ntensors      {tensors}, {numbers} numbers in all"
        ))
    }
}

/// `RUN.safetensors` here, and of a checkpoint `RUN-step-N.safetensors`.
fn default_file(run: &Path, step: Option<u64>) -> anyhow::Result<PathBuf> {
    // A folder such as `.` has no name of its own.
    let run = run.canonicalize().with_context(|| run.display().to_string())?;
    let mut name = run.file_name().context("--to: the run's folder has no name")?.to_owned();
    name.push(step.map_or_else(String::new, |step| format!("-step-{step}")));
    name.push(".safetensors");
    Ok(PathBuf::from(name))
}
