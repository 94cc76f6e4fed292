//! What an evaluation came to, and of what.

use lyceum_common::config::RunConfig;
use lyceum_common::ids::Split;
use lyceum_common::report::diverged;
use serde::Serialize;

use crate::output::print;
use crate::summary::{self, Summary};
use crate::trained::{Evaluated, Model, Origin, steps_of};

/// The result of an evaluation: the figure, and all that it is of.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(flatten)]
    summary: Summary,
    /// The digest too, by its name in the table.
    parameters: String,
    #[serde(flatten)]
    origin: Origin,
    /// The kind of data, or the name of another data set.
    data: String,
    split: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner_steps: Option<usize>,
    /// In how many episodes the loss is infinite, or no number.
    diverged: u64,
    /// The file that it is kept in; none where it could not be.
    kept: Option<String>,
    /// What the table calls the figure.
    #[serde(skip)]
    figure: &'static str,
    /// Whether there is batch norm, which query examples may see one another through.
    #[serde(skip)]
    normalises: bool,
}

impl Outcome {
    /// That of a model, evaluated as `config` says, on data of this name.
    pub(super) fn new(
        summary: Summary,
        config: &RunConfig,
        model: &Model,
        evaluated: &Evaluated,
        data: &str,
    ) -> Self {
        let has_classes = config.data.is_classification();
        Self {
            summary,
            parameters: model.digest(),
            origin: model.origin.clone(),
            data: data.to_owned(),
            split: evaluated.split.to_string(),
            inner_steps: steps_of(config),
            diverged: diverged(&evaluated.reports),
            kept: evaluated.kept.place(),
            figure: figure(evaluated.split, has_classes),
            normalises: config.is_transductive(Some(true)),
        }
    }

    /// Prints it: with `json` as the last line of standard output, else as a table.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        print(&if json { serde_json::to_string(self)? } else { summary::table(&self.rows()) })
    }

    /// What it is of stands behind the figure and the number of episodes.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.summary.rows();
        if let Some((name, _)) = rows.first_mut() {
            *name = self.figure;
        }
        // How many of them diverged is known here.
        rows.retain(|(name, _)| *name != "diverged");
        rows.retain(|(name, _)| *name != "transductive" || self.normalises);
        if self.diverged > 0 {
            rows.insert(rows.len().min(2), ("diverged", format!("{} of these", self.diverged)));
        }
        let each = rows.iter().position(|(name, _)| *name == "each");
        let rest = rows.split_off(each.map_or(rows.len().min(2), |at| at + 1));
        rows.push(("data", format!("{}, {} split", self.data, self.split)));
        rows.extend(self.inner_steps.map(|steps| ("inner steps", steps.to_string())));
        rows.push(("model", self.origin.to_string()));
        rows.extend(rest);
        rows.extend(self.kept.clone().map(|file| ("kept in", file)));
        rows
    }
}

/// What the figure of a split is called.
fn figure(split: Split, has_classes: bool) -> &'static str {
    match (split, has_classes) {
        (Split::Train, true) => "training accuracy",
        (Split::Train, false) => "training loss",
        (Split::Validation, true) => "validation accuracy",
        (Split::Validation, false) => "validation loss",
        (Split::Test, true) => "test accuracy",
        (Split::Test, false) => "test loss",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_called_by_its_split() {
        for split in Split::ALL {
            let name = split.to_string();
            for (has_classes, what) in [(true, " accuracy"), (false, " loss")] {
                let figure = figure(split, has_classes);
                assert!(figure.starts_with(&name) && figure.ends_with(what), "{figure}");
            }
        }
    }
}
