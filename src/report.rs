//! `lyceum report`: runs as a Markdown table, what they came to beside what papers report.

mod protocol;
mod row;
mod seeds;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lyceum_coordinator::kept_evaluation::KeptEvaluation;
use lyceum_coordinator::metrics::History;

use crate::comparison::Results;
use crate::output::{causes, print, tell};
use crate::place::Places;
use crate::trained::Trained;
use row::{FinalModel, Row, Run};
use seeds::{Experiment, Reported};

/// Prints a Markdown table of runs, called by their folders: the test at their end and every evaluation that is kept in them,
/// each with its protocol, beside what their configuration knows to be published. Where runs differ in nothing but their
/// seed, a row for each protocol has the mean over seeds; runs of the same seed are the same bits, and count as one. What was
/// evaluated with `--set`, with other inner steps or queries than the run's own, or before the run's end, is printed as such,
/// and not beside what was published. A folder that has no result, and a file that cannot be read, is passed over, and said on
/// standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The runs' folders, or their names below --runs; those that differ in nothing but their seed have a row of their mean
    /// too
    #[arg(required = true, value_name = "RUN")]
    reported: Vec<PathBuf>,
    #[command(flatten)]
    places: Places,
    /// Prints one JSON object, with a row's figures as numbers
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runs = self.read_all()?;
        let means = seeds::means(&runs);
        let single = runs.iter().flat_map(|run| &run.rows);
        let rows = single.chain(&means);
        if self.json {
            let rows: Vec<_> = rows.map(Row::json).collect();
            return print(&serde_json::json!({ "rows": rows }).to_string());
        }
        let mut lines = vec![
            "| run | protocol | obtained | published | protocol there | trained in |".to_owned(),
            "| --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        lines.extend(rows.map(Row::line));
        lines.push(String::new());
        lines.push("± are half-widths of 95 % intervals over the episodes.".to_owned());
        if !means.is_empty() {
            lines.push("In rows of means they are over the seeds, by Student's t.".to_owned());
        }
        print(&lines.join("\n"))
    }

    /// All runs that have a result. What is wrong with others is said where there are such, and else is the error.
    fn read_all(&self) -> anyhow::Result<Vec<Reported>> {
        let mut opened: Vec<Opened> = Vec::new();
        let mut errors: Vec<anyhow::Error> = Vec::new();
        for run in &self.reported {
            match Trained::open(&self.places, run, None).map(Opened::new) {
                Ok(run) if opened.iter().any(|other| other.place == run.place) => {}
                Ok(run) => opened.push(run),
                Err(error) => errors.push(error),
            }
        }
        let mut runs = Vec::new();
        for (run, name) in opened.iter().zip(names(&opened)) {
            match read(&run.trained, &name) {
                Ok(run) => runs.push(run),
                Err(error) => errors.push(error),
            }
        }
        let last = if runs.is_empty() { errors.pop() } else { None };
        for error in &errors {
            tell(&format!("passed over: {}", causes(error)));
        }
        last.map_or(Ok(runs), Err)
    }
}

/// A run whose folder is one.
struct Opened {
    trained: Trained,
    /// The folder, by the one path that it has from the root.
    place: PathBuf,
}

impl Opened {
    fn new(trained: Trained) -> Self {
        let given = trained.folder.path();
        let place = given.canonicalize().unwrap_or_else(|_| given.to_owned());
        Self { trained, place }
    }
}

/// What runs are called: by their folders' names, and by their paths where two of these are alike.
fn names(runs: &[Opened]) -> Vec<String> {
    let places: Vec<_> = runs.iter().map(|run| run.place.as_path()).collect();
    let named = runs.iter().zip(&places).map(|(run, place)| {
        let given = run.trained.folder.path().display().to_string();
        own_name(place, &places).unwrap_or(given)
    });
    named.collect()
}

/// The name of a folder, where it is the only one of these that has it.
fn own_name(place: &Path, places: &[&Path]) -> Option<String> {
    let name = place.file_name()?;
    let alike = places.iter().filter(|other| other.file_name() == Some(name)).count();
    (alike == 1).then(|| name.display().to_string())
}

/// Results whose files can be read; what is wrong with another one is said.
fn whole<T>(results: Vec<anyhow::Result<T>>) -> impl Iterator<Item = T> {
    results.into_iter().filter_map(|result| {
        result.inspect_err(|error| tell(&format!("passed over: {}", causes(error)))).ok()
    })
}

/// A run with its rows: the test at its end, then the evaluations that are kept, then a learned optimizer's comparisons. Of
/// rows that are alike in all that is printed one is enough: an evaluation may have been the test once more. Where a protocol
/// has come to another figure before, it was on other episodes, as those of a run that this one was compared with.
fn read(trained: &Trained, name: &str) -> anyhow::Result<Reported> {
    let Trained { folder, config, .. } = trained;
    let History { seconds, test } = History::read(folder)?;
    let model = trained.find(None)?;
    let pack = model.as_ref().and_then(|model| model.pack);
    let model = model
        .filter(|model| model.origin.is_final())
        .map(|model| FinalModel { digest: model.digest(), validated: model.origin.is_validated() });
    let run = Run { name, config, model, seconds };
    let mut rows = Vec::new();
    // A run that has become longer has the test of a shorter one.
    rows.extend(run.model.as_ref().zip(test).map(|(model, test)| Row::of_test(&run, model, test)));
    let kept = folder.kept()?.into_iter().map(|kept| kept.map_err(Into::into)).collect();
    rows.extend(whole(kept).map(|kept: KeptEvaluation| Row::of_kept(&run, &kept)));
    let compared = whole(Results::read(folder)?);
    rows.extend(compared.filter_map(|results| Row::of_comparison(&run, &results)));
    let mut printed = BTreeSet::new();
    rows.retain(|row| printed.insert(row.line()));
    for at in 1..rows.len() {
        let (before, rest) = rows.split_at_mut(at);
        if before.iter().any(|other| other.is_like(&rest[0])) {
            rest[0].name_episodes();
        }
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "{}: neither a test at the end of the run nor an evaluation yet",
        folder.path().display()
    );
    Ok(Reported { experiment: Experiment::of(config, pack), seed: config.seed, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_by_its_name_where_no_other_has_it() {
        let places = ["/a/runs/seeds", "/a/runs/seeds-2", "/b/seeds", "/"].map(Path::new);
        let names = places.map(|place| own_name(place, &places));
        assert_eq!(names, [None, Some("seeds-2".to_owned()), None, None]);
    }
}
