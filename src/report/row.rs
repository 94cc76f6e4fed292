//! The table's rows: what a test, a kept evaluation or a comparison of a run came to, by what protocol, and what papers
//! report for it.

use lyceum_common::config::{DataConfig, LearnerConfig, OmniglotSplit, Published, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::report::{EpisodeReport, Estimate, ReportSums};
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::kept_evaluation::{KeptEvaluation, Protocol};
use lyceum_coordinator::metrics::TestResult;

use crate::comparison::Results;

/// The run that rows are of.
pub(super) struct Run<'a> {
    pub(super) config: &'a RunConfig,
    /// The digest of the parameters that it is for; none where it is not over.
    pub(super) model: Option<String>,
    /// How long it trained.
    pub(super) seconds: f64,
}

impl Run<'_> {
    /// Whether these are the parameters that the run came to.
    fn is_final(&self, parameters: &str) -> bool {
        self.model.as_deref() == Some(parameters)
    }

    /// What sets a result of these parameters and this changed configuration apart from the run's own.
    fn departures(&self, parameters: &str, overrides: &[String]) -> Vec<String> {
        let mut departures = Vec::new();
        if !self.is_final(parameters) {
            departures.push("of a checkpoint before the run's end".to_owned());
        }
        if !overrides.is_empty() {
            departures.push(format!("with {}", overrides.join(", ")));
        }
        departures
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The run's name, or which runs the row is the mean of.
    pub(super) run: String,
    /// Whether the parameters are those that the run came to.
    pub(super) is_final: bool,
    /// How the figure was come by, spelled out.
    pub(super) protocol: String,
    /// What the figure measures.
    pub(super) measure: Measure,
    /// The figure.
    pub(super) obtained: Estimate,
    /// The best hand-made optimizer beside a learned one, and its loss.
    pub(super) hand_made: Option<(String, Estimate)>,
    /// What papers report for such episodes.
    pub(super) published: Vec<Published>,
    /// How long the run trained.
    pub(super) seconds: f64,
}

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// The share of query examples labelled right.
    Accuracy,
    /// The query loss.
    Loss,
}

impl Measure {
    fn text(self, Estimate { mean, interval }: Estimate) -> String {
        match self {
            Self::Accuracy => format!("{:.2} % ± {:.2}", 100.0 * mean, 100.0 * interval),
            Self::Loss => format!("loss {mean:.4} ± {interval:.4}"),
        }
    }
}

/// What tells rows for which a figure was published.
struct Conditions<'a> {
    data: &'a str,
    ways: usize,
    shots: usize,
    transductive: bool,
    /// Whether it is of the run's own model, as configured, on test classes: papers report what theirs gave.
    is_comparable: bool,
}

impl Row {
    /// The row of the test at a run's end.
    pub(super) fn of_test(run: &Run<'_>, test: TestResult) -> Self {
        let &Run { config, seconds, .. } = run;
        let TestResult { episodes, loss, accuracy } = test;
        let episode = &config.episode;
        let transductive = config.is_transductive(None);
        let (ways, shots) = (episode.ways_in_evaluation(), episode.shots_in_evaluation());
        let steps = config.clone().learner.evaluation_steps_mut().copied();
        let parts = [
            of_data(&config.data),
            "test split".to_owned(),
            size(config, ways, shots, episode.queries_in_evaluation()),
            count(episodes),
            how(config, transductive),
        ];
        let judged = if config.classifies() { accuracy } else { None };
        let (measure, obtained) =
            judged.map_or((Measure::Loss, loss), |accuracy| (Measure::Accuracy, accuracy));
        let data = config.data.kind();
        let conditions = Conditions { data, ways, shots, transductive, is_comparable: true };
        Self {
            run: config.name.clone(),
            is_final: true,
            protocol: protocol(config, steps, &parts, &[]),
            measure,
            obtained,
            hand_made: None,
            published: published(config, &conditions),
            seconds,
        }
    }

