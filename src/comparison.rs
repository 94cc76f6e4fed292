//! `lyceum evaluate` of a learned optimizer: how it does beside hand-made ones, as a table, as JSON and CSV files and as a
//! picture.

mod table;

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::{LearnedOptimizerConfig, RunConfig};
use lyceum_common::ids::{Digest, Split};
use lyceum_common::pack::Pack;
use lyceum_common::report::Estimate;
use lyceum_common::statistics::PairedTest;
use lyceum_common::whole_file;
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_worker::comparison::{Compared, Comparing, Comparison, compare};
use serde::{Deserialize, Deserializer, Serialize};

use crate::episode_choice::check_count;
use crate::output::print;
use crate::plot::{self, Curve};
use crate::trained::{Kept, Model, Origin, progress_bar};
use crate::words::number;
use table::table;

/// The file of what `--json` prints.
const RESULTS: &str = "results.json";

/// What is compared, and where the results go.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) learner: &'a LearnedOptimizerConfig,
    pub(crate) model: &'a Model,
    /// The run's folder.
    pub(crate) run: &'a Path,
    /// What was changed in the run's configuration.
    pub(crate) overrides: &'a [String],
    /// The name of another data set than in training.
    pub(crate) data_set: Option<&'a str>,
    pub(crate) pack: Option<Arc<Pack>>,
    pub(crate) episodes: u64,
    pub(crate) search_episodes: u64,
    pub(crate) threads: NonZeroUsize,
    /// The folder for `results.json`, `losses.csv`, `search.csv` and `losses.png`.
    pub(crate) out: &'a Path,
    pub(crate) json: bool,
}

/// What sets a comparison apart from that of the run as it is configured.
#[derive(Clone, Copy, Default)]
pub(crate) struct Departures<'a> {
    /// The meta-step of another checkpoint's parameters than those that the run is for.
    pub(crate) checkpoint: Option<u64>,
    /// Other steps than the run's.
    pub(crate) steps: Option<usize>,
    /// Another number of optimizees than the run's test has.
    pub(crate) episodes: Option<u64>,
    /// Another number of these to search rates on than to compare on.
    pub(crate) search_episodes: Option<u64>,
    /// What was changed in the run's configuration.
    pub(crate) overrides: &'a [String],
    /// The name of another data set than in training.
    pub(crate) data_set: Option<&'a str>,
}

impl Departures<'_> {
    /// Where such a comparison is kept: the run's own in `own`, every other one in a folder of its own below that.
    pub(crate) fn place(&self, own: PathBuf) -> PathBuf {
        let steps = self.steps.map(|steps| format!("{steps}-steps"));
        let episodes = self.episodes.map(|episodes| format!("{episodes}-episodes"));
        let searched = self.search_episodes.map(|episodes| format!("{episodes}-searched"));
        let after = self.checkpoint.map(|step| format!("after-{step}"));
        let changed = (!self.overrides.is_empty() || self.data_set.is_some()).then(|| {
            let settings = serde_json::json!([self.overrides, self.data_set]).to_string();
            format!("changed-{:.8}", Digest::of(settings.as_bytes()).to_string())
        });
        let parts = [steps, episodes, searched, after, changed];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { own } else { own.join(parts.join("-")) }
    }
}

/// One optimizer's result.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) optimizer: String,
    rate: Option<f64>,
    /// The mean loss after the last step, and the half-width of its 95 % interval.
    #[serde(deserialize_with = "finite_or_nan")]
    loss: f64,
    #[serde(deserialize_with = "finite_or_nan")]
    interval: f64,
    /// Optimizees whose training diverged, of which the loss is then the mean too.
    #[serde(default)]
    pub(crate) diverged: usize,
    /// How far the loss lies above the learned optimizer's on the same optimizees; nothing for the learned one itself.
    #[serde(flatten)]
    above_learned: Option<AboveLearned>,
}

/// A paired test of final losses.
#[derive(Debug, Serialize, Deserialize)]
struct AboveLearned {
    /// The mean of the differences, with the half-width of its 95 % interval by Student's t.
    difference: f64,
    difference_interval: f64,
    /// The probability of as large a |t|, were the mean zero: two-sided.
    p: f64,
}

/// How all optimizers did, and what was compared.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The digest of the parameters.
    pub(crate) digest: String,
    /// The digest too, by its name in the table; nothing in files of older versions, as what follows.
    #[serde(default)]
    parameters: String,
    #[serde(flatten)]
    pub(crate) origin: Option<Origin>,
    /// The kind of data, or the name of another data set.
    #[serde(default)]
    data: String,
    #[serde(default)]
    split: String,
    #[serde(default)]
    run: String,
    /// What was changed in the run's configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) overrides: Vec<String>,
    /// The name of another data set than in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data_set: Option<String>,
    pub(crate) steps: usize,
    pub(crate) episodes: u64,
    pub(crate) search_episodes: u64,
    optimizers: Vec<Line>,
    /// The best hand-made optimizer's loss over the learned one's.
    advantage: Option<f64>,
    /// The folder that all this is written to; none where it could not be.
    out: Option<String>,
}

