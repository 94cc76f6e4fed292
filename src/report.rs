//! `lyceum report`: runs as a Markdown table, what they came to beside what papers report.

use std::path::PathBuf;

use lyceum_common::config::{DataConfig, LearnerConfig, OmniglotSplit, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::report::{EpisodeReport, Estimate, ReportSums};
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::kept_evaluation::{KeptEvaluation, Protocol};
use lyceum_coordinator::metrics::{History, TestResult};

use crate::output::print;
use crate::place::Places;
use crate::trained::Trained;

/// Prints a Markdown table of runs: the test at their end and every evaluation that is kept in their folders, each with its
/// protocol, beside what their configuration knows to be published.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The runs' folders, or their names below --runs
    #[arg(required = true, value_name = "RUN")]
    reported: Vec<PathBuf>,
    #[command(flatten)]
    places: Places,
}

/// A line of the table.
struct Row {
    /// What tells rows for which a figure was published.
    data: String,
    ways: usize,
    shots: usize,
    transductive: bool,
    is_test: bool,
    protocol: String,
    obtained: String,
}

impl Report {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut lines = vec![
            "| run | protocol | obtained | published | protocol there | trained in |".to_owned(),
            "| --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        for run in &self.reported {
            let Trained { folder, config } = Trained::open(&self.places, run, None)?;
            let history = History::read(&folder)?;
            let tested = history.test.map(|test| row_of_test(&config, test));
            let kept = folder.kept()?;
            let rows: Vec<_> = tested
                .into_iter()
                .chain(kept.iter().map(|kept| row_of_kept(&config, kept)))
                .collect();
            anyhow::ensure!(
                !rows.is_empty(),
                "{}: neither a test at the end of the run nor an evaluation yet",
                folder.path().display()
            );
            lines.extend(rows.iter().map(|row| line(&config, &history, row)));
        }
        lines.push(String::new());
        lines.push("± are half-widths of 95 % intervals over the episodes.".to_owned());
        print(&lines.join("\n"))
    }
}

fn row_of_test(config: &RunConfig, test: TestResult) -> Row {
    let TestResult { episodes, loss, accuracy } = test;
    let episode = &config.episode;
    let transductive = config.is_transductive(None);
    let (ways, shots) = (episode.ways_in_evaluation(), episode.shots_in_evaluation());
    let steps = config.clone().learner.evaluation_steps_mut().copied();
    let judged = if config.classifies() { accuracy } else { None };
    Row {
        data: config.data.kind().to_owned(),
        ways,
        shots,
        transductive,
        is_test: true,
        protocol: protocol(config, steps, &{
            let data = of_data(&config.data);
            let size = size(config, ways, shots, episode.queries_in_evaluation());
            [data, "test split".to_owned(), size, count(episodes), how(config, transductive)]
        }),
        obtained: judged.map_or_else(|| loss_of(loss), accuracy_of),
    }
}

fn row_of_kept(config: &RunConfig, kept: &KeptEvaluation) -> Row {
    let KeptEvaluation { ways, shots, queries, transductive, accuracy, loss, .. } = kept;
    let pairs = accuracy.iter().zip(loss);
    let reports: Vec<_> =
        pairs.map(|(&accuracy, &loss)| EpisodeReport { loss, accuracy }).collect();
    let estimate = ReportSums::of(&reports).mean_accuracy();
    let lake = kept.protocol == Protocol::LakeRuns;
    let (data, what) = match kept.protocol {
        Protocol::Episodes => (kept.data.clone(), of_data(&config.data)),
        Protocol::CrossDomain => (kept.data.clone(), format!("another data set, {}", kept.data)),
        Protocol::LakeRuns => (
            "lake_runs".to_owned(),
            format!("Lake's 20 runs, trained on {}", of_data(&config.data)),
        ),
    };
    let estimate = if lake { mean_of_few(accuracy).unwrap_or(estimate) } else { estimate };
    Row {
        data,
        ways: *ways,
        shots: *shots,
        transductive: *transductive,
        is_test: lake || kept.split == Split::Test.to_string(),
        protocol: protocol(
            config,
            kept.inner_steps,
            &[
                what,
                format!("{} split", kept.split),
                size(config, *ways, *shots, *queries),
                count(accuracy.len() as u64),
                how(config, *transductive),
            ],
        ),
        obtained: accuracy_of(estimate),
    }
}

