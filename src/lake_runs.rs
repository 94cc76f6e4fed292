//! `lyceum evaluate --lake-runs`: Lake's 20 runs of 20-way one-shot classification within an alphabet.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::Shape;
use lyceum_common::data::{self, LAKE_WAYS};
use lyceum_common::report::diverged;
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::kept_evaluation::Protocol;
use lyceum_worker::episodes::{FewShotSource, lake_runs};
use serde::Serialize;

use crate::episode_choice::check_ways;
use crate::output::print;
use crate::summary;
use crate::trained::{Mode, Model, Origin, Trained, steps_of};

#[derive(Debug, Serialize)]
struct Results {
    digest: String,
    /// The digest too, by its name in the table.
    parameters: String,
    #[serde(flatten)]
    origin: Origin,
    episode_list: String,
    ways: usize,
    shots: usize,
    /// Query images a class.
    queries: usize,
    split: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner_steps: Option<usize>,
    /// The share of all test images that are labelled right.
    accuracy: f64,
    /// The half-width of its 95 % interval over the runs, by Student's t.
    interval: f64,
    /// The share of each run.
    runs: Vec<f64>,
    /// Of how many runs the loss is infinite, or no number.
    diverged: u64,
    transductive: bool,
    seconds: f64,
    run: String,
    /// The file that it is kept in; none where it could not be.
    kept: Option<String>,
}

/// Scores a model that has not seen their alphabets on the runs in `path`.
pub(crate) fn evaluate(
    trained: &Trained,
    model: &Model,
    path: &Path,
    mode: &Mode,
    json: bool,
) -> anyhow::Result<()> {
    let config = &trained.config;
    check_ways(config, LAKE_WAYS).context("--lake-runs")?;
    let (Shape::Image { height: size, .. } | Shape::Vector { length: size }) = config.data.shape();
    let pack = data::lake_runs(path, size)?;
    let listed = lake_runs(FewShotSource::new(Arc::new(pack), false)?)?;
    let episode_list = listed.list().digest().to_string();
    let of = (Protocol::LakeRuns, config.data.kind());
    let evaluated = trained.evaluate(model, listed, of, mode)?;
    let runs = evaluated.accuracies();
    let estimate = mean_of_few(&runs).context("fewer than two runs")?;
    let results = Results {
        digest: model.digest(),
        parameters: model.digest(),
        origin: model.origin.clone(),
        episode_list,
        ways: evaluated.size.ways,
        shots: evaluated.size.shots,
        queries: evaluated.size.queries,
        split: evaluated.split.to_string(),
        inner_steps: steps_of(config),
        accuracy: estimate.mean,
        interval: estimate.interval,
        runs,
        diverged: diverged(&evaluated.reports),
        transductive: mode.norm.is_transductive(config),
        seconds: evaluated.seconds,
        run: trained.folder.path().display().to_string(),
        kept: evaluated.kept.place(),
    };
    print(&if json { serde_json::to_string(&results)? } else { table(&results) })?;
    evaluated.kept.check()
}

fn table(results: &Results) -> String {
    let images = LAKE_WAYS * results.runs.len();
    let right = results.runs.iter().map(|share| share * LAKE_WAYS as f64).sum::<f64>();
    let runs = (1..).zip(&results.runs).map(|(run, share)| {
        let name = format!("run {run:02}");
        format!("{name:<16} {:.0} %", 100.0 * share)
    });
    let (accuracy, interval) = (100.0 * results.accuracy, 100.0 * results.interval);
    let mut rows = vec![
        (
            "accuracy",
            format!("{accuracy:.2} % ± {interval:.2} (95 % interval over the runs, Student's t)"),
        ),
        ("right", format!("{right:.0} of {images} images")),
    ];
    if results.diverged > 0 {
        rows.push(("diverged", format!("{} runs", results.diverged)));
    }
    rows.extend(results.inner_steps.map(|steps| ("inner steps", steps.to_string())));
    let transductive = if results.transductive { "yes" } else { "no" };
    rows.extend([
        ("transductive", transductive.to_owned()),
        ("model", results.origin.to_string()),
        ("parameters", results.digest.clone()),
        ("episode list", results.episode_list.clone()),
        ("run", results.run.clone()),
    ]);
    rows.extend(results.kept.clone().map(|file| ("kept in", file)));
    let lines: Vec<_> = runs.chain([summary::table(&rows)]).collect();
    lines.join("\n")
}