/// JSON has null for the loss of a training that diverged.
fn finite_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Line {
    /// The mean loss after the last step.
    pub(crate) fn loss(&self) -> Estimate {
        Estimate { mean: self.loss, interval: self.interval }
    }
}

impl Results {
    /// Those in a run's folder, or what is wrong with one's file: of the run as it is configured, then of what departs from
    /// it.
    pub(crate) fn read(folder: &RunFolder) -> anyhow::Result<Vec<anyhow::Result<Self>>> {
        let own = folder.comparison();
        if !own.is_dir() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&own).with_context(|| own.display().to_string())?;
        let mut places = entries
            .map(|entry| Ok(entry?.path().join(RESULTS)))
            .collect::<std::io::Result<Vec<_>>>()
            .with_context(|| own.display().to_string())?;
        places.sort();
        places.insert(0, own.join(RESULTS));
        places.retain(|path| path.is_file());
        let read = |path: &PathBuf| {
            let place = || path.display().to_string();
            let text = std::fs::read(path).with_context(place)?;
            serde_json::from_slice(&text).with_context(place)
        };
        Ok(places.iter().map(read).collect())
    }

    /// The learned optimizer's.
    pub(crate) fn learned(&self) -> Option<&Line> {
        self.optimizers.iter().find(|line| line.rate.is_none())
    }

    /// That of the hand-made optimizer with the least loss.
    pub(crate) fn best_hand_made(&self) -> Option<&Line> {
        let hand_made = self.optimizers.iter().filter(|line| line.rate.is_some());
        let loss = |line: &Line| line.loss().mean_or_infinite();
        hand_made.min_by(|a, b| loss(a).total_cmp(&loss(b)))
    }
}

impl Job<'_> {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let count = |key: &str, episodes: u64| {
            check_count(key, episodes)?;
            NonZeroUsize::new(episodes.try_into()?).with_context(|| format!("{key}: is zero"))
        };
        let comparing = Comparing {
            episodes: count("--episodes", self.episodes)?,
            search_episodes: count("--search-episodes", self.search_episodes)?,
            threads: self.threads,
        };
        let phi = self.model.parameters.values();
        let pack = self.pack.clone();
        let bar = progress_bar(comparing.trainings(self.learner), "trainings");
        let told = || bar.inc(1);
        let comparison = compare(self.config, self.learner, pack, phi, comparing, &told)?;
        bar.finish_and_clear();
        let mut results = self.results(&comparison);
        let kept = Kept::of(self.write(&comparison, &results));
        results.out = kept.place();
        print(&if self.json { serde_json::to_string(&results)? } else { table(&results) })?;
        kept.check()
    }

    fn results(&self, comparison: &Comparison) -> Results {
        let learned = comparison.optimizers.iter().find(|compared| compared.rate.is_none());
        let above_learned = |compared: &Compared| {
            compared.rate?;
            let PairedTest { difference, p, .. } = compared.above(learned?)?;
            let (difference, difference_interval) = (difference.mean, difference.interval);
            Some(AboveLearned { difference, difference_interval, p })
        };
        let line = |compared: &Compared| Line {
            optimizer: compared.name.clone(),
            rate: compared.rate,
            loss: compared.last().mean,
            interval: compared.last().interval,
            diverged: compared.last_losses.iter().filter(|loss| !loss.is_finite()).count(),
            above_learned: above_learned(compared),
        };
        let best = comparison.best_hand_made();
        Results {
            digest: self.model.digest(),
            parameters: self.model.digest(),
            origin: Some(self.model.origin.clone()),
            data: self.data_set.unwrap_or(self.config.data.kind()).to_owned(),
            split: Split::Test.to_string(),
            run: self.run.display().to_string(),
            overrides: self.overrides.to_vec(),
            data_set: self.data_set.map(str::to_owned),
            steps: self.learner.evaluation_steps,
            episodes: self.episodes,
            search_episodes: self.search_episodes,
            optimizers: comparison.optimizers.iter().map(line).collect(),
            advantage: learned
                .zip(best)
                .map(|(learned, best)| best.last().mean / learned.last().mean),
            out: Some(self.out.display().to_string()),
        }
    }

    /// Writes all files, and returns their folder. What `lyceum report` reads is the last of them.
    fn write(&self, comparison: &Comparison, results: &Results) -> anyhow::Result<PathBuf> {
        let in_out = |name: &str| self.out.join(name);
        let save = |name: &str, text: &str| {
            let path = in_out(name);
            whole_file::write(&path, text.as_bytes()).with_context(|| path.display().to_string())
        };
        std::fs::create_dir_all(self.out).with_context(|| self.out.display().to_string())?;
        save("losses.csv", &losses(comparison)?)?;
        save("search.csv", &search(comparison)?)?;
        let name = |compared: &Compared| {
            compared.rate.map_or(compared.name.clone(), |rate| {
                format!("{} {}", compared.name, number(rate, 3))
            })
        };
        let curve = |compared| Curve { name: name(compared), values: &compared.losses };
        let curves: Vec<_> = comparison.optimizers.iter().map(curve).collect();
        let title =
            format!("{}: mean over {} optimizees, 95 % interval", self.config.name, self.episodes);
        plot::draw(&in_out("losses.png"), &title, ["step", "loss"], &curves)?;
        save(RESULTS, &format!("{}\n", serde_json::to_string(results)?))?;
        Ok(self.out.to_owned())
    }
}

