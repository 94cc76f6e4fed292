//! What a run or an evaluation ends with: a small table, or one JSON object.

use lyceum_common::report::Estimate;
use lyceum_worker::episodes::EpisodeSize;
use serde::Serialize;

use crate::output::print;
use crate::words::{self, counted, elapsed, rate};

/// The end of a run or of an evaluation.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The digest of the parameters that were tested.
    pub(crate) digest: String,
    /// The mean share of query examples labelled right; absent in regression.
    pub(crate) accuracy: Option<f64>,
    /// The half-width of the accuracy's 95 % interval; in regression the loss's, which has none where an episode diverged.
    pub(crate) interval: Option<f64>,
    /// Test episodes.
    pub(crate) episodes: u64,
    /// Of few-shot episodes.
    #[serde(flatten)]
    pub(crate) size: Option<EpisodeSize>,
    /// The digest of the list of these episodes, where they can be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) episode_list: Option<String>,
    /// The mean query loss.
    pub(crate) loss: Option<f64>,
    /// Whether batch norm saw the query examples together.
    pub(crate) transductive: bool,
    /// The meta-step whose parameters these are, and whether validation selected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) selected_step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validated: Option<bool>,
    /// Meta-steps of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta_steps: Option<u64>,
    /// How long it took, while somebody worked on it.
    pub(crate) seconds: f64,
    /// Training episodes a second of training, 0 where nothing was trained; in an evaluation its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) episodes_per_second: f64,
    /// The run's folder.
    pub(crate) run: String,
}

impl Summary {
    /// Takes a test's estimates in.
    pub(crate) fn with_test(
        mut self,
        episodes: u64,
        loss: Estimate,
        accuracy: Option<Estimate>,
    ) -> Self {
        self.episodes = episodes;
        self.loss = Some(loss.mean);
        self.accuracy = accuracy.map(|accuracy| accuracy.mean);
        self.interval = accuracy.unwrap_or(loss).half_width();
        self
    }

    /// Prints it: with `json` as the last line of standard output, else as a table.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        print(&if json { serde_json::to_string(self)? } else { table(&self.rows()) })
    }

    /// The table's rows, a name and a value each: the figure first, then the number of episodes.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let interval = |unit: f64, digits: usize| {
            let interval = self.interval.map(|interval| unit * interval);
            interval.map_or(String::new(), |half| format!(" ± {half:.digits$} (95 % interval)"))
        };
        let tested = match (self.accuracy, self.loss) {
            (Some(accuracy), _) => {
                ("test accuracy", format!("{:.2} %{}", 100.0 * accuracy, interval(100.0, 2)))
            }
            (None, Some(loss)) => ("test loss", words::loss(loss) + &interval(1.0, 4)),
            (None, None) => ("test", "none".to_owned()),
        };
        let mut rows = vec![tested, ("episodes", self.episodes.to_string())];
        if self.loss.is_some_and(|loss| !loss.is_finite()) {
            rows.push(("diverged", "one of these or more: the loss is not finite".to_owned()));
        }
        rows.extend(self.size.map(|size| ("each", each(size, self.accuracy.is_some()))));
        // What is no classification has no batch norm, which examples could see one another through.
        if self.accuracy.is_some() {
            let transductive = if self.transductive { "yes" } else { "no" };
            rows.push(("transductive", transductive.to_owned()));
        }
        if let Some(list) = &self.episode_list {
            rows.push(("episode list", list.clone()));
        }
        if let Some(step) = self.selected_step {
            let how = if self.validated == Some(true) { "by validation" } else { "the last" };
            rows.push(("selected step", format!("{step} ({how})")));
        }
        rows.push(("parameters", self.digest.clone()));
        rows.push(("time", self.time()));
        rows.push(("run", self.run.clone()));
        rows
    }

    fn time(&self) -> String {
        let time = elapsed(self.seconds);
        if self.episodes_per_second == 0.0 {
            return time;
        }
        let rate = rate(self.episodes_per_second);
        let of_training = if self.meta_steps.is_some() { " in training" } else { "" };
        format!("{time}, {rate} episodes/s{of_training}")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(rate: &f64) -> bool {
    *rate == 0.0
}

/// The size of an episode in words.
fn each(EpisodeSize { ways, shots, queries }: EpisodeSize, has_classes: bool) -> String {
    let queries = counted(queries, "query", "queries");
    if has_classes {
        format!("{ways}-way {shots}-shot, {queries} a class")
    } else {
        format!("{shots}-shot, {queries}")
    }
}

/// Rows below one another, their values too.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = longest.max(16);
    let lines: Vec<_> =
        rows.iter().map(|(name, value)| format!("{name:<width$} {value}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(meta_steps: Option<u64>, seconds: f64, episodes_per_second: f64) -> Summary {
        Summary {
            digest: "d".to_owned(),
            accuracy: None,
            interval: None,
            episodes: 0,
            size: None,
            episode_list: None,
            loss: None,
            transductive: false,
            selected_step: meta_steps,
            validated: None,
            meta_steps,
            seconds,
            episodes_per_second,
            run: "r".to_owned(),
        }
    }

    #[test]
    fn a_rate_is_trainings_in_a_run_and_left_out_where_nothing_was_trained() {
        for (meta_steps, seconds, rate, time) in [
            (Some(4), 26.34, 0.314, "26.3 s, 0.31 episodes/s in training"),
            (Some(4), 4320.0, 152.4, "1 h 12 min, 152 episodes/s in training"),
            (Some(4), 8.0, 0.0, "8.0 s"),
            (None, 8.0, 125.0, "8.0 s, 125 episodes/s"),
        ] {
            let summary = summary(meta_steps, seconds, rate);
            let table = table(&summary.rows());
            let row = format!("time             {time}");
            assert!(table.lines().any(|line| line == row), "{table}");
            let object = serde_json::to_value(&summary).unwrap();
            assert_eq!(object.get("episodes_per_second").is_some(), rate > 0.0, "{object}");
        }
    }

    /// What a table says of a test with this loss and this accuracy.
    fn said(loss: Estimate, accuracy: Option<Estimate>) -> String {
        table(&summary(None, 1.0, 1.0).with_test(9, loss, accuracy).rows())
    }

    #[test]
    fn a_figure_has_its_interval_and_one_that_diverged_none() {
        let loss = Estimate { mean: 0.25, interval: 0.125 };
        let diverged = Estimate { mean: f64::INFINITY, interval: f64::NAN };
        let accuracy = Estimate { mean: 0.5, interval: 0.25 };
        for (loss, accuracy, expected) in [
            (loss, None, "test loss        0.2500 ± 0.1250 (95 % interval)"),
            (diverged, None, "test loss        inf"),
            (diverged, Some(accuracy), "test accuracy    50.00 % ± 25.00 (95 % interval)"),
        ] {
            let table = said(loss, accuracy);
            let is_told = table.contains("\ndiverged         one of these or more");
            assert_eq!(is_told, !loss.mean.is_finite(), "{table}");
            assert_eq!(table.lines().next(), Some(expected), "{table}");
            assert_eq!(table.contains("transductive"), accuracy.is_some(), "{table}");
        }
    }
}