    /// The row of an evaluation that is kept in a run's folder.
    pub(super) fn of_kept(run: &Run<'_>, kept: &KeptEvaluation) -> Self {
        let &Run { config, seconds, .. } = run;
        let &KeptEvaluation { ways, shots, queries, transductive, .. } = kept;
        let pairs = kept.accuracy.iter().zip(&kept.loss);
        let reports: Vec<_> =
            pairs.map(|(&accuracy, &loss)| EpisodeReport { loss, accuracy }).collect();
        let estimate = ReportSums::of(&reports).mean_accuracy();
        let lake = kept.protocol == Protocol::LakeRuns;
        let few = if lake { mean_of_few(&kept.accuracy) } else { None };
        let (data, own) = (kept.data.as_str(), of_data(&config.data));
        let (data, what) = match kept.protocol {
            Protocol::Episodes => (data, own),
            Protocol::CrossDomain => (data, format!("another data set, {data}")),
            Protocol::LakeRuns => ("lake_runs", format!("Lake's 20 runs, trained on {own}")),
        };
        let parts = [
            what,
            format!("{} split", kept.split),
            size(config, ways, shots, queries),
            count(kept.accuracy.len() as u64),
            how(config, transductive),
        ];
        let departures = run.departures(&kept.parameters, &kept.overrides);
        let is_test = lake || kept.split == Split::Test.to_string();
        let is_comparable = is_test && departures.is_empty();
        let conditions = Conditions { data, ways, shots, transductive, is_comparable };
        Self {
            run: config.name.clone(),
            is_final: run.is_final(&kept.parameters),
            protocol: protocol(config, kept.inner_steps, &parts, &departures),
            measure: Measure::Accuracy,
            obtained: few.unwrap_or(estimate),
            hand_made: None,
            published: published(config, &conditions),
            seconds,
        }
    }

    /// The row of a learned optimizer's comparison with hand-made ones; none where the learned one is not in it.
    pub(super) fn of_comparison(run: &Run<'_>, results: &Results) -> Option<Self> {
        let &Run { config, seconds, .. } = run;
        let obtained = results.learned()?.loss();
        let what = match &results.data_set {
            Some(name) => format!("another data set, {name}"),
            None => of_data(&config.data),
        };
        let parts = [
            what,
            "test split".to_owned(),
            count(results.episodes),
            format!("hand-made optimizers' rates searched on {} others", results.search_episodes),
        ];
        let departures = run.departures(&results.digest, &results.overrides);
        Some(Self {
            run: config.name.clone(),
            is_final: run.is_final(&results.digest),
            protocol: protocol(config, Some(results.steps), &parts, &departures),
            measure: Measure::Loss,
            obtained,
            hand_made: results.best_hand_made().map(|best| (best.optimizer.clone(), best.loss())),
            published: Vec::new(),
            seconds,
        })
    }

    /// The row as Markdown.
    pub(super) fn line(&self) -> String {
        let mut obtained = self.measure.text(self.obtained);
        if let Some((optimizer, Estimate { mean, interval })) = &self.hand_made {
            obtained += &format!("; {optimizer} {mean:.4} ± {interval:.4} at its best rate");
        }
        let cells = [
            self.run.clone(),
            self.protocol.clone(),
            obtained,
            self.of_papers(|paper| format!("{} ({})", paper.result, paper.citation)),
            self.of_papers(|paper| paper.protocol.clone()),
            format!("{:.1} min", self.seconds / 60.0),
        ];
        format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
    }

    /// What `text` says of each published figure; a dash where there is none.
    fn of_papers(&self, text: impl Fn(&Published) -> String) -> String {
        if self.published.is_empty() {
            return "–".to_owned();
        }
        self.published.iter().map(text).collect::<Vec<_>>().join("; ")
    }
}

/// What the configuration knows to be published for such episodes.
fn published(config: &RunConfig, conditions: &Conditions<'_>) -> Vec<Published> {
    let &Conditions { data, ways, shots, transductive, is_comparable } = conditions;
    let rows = config.published.iter().filter(|row| {
        let same_mode = row.transductive.is_none_or(|mode| mode == transductive);
        (row.data.as_str(), row.ways, row.shots) == (data, ways, shots)
            && same_mode
            && is_comparable
    });
    rows.cloned().collect()
}

/// A row's protocol, spelled out.
fn protocol(
    config: &RunConfig,
    steps: Option<usize>,
    parts: &[String],
    departures: &[String],
) -> String {
    let mut parts = parts.to_vec();
    parts.extend(steps.map(|steps| format!("{steps} inner steps")));
    let validates = config.training.validate_every > 0;
    parts.push(
        if validates { "selected on validation classes" } else { "the last parameters" }.to_owned(),
    );
    parts.extend_from_slice(departures);
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
