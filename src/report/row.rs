//! The table's rows: what a test, a kept evaluation or a comparison of a run came to, by what protocol, and what papers
//! report for it.

use lyceum_common::config::{Published, RunConfig};
use lyceum_common::ids::Split;
use lyceum_common::report::{EpisodeReport, Estimate, ReportSums, diverged};
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::kept_evaluation::{KeptEvaluation, Protocol};
use lyceum_coordinator::metrics::TestResult;

use super::protocol::{
    count, how, inner_steps, of_data, protocol, selection, selection_so_far, size,
};
use crate::comparison::Results;
use crate::trained::{Origin, steps_of};
use crate::words::counted;

/// The run that rows are of.
pub(super) struct Run<'a> {
    /// What it is called in the table: its folder's name.
    pub(super) name: &'a str,
    pub(super) config: &'a RunConfig,
    /// What it came to; none where it is not over.
    pub(super) model: Option<FinalModel>,
    /// How long it trained.
    pub(super) seconds: f64,
}

/// The parameters that a run came to.
pub(super) struct FinalModel {
    /// Their digest.
    pub(super) digest: String,
    /// Whether validation selected them.
    pub(super) validated: bool,
}

impl Run<'_> {
    /// The parameters that the run came to, if these are.
    fn final_model(&self, parameters: &str) -> Option<&FinalModel> {
        self.model.as_ref().filter(|model| model.digest == parameters)
    }

    /// Whether these are the parameters that the run came to.
    fn is_final(&self, parameters: &str) -> bool {
        self.final_model(parameters).is_some()
    }

    /// What selected these parameters; nothing where those after so many meta-steps were asked for.
    fn selection(
        &self,
        parameters: &str,
        meta_step: Option<u64>,
        validated: Option<bool>,
    ) -> &'static str {
        match (self.final_model(parameters), meta_step) {
            (Some(model), _) => selection(self.config, model.validated),
            (None, Some(_)) => "",
            (None, None) => selection_so_far(self.config, validated),
        }
    }

    /// What sets a result of these parameters, after so many meta-steps where that is known, and of this changed configuration
    /// apart from the run's own.
    fn departures(
        &self,
        parameters: &str,
        meta_step: Option<u64>,
        overrides: &[String],
    ) -> Vec<String> {
        let mut departures = Vec::new();
        if let Some(initialisation) = &self.config.initialisation {
            departures.push(format!("begun with {}", initialisation.from.display()));
        }
        if !self.is_final(parameters) {
            departures.push(match meta_step {
                Some(step) => format!("after {step} meta-steps"),
                None => "of a checkpoint before the run's end".to_owned(),
            });
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
    /// Of how many seeds it is the mean; of a run alone, one.
    pub(super) seeds: usize,
    /// Whether the parameters are those that the run came to.
    pub(super) is_final: bool,
    /// How the figure was come by, spelled out.
    pub(super) protocol: String,
    /// The digest of the list of its episodes, where that is known.
    pub(super) episode_list: Option<String>,
    /// What the figure measures.
    pub(super) measure: Measure,
    /// The figure.
    pub(super) obtained: Estimate,
    /// In how many episodes the loss is infinite, or no number, where that was counted.
    pub(super) diverged: Option<u64>,
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
    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
        }
    }

    fn text(self, estimate: Estimate) -> String {
        let (unit, digits) = match self {
            Self::Accuracy => (100.0, 2),
            Self::Loss => (1.0, 4),
        };
        let half_width = estimate.half_width().map(|half| format!(" ± {:.digits$}", unit * half));
        let (mean, half_width) = (unit * estimate.mean, half_width.unwrap_or_default());
        match self {
            Self::Accuracy => format!("{mean:.digits$} %{half_width}"),
            Self::Loss if mean.is_finite() => format!("loss {mean:.digits$}{half_width}"),
            Self::Loss => "loss not finite".to_owned(),
        }
    }
}

/// What tells rows for which a figure was published.
struct Conditions<'a> {
    data: &'a str,
    ways: usize,
    shots: usize,
    transductive: bool,
    /// The inner steps, and those of the run's own test.
    steps: [Option<usize>; 2],
    /// Whether it is of the run's own model, as configured, on test classes: papers report what theirs gave.
    is_comparable: bool,
}

