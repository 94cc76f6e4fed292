//! `lyceum evaluate --lake-runs`: Lake's 20 runs of 20-way one-shot classification within an alphabet.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::Shape;
use lyceum_common::data::{self, LAKE_WAYS};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::kept_evaluation::Protocol;
use lyceum_worker::episodes::{FewShotSource, lake_runs};
use serde::Serialize;

use crate::episode_choice::check_ways;
use crate::output::print;
use crate::trained::{Mode, Trained};

#[derive(Debug, Serialize)]
struct Results {
    digest: String,
    episode_list: String,
    /// The share of all test images that are labelled right.
    accuracy: f64,
    /// The half-width of its 95 % interval over the runs, by Student's t.
    interval: f64,
    /// The share of each run.
    runs: Vec<f64>,
    transductive: bool,
    seconds: f64,
    run: String,
}

/// Scores a model that has not seen their alphabets on the runs in `path`.
pub(crate) fn evaluate(
    trained: &Trained,
    parameters: &MetaParameters,
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
    let evaluated = trained.evaluate(parameters, listed, of, mode)?;
    let runs = evaluated.accuracies();
    let estimate = mean_of_few(&runs).context("fewer than two runs")?;
    let results = Results {
        digest: parameters.digest().to_string(),
        episode_list,
        accuracy: estimate.mean,
        interval: estimate.interval,
        runs,
        transductive: mode.norm.is_transductive(config),
        seconds: evaluated.seconds,
        run: trained.folder.path().display().to_string(),
    };
    print(&if json { serde_json::to_string(&results)? } else { table(&results) })
}

fn table(results: &Results) -> String {
    let images = LAKE_WAYS * results.runs.len();
    let right = results.runs.iter().map(|share| share * LAKE_WAYS as f64).sum::<f64>();
    let mut rows: Vec<_> = (1..)
        .zip(&results.runs)
        .map(|(run, share)| (format!("run {run:02}"), format!("{:.0} %", 100.0 * share)))
        .collect();
    let (accuracy, interval) = (100.0 * results.accuracy, 100.0 * results.interval);
    let rows_of_all = [
        (
            "accuracy",
            format!("{accuracy:.2} % ± {interval:.2} (95 % interval over the runs, Student's t)"),
        ),
        ("right", format!("{right:.0} of {images} images")),
        ("transductive", if results.transductive { "yes" } else { "no" }.to_owned()),
        ("parameters", results.digest.clone()),
        ("episode list", results.episode_list.clone()),
        ("run", results.run.clone()),
    ];
    rows.extend(rows_of_all.map(|(name, value)| (name.to_owned(), value)));
    let lines: Vec<_> = rows.iter().map(|(name, value)| format!("{name:<16} {value}")).collect();
    lines.join("\n")
}