/// A line for each step of each optimizer.
fn losses(comparison: &Comparison) -> anyhow::Result<String> {
    let mut text = "optimizer,rate,step,loss,interval\n".to_owned();
    for Compared { name, rate, losses, .. } in &comparison.optimizers {
        let rate = rate.map_or(String::new(), |rate| rate.to_string());
        for (step, loss) in losses.iter().enumerate() {
            let interval = loss.half_width().map_or(String::new(), |half| half.to_string());
            writeln!(text, "{name},{rate},{step},{},{interval}", loss.mean)?;
        }
    }
    Ok(text)
}

/// A line for each rate that was tried.
fn search(comparison: &Comparison) -> anyhow::Result<String> {
    let mut text = "optimizer,rate,loss\n".to_owned();
    for Compared { name, search, .. } in &comparison.optimizers {
        for tried in search {
            writeln!(text, "{name},{},{}", tried.rate, tried.loss)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_of_steps_counts_settings_and_data_has_a_place_of_its_own() {
        let own = Path::new("comparison");
        let more = ["network.mlp.hidden=[40]".to_owned()];
        let none = Departures::default();
        let places = [
            none,
            Departures { steps: Some(200), ..none },
            Departures { checkpoint: Some(200), ..none },
            Departures { episodes: Some(200), ..none },
            Departures { search_episodes: Some(200), ..none },
            Departures { episodes: Some(200), search_episodes: Some(100), ..none },
            Departures { overrides: &more, ..none },
            Departures { steps: Some(200), overrides: &more, ..none },
            Departures { data_set: Some("mnist"), ..none },
        ]
        .map(|departures| departures.place(own.to_owned()));
        assert_eq!(places[0], own);
        assert_eq!(places[1], own.join("200-steps"));
        assert_eq!(places[2], own.join("after-200"));
        assert_eq!(places[5], own.join("200-episodes-100-searched"));
        assert_eq!(places.iter().collect::<std::collections::BTreeSet<_>>().len(), places.len());
        assert!(places.iter().all(|place| place.starts_with(own)));
    }

    #[test]
    fn what_is_written_reads_back_though_trainings_diverged() {
        let line = |optimizer: &str, rate, loss| Line {
            optimizer: optimizer.to_owned(),
            rate,
            loss,
            interval: if f64::is_finite(loss) { 0.5 } else { f64::NAN },
            diverged: usize::from(!f64::is_finite(loss)),
            above_learned: None,
        };
        let results = Results {
            digest: "d".to_owned(),
            parameters: "d".to_owned(),
            origin: None,
            data: "quadratics".to_owned(),
            split: "test".to_owned(),
            run: "r".to_owned(),
            overrides: Vec::new(),
            data_set: None,
            steps: 100,
            episodes: 9,
            search_episodes: 9,
            optimizers: vec![
                line("learned", None, f64::INFINITY),
                line("SGD", Some(0.1), -f64::NAN),
                line("NAG", Some(0.2), 3.0),
                line("Adam", Some(0.3), 4.0),
            ],
            advantage: None,
            out: Some("there".to_owned()),
        };
        let table = table(&results);
        let loss = |optimizer: &str| {
            let row = table.lines().find(|line| line.starts_with(optimizer));
            row.unwrap_or_else(|| panic!("no {optimizer}: {table}")).to_owned()
        };
        assert!(loss("learned").ends_with(" inf (1 diverged)"), "{table}");
        assert!(
            loss("NAG").contains(" 0.200 ") && loss("NAG").ends_with(" 3.0000 ± 0.50"),
            "{table}"
        );
        assert!(table.contains("the mean over the steps"), "{table}");
        // As infinity less infinity is on some machines: below all numbers, were it compared as one.
        assert_eq!(results.best_hand_made().unwrap().optimizer, "NAG");
        let text = serde_json::to_string(&results).unwrap();
        let results: Results = serde_json::from_str(&text).unwrap();
        assert!(results.learned().unwrap().loss().mean.is_nan(), "{text}");
        let best = results.best_hand_made().unwrap();
        let nag = Estimate { mean: 3.0, interval: 0.5 };
        assert_eq!((best.optimizer.as_str(), best.loss()), ("NAG", nag));
    }
}