impl Row {
    /// The row of the test that a run came to this model with.
    pub(super) fn of_test(run: &Run<'_>, model: &FinalModel, test: TestResult) -> Self {
        let &Run { config, seconds, .. } = run;
        let TestResult { episodes, loss, accuracy } = test;
        let episode = &config.episode;
        let transductive = config.is_transductive(None);
        let (ways, shots) = (episode.ways_in_evaluation(), episode.shots_in_evaluation());
        let parts = [
            of_data(&config.data),
            "test split".to_owned(),
            size(config, ways, shots, (episode.queries_in_evaluation(), None)),
            count(episodes),
            how(config, transductive),
        ];
        let judged = if config.classifies() { accuracy } else { None };
        let (measure, obtained) =
            judged.map_or((Measure::Loss, loss), |accuracy| (Measure::Accuracy, accuracy));
        let (data, own_steps) = (config.data.kind(), steps_of(config));
        let (steps, is_comparable) = ([own_steps, own_steps], true);
        let conditions = Conditions { data, ways, shots, transductive, steps, is_comparable };
        let steps = own_steps.map(|steps| inner_steps(steps, None));
        Self {
            run: run.name.to_owned(),
            seeds: 1,
            is_final: true,
            protocol: protocol(&parts, steps, selection(config, model.validated), &[]),
            episode_list: None,
            measure,
            obtained,
            // The mean does not say how many there were.
            diverged: loss.mean.is_finite().then_some(0),
            hand_made: None,
            published: published(config, &conditions),
            seconds,
        }
    }

    /// The row of an evaluation that is kept in a run's folder.
    pub(super) fn of_kept(run: &Run<'_>, kept: &KeptEvaluation) -> Self {
        let &Run { config, seconds, .. } = run;
        let &KeptEvaluation { ways, shots, queries, transductive, .. } = kept;
        let lake = kept.protocol == Protocol::LakeRuns;
        let (data, own) = (kept.data.as_str(), of_data(&config.data));
        let (data, what) = match kept.protocol {
            Protocol::Episodes => (data, own),
            Protocol::CrossDomain => (data, format!("another data set, {data}")),
            Protocol::LakeRuns => ("lake_runs", format!("Lake's 20 runs, trained on {own}")),
        };
        // Lake's runs have queries of their own.
        let own_queries = (!lake).then(|| config.episode.queries_in_evaluation());
        let parts = [
            what,
            format!("{} split", kept.split),
            size(config, ways, shots, (queries, own_queries)),
            count(kept.loss.len() as u64),
            how(config, transductive),
        ];
        let selection = run.selection(&kept.parameters, kept.meta_step, kept.validated);
        let departures = run.departures(&kept.parameters, kept.meta_step, &kept.overrides);
        let is_test = lake || kept.split == Split::Test.to_string();
        let same_queries = own_queries.is_none_or(|own| own == queries);
        let is_comparable = is_test && same_queries && departures.is_empty();
        let steps = [kept.inner_steps, steps_of(config)];
        let conditions = Conditions { data, ways, shots, transductive, steps, is_comparable };
        let [steps, own_steps] = steps;
        let steps = steps.map(|steps| inner_steps(steps, own_steps));
        let (measure, obtained, diverged) = figure(kept);
        Self {
            run: run.name.to_owned(),
            seeds: 1,
            is_final: run.is_final(&kept.parameters),
            protocol: protocol(&parts, steps, selection, &departures),
            episode_list: Some(kept.episode_list.clone()),
            measure,
            obtained,
            diverged: Some(diverged),
            hand_made: None,
            published: published(config, &conditions),
            seconds,
        }
    }

    /// The row of a learned optimizer's comparison with hand-made ones; none where the learned one is not in it.
    pub(super) fn of_comparison(run: &Run<'_>, results: &Results) -> Option<Self> {
        let &Run { config, seconds, .. } = run;
        let learned = results.learned()?;
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
        let meta_step = results.origin.as_ref().and_then(Origin::checkpoint);
        let validated = results.origin.as_ref().map(Origin::is_validated);
        let selection = run.selection(&results.digest, meta_step, validated);
        let departures = run.departures(&results.digest, meta_step, &results.overrides);
        let steps = inner_steps(results.steps, steps_of(config));
        Some(Self {
            run: run.name.to_owned(),
            seeds: 1,
            is_final: run.is_final(&results.digest),
            protocol: protocol(&parts, Some(steps), selection, &departures),
            episode_list: None,
            measure: Measure::Loss,
            obtained: learned.loss(),
            diverged: Some(learned.diverged as u64),
            hand_made: results.best_hand_made().map(|best| (best.optimizer.clone(), best.loss())),
            published: Vec::new(),
            seconds,
        })
    }

