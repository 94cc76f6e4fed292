//! `lyceum report`: runs as a Markdown table, what they came to beside what papers report.

mod row;
mod seeds;

use std::path::{Path, PathBuf};

use lyceum_coordinator::metrics::History;

use crate::comparison::Results;
use crate::output::print;
use crate::place::Places;
use crate::trained::Trained;
use row::{Row, Run};
use seeds::{Experiment, Reported};

/// Prints a Markdown table of runs: the test at their end and every evaluation that is kept in their folders, each with its
/// protocol, beside what their configuration knows to be published. Where runs differ in nothing but their seed, a row for
/// each protocol has the mean over seeds; runs of the same seed are the same bits, and count as one. What was evaluated with
/// `--set`, or before the run's end, is printed as such, and not beside what was published.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The runs' folders, or their names below --runs; those that differ in nothing but their seed have a row of their mean
    /// too
    #[arg(required = true, value_name = "RUN")]
    reported: Vec<PathBuf>,
    #[command(flatten)]
    places: Places,
}

impl Report {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runs = self.reported.iter().map(|run| self.read(run));
        let runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
        let means = seeds::means(&runs);
        let mut lines = vec![
            "| run | protocol | obtained | published | protocol there | trained in |".to_owned(),
            "| --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        let single = runs.iter().flat_map(|run| &run.rows);
        lines.extend(single.chain(&means).map(Row::line));
        lines.push(String::new());
        lines.push("± are half-widths of 95 % intervals over the episodes.".to_owned());
        if !means.is_empty() {
            lines.push("In rows of means they are over the seeds, by Student's t.".to_owned());
        }
        print(&lines.join("\n"))
    }

    /// A run with its rows: the test at its end, then the evaluations that are kept, then a learned optimizer's comparisons.
    fn read(&self, run: &Path) -> anyhow::Result<Reported> {
        let trained = Trained::open(&self.places, run, None)?;
        let Trained { folder, config, .. } = &trained;
        let History { seconds, test } = History::read(folder)?;
        let model = trained.find(None)?;
        let pack = model.as_ref().and_then(|model| model.pack);
        let model = model.filter(|model| model.origin.is_final()).map(|model| model.digest());
        let run = Run { config, model, seconds };
        let mut rows = Vec::new();
        rows.extend(test.map(|test| Row::of_test(&run, test)));
        rows.extend(folder.kept()?.iter().map(|kept| Row::of_kept(&run, kept)));
        rows.extend(Results::read(folder)?.iter().filter_map(|of| Row::of_comparison(&run, of)));
        anyhow::ensure!(
            !rows.is_empty(),
            "{}: neither a test at the end of the run nor an evaluation yet",
            folder.path().display()
        );
        let experiment = Experiment::of(config, pack);
        Ok(Reported { experiment, seed: config.seed, rows })
    }
}