/// A row's protocol, spelled out.
fn protocol(config: &RunConfig, steps: Option<usize>, parts: &[String]) -> String {
    let mut parts = parts.to_vec();
    parts.extend(steps.map(|steps| format!("{steps} inner steps")));
    let validates = config.training.validate_every > 0;
    parts.push(
        if validates { "selected on validation classes" } else { "the last parameters" }.to_owned(),
    );
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// The data, with its split.
fn of_data(data: &DataConfig) -> String {
    let omniglot = match data {
        DataConfig::Omniglot(omniglot) => omniglot,
        DataConfig::Folder(folder) => {
            let name = folder.path.file_name().unwrap_or(folder.path.as_os_str());
            return format!("images of the folder {}", name.display());
        }
        _ => return data.kind().to_owned(),
    };
    let split = match omniglot.split {
        OmniglotSplit::Lake { .. } => "background / evaluation",
        OmniglotSplit::Vinyals { .. } => "Vinyals' split",
        OmniglotSplit::Random { .. } => "a random split",
        OmniglotSplit::Small1 { .. } => "small1 / evaluation",
        OmniglotSplit::Small2 { .. } => "small2 / evaluation",
    };
    format!("Omniglot, {split}")
}

fn size(config: &RunConfig, ways: usize, shots: usize, queries: usize) -> String {
    match (&config.learner, config.data.is_classification()) {
        (LearnerConfig::LearnedOptimizer(_), _) => String::new(),
        (_, true) => format!("{ways}-way {shots}-shot with {} a class", counted(queries)),
        (_, false) => format!("{shots}-shot with {}", counted(queries)),
    }
}

fn counted(queries: usize) -> String {
    if queries == 1 { "1 query".to_owned() } else { format!("{queries} queries") }
}

fn count(episodes: u64) -> String {
    format!("{episodes} episodes")
}

/// Whether query examples see one another, where there is batch norm.
fn how(config: &RunConfig, transductive: bool) -> String {
    match (config.is_transductive(Some(true)), transductive) {
        (false, _) => String::new(),
        (true, true) => "transductive".to_owned(),
        (true, false) => "inductive".to_owned(),
    }
}

fn accuracy_of(Estimate { mean, interval }: Estimate) -> String {
    format!("{:.2} % ± {:.2}", 100.0 * mean, 100.0 * interval)
}

fn loss_of(Estimate { mean, interval }: Estimate) -> String {
    format!("loss {mean:.4} ± {interval:.4}")
}

fn line(config: &RunConfig, history: &History, row: &Row) -> String {
    let published: Vec<_> = config
        .published
        .iter()
        .filter(|published| {
            // Papers report what their test classes gave.
            let same_mode = published.transductive.is_none_or(|mode| mode == row.transductive);
            (&published.data, published.ways, published.shots) == (&row.data, row.ways, row.shots)
                && same_mode
                && row.is_test
        })
        .collect();
    let join = |what: Vec<String>| {
        if what.is_empty() { "–".to_owned() } else { what.join("; ") }
    };
    let results = published.iter().map(|row| format!("{} ({})", row.result, row.citation));
    let there = published.iter().map(|row| row.protocol.clone());
    let cells = [
        config.name.clone(),
        row.protocol.clone(),
        row.obtained.clone(),
        join(results.collect()),
        join(there.collect()),
        format!("{:.1} min", history.seconds / 60.0),
    ];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