    /// Whether another row is of the same protocol, to the letter.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.protocol, self.measure) == (&other.protocol, other.measure)
    }

    /// Says which episodes it is of, where it is known.
    pub(super) fn name_episodes(&mut self) {
        if let Some(list) = &self.episode_list {
            self.protocol += &format!(", on the episodes of list {list:.12}");
        }
    }

    /// The row as Markdown.
    pub(super) fn line(&self) -> String {
        let mut obtained = self.measure.text(self.obtained);
        if let Some(diverged) = self.diverged.filter(|&diverged| diverged > 0) {
            let episodes = counted(diverged, "episode", "episodes");
            obtained += &format!(", {episodes} diverged");
        }
        if let Some((optimizer, loss)) = &self.hand_made {
            let loss = Measure::Loss.text(*loss);
            let loss = loss.strip_prefix("loss ").unwrap_or(&loss);
            obtained += &format!("; {optimizer} {loss} at its best rate");
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

    /// The row as JSON, in which what is no number is null.
    pub(super) fn json(&self) -> serde_json::Value {
        let of = |loss: Estimate| (loss.mean, loss.half_width());
        let (mean, interval) = of(self.obtained);
        let hand_made = self.hand_made.as_ref().map(|(optimizer, loss)| {
            let (mean, interval) = of(*loss);
            serde_json::json!({ "optimizer": optimizer, "mean": mean, "interval": interval })
        });
        serde_json::json!({
            "run": self.run,
            "seeds": self.seeds,
            "final": self.is_final,
            "protocol": self.protocol,
            "episode_list": self.episode_list,
            "measure": self.measure.name(),
            "mean": mean,
            "interval": interval,
            "diverged": self.diverged,
            "hand_made": hand_made,
            "published": self.published,
            "seconds": self.seconds,
        })
    }

    /// What `text` says of each published figure; a dash where there is none.
    fn of_papers(&self, text: impl Fn(&Published) -> String) -> String {
        if self.published.is_empty() {
            return "–".to_owned();
        }
        self.published.iter().map(text).collect::<Vec<_>>().join("; ")
    }
}

/// What a kept evaluation measures, what it came to, and in how many episodes it diverged.
fn figure(kept: &KeptEvaluation) -> (Measure, Estimate, u64) {
    let accuracies = kept.accuracy.iter().copied().chain(std::iter::repeat(0.0));
    let reports = kept.loss.iter().zip(accuracies);
    let reports = reports.map(|(&loss, accuracy)| EpisodeReport { loss, accuracy });
    let reports: Vec<_> = reports.collect();
    let (sums, diverged) = (ReportSums::of(&reports), diverged(&reports));
    if kept.accuracy.is_empty() {
        return (Measure::Loss, sums.mean_loss(), diverged);
    }
    let lake = kept.protocol == Protocol::LakeRuns;
    let few = if lake { mean_of_few(&kept.accuracy) } else { None };
    (Measure::Accuracy, few.unwrap_or_else(|| sums.mean_accuracy()), diverged)
}

/// What the configuration knows to be published for such episodes. A result that is for other inner steps than the run's own
/// says so itself.
fn published(config: &RunConfig, conditions: &Conditions<'_>) -> Vec<Published> {
    let &Conditions { data, ways, shots, transductive, steps: [steps, own], is_comparable } =
        conditions;
    let rows = config.published.iter().filter(|row| {
        let same_mode = row.transductive.is_none_or(|mode| mode == transductive);
        let same_steps = if row.steps.is_empty() {
            // What an older version kept does not say.
            steps.is_none() || steps == own
        } else {
            steps.is_some_and(|steps| row.steps.contains(&steps))
        };
        (row.data.as_str(), row.ways, row.shots) == (data, ways, shots)
            && same_mode
            && same_steps
            && is_comparable
    });
    rows.cloned().collect()
}

#[cfg(test)]
mod tests;
