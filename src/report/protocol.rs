//! How a figure was come by, spelled out.

use lyceum_common::config::{DataConfig, LearnerConfig, OmniglotSplit, RunConfig};

use crate::words::counted;

/// A row's protocol: its parts, with inner steps where some are taken, what selected the parameters if anything did, and what
/// sets the figure apart from the run's own.
pub(super) fn protocol(
    parts: &[String],
    steps: Option<String>,
    selection: &str,
    departures: &[String],
) -> String {
    let mut parts = parts.to_vec();
    parts.extend(steps);
    parts.push(selection.to_owned());
    parts.extend_from_slice(departures);
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// What selected the parameters that a run came to: `validated` says whether validation did.
pub(super) fn selection(config: &RunConfig, validated: bool) -> &'static str {
    if validated { on_validation(config) } else { "the last parameters" }
}

/// What selected parameters before a run's end that nobody asked for by their meta-step: `validated` says whether validation
/// did, where that is known.
pub(super) fn selection_so_far(config: &RunConfig, validated: Option<bool>) -> &'static str {
    match validated {
        Some(true) => on_validation(config),
        None if config.training.validate_every > 0 => "",
        Some(false) | None => "the last so far",
    }
}

fn on_validation(config: &RunConfig) -> &'static str {
    if config.classifies() {
        "selected on validation classes"
    } else {
        // Functions and optimizees are of no class.
        "selected on validation tasks"
    }
}

/// The inner steps, and how many the run's own test takes where these are others.
pub(super) fn inner_steps(steps: usize, own: Option<usize>) -> String {
    format!("{steps} inner steps{}", beside(steps, own))
}

/// The data, with its split.
pub(super) fn of_data(data: &DataConfig) -> String {
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

/// An episode's size, and how many queries the run's own test has where these are others.
pub(super) fn size(
    config: &RunConfig,
    ways: usize,
    shots: usize,
    queries: (usize, Option<usize>),
) -> String {
    let (queries, beside) = (counted(queries.0, "query", "queries"), beside(queries.0, queries.1));
    match (&config.learner, config.data.is_classification()) {
        (LearnerConfig::LearnedOptimizer(_), _) => String::new(),
        (_, true) => format!("{ways}-way {shots}-shot with {queries} a class{beside}"),
        (_, false) => format!("{shots}-shot with {queries}{beside}"),
    }
}

/// How many the run's own test has, where that is another number.
fn beside(number: usize, own: Option<usize>) -> String {
    let other = own.filter(|&own| own != number);
    other.map_or(String::new(), |own| format!(" (the run's own: {own})"))
}

/// How many episodes.
pub(super) fn count(episodes: u64) -> String {
    format!("{episodes} episodes")
}

/// Whether query examples see one another, where there is batch norm.
pub(super) fn how(config: &RunConfig, transductive: bool) -> String {
    match (config.is_transductive(Some(true)), transductive) {
        (false, _) => String::new(),
        (true, true) => "transductive".to_owned(),
        (true, false) => "inductive".to_owned(),
    }
}
