//! `lyceum gradient`: one episode from a file, to compare with another framework.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lyceum_common::whole_file;
use lyceum_worker::case::{Case, CaseResult, Comparison, Tolerance, compute};
use lyceum_worker::kernels::InstructionSet;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use crate::output::print;

/// Computes loss, outputs and meta-gradient of a case, and their errors where the case says what they should be.
///
/// Ends with status 1 where they are beyond what single precision explains.
#[derive(Debug, clap::Args)]
pub(crate) struct Gradient {
    /// The case's path without an ending: NAME.toml and NAME.safetensors are read
    case: PathBuf,
    /// Writes `loss`, `output` and `meta_gradient/NAME` as safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// avx512, avx2, neon or portable; the fastest that the machine has where absent
    #[arg(long, value_name = "NAME")]
    instruction_set: Option<InstructionSet>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    loss: f64,
    gradient_norm: f64,
    gradient_error: Option<f64>,
    worst_tensor: Option<String>,
    loss_error: Option<f64>,
    output_error: Option<f64>,
    change_error: Option<f64>,
}

impl Gradient {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let case = Case::read(&self.case)?;
        let result = compute(&case, self.instruction_set.unwrap_or_else(InstructionSet::best))?;
        let comparison = result.compare(&case, &Tolerance::SINGLE)?;
        if let Some(out) = &self.out {
            write(out, &result)?;
        }
        let errors = comparison.as_ref();
        let line = Line {
            loss: result.loss,
            gradient_norm: result.gradient_norm(),
            gradient_error: errors.map(|errors| errors.gradient_error),
            worst_tensor: errors.map(|errors| errors.worst_tensor.clone()),
            loss_error: errors.map(|errors| errors.loss_error),
            output_error: errors.map(|errors| errors.output_error),
            change_error: errors.and_then(|errors| errors.change_error),
        };
        print(&if self.json { serde_json::to_string(&line)? } else { table(&line, errors) })?;
        match errors {
            Some(errors) if !errors.agrees(&Tolerance::SINGLE) => {
                bail!("{}: beyond the tolerances of single precision", self.case.display())
            }
            _ => Ok(()),
        }
    }
}

fn table(line: &Line, errors: Option<&Comparison>) -> String {
    let mut text =
        format!("loss           {:.9}\ngradient norm  {:.9}", line.loss, line.gradient_norm);
    if let Some(errors) = errors {
        let share = 100.0 * errors.worst_tensor_share;
        text += &format!("\ngradient error {:.2e} of the norm", errors.gradient_error);
        text +=
            &format!("\nworst tensor   {} ({share:.1} % of its tolerance)", errors.worst_tensor);
        text += &format!("\nloss error     {:.2e}", errors.loss_error);
        text += &format!("\noutput error   {:.2e} of the largest", errors.output_error);
        if let Some(error) = errors.change_error {
            text += &format!("\nchange error   {error:.2e} of a running statistic's");
        }
    }
    text
}

fn write(path: &Path, result: &CaseResult) -> anyhow::Result<()> {
    let bytes =
        |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let loss = (vec![1], bytes(&[result.loss as f32]));
    let mut tensors = BTreeMap::from([("loss".to_owned(), loss)]);
    tensors.insert("output".to_owned(), (vec![result.output.len()], bytes(&result.output)));
    for entry in result.layout.entries() {
        let values = bytes(&result.meta_gradient[entry.range()]);
        tensors.insert(format!("meta_gradient/{}", entry.name), (entry.shape.clone(), values));
    }
    let views = tensors
        .iter()
        .map(|(name, (shape, data))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let file = safetensors::serialize(views, None)?;
    whole_file::write(path, &file).with_context(|| path.display().to_string())
}
