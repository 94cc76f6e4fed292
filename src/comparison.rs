//! `lyceum evaluate` of a learned optimizer: how it does beside hand-made ones, as a table, as CSV files and as a picture.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use lyceum_common::config::{LearnedOptimizerConfig, RunConfig};
use lyceum_common::parameters::MetaParameters;
use lyceum_common::statistics::PairedTest;
use lyceum_worker::comparison::{Compared, Comparing, Comparison, compare};
use serde::Serialize;

use crate::episode_choice::check_count;
use crate::output::print;
use crate::place::Cache;
use crate::plot::{self, Curve};

/// What is compared, and where the results go.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) learner: &'a LearnedOptimizerConfig,
    pub(crate) parameters: &'a MetaParameters,
    pub(crate) cache: &'a Cache,
    pub(crate) episodes: u64,
    pub(crate) search_episodes: u64,
    pub(crate) threads: NonZeroUsize,
    /// The folder for `losses.csv`, `search.csv` and `losses.png`.
    pub(crate) out: &'a Path,
    pub(crate) json: bool,
}

/// One optimizer's result.
#[derive(Debug, Serialize)]
struct Line {
    optimizer: String,
    rate: Option<f64>,
    /// The mean loss after the last step, and the half-width of its 95 % interval.
    loss: f64,
    interval: f64,
    /// How far that lies above the learned optimizer's on the same optimizees; nothing for the learned one itself.
    #[serde(flatten)]
    above_learned: Option<AboveLearned>,
}

/// A paired test of final losses.
#[derive(Debug, Serialize)]
struct AboveLearned {
    /// The mean of the differences, with the half-width of its 95 % interval by Student's t.
    difference: f64,
    difference_interval: f64,
    /// The probability of as large a |t|, were the mean zero: two-sided.
    p: f64,
}

#[derive(Debug, Serialize)]
struct Results {
    digest: String,
    steps: usize,
    episodes: u64,
    search_episodes: u64,
    optimizers: Vec<Line>,
    /// The best hand-made optimizer's loss over the learned one's.
    advantage: Option<f64>,
    out: String,
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
        let pack = self.cache.pack(self.config)?;
        let phi = self.parameters.values();
        let comparison = compare(self.config, self.learner, pack, phi, comparing)?;
        self.write(&comparison)?;
        let results = self.results(&comparison);
        print(&if self.json { serde_json::to_string(&results)? } else { table(&results) })
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
            above_learned: above_learned(compared),
        };
        let best = comparison.best_hand_made();
        Results {
            digest: self.parameters.digest().to_string(),
            steps: self.learner.evaluation_steps,
            episodes: self.episodes,
            search_episodes: self.search_episodes,
            optimizers: comparison.optimizers.iter().map(line).collect(),
            advantage: learned
                .zip(best)
                .map(|(learned, best)| best.last().mean / learned.last().mean),
            out: self.out.display().to_string(),
        }
    }

    fn write(&self, comparison: &Comparison) -> anyhow::Result<()> {
        let in_out = |name: &str| self.out.join(name);
        let save = |name: &str, text: &str| {
            let path = in_out(name);
            std::fs::write(&path, text).with_context(|| path.display().to_string())
        };
        std::fs::create_dir_all(self.out).with_context(|| self.out.display().to_string())?;
        save("losses.csv", &losses(comparison)?)?;
        save("search.csv", &search(comparison)?)?;
        let name = |compared: &Compared| {
            compared
                .rate
                .map_or(compared.name.clone(), |rate| format!("{} {rate:.2e}", compared.name))
        };
        let curve = |compared| Curve { name: name(compared), values: &compared.losses };
        let curves: Vec<_> = comparison.optimizers.iter().map(curve).collect();
        let title =
            format!("{}: mean over {} optimizees, 95 % interval", self.config.name, self.episodes);
        plot::draw(&in_out("losses.png"), &title, ["step", "loss"], &curves)
    }
}

/// A line for each step of each optimizer.
fn losses(comparison: &Comparison) -> anyhow::Result<String> {
    let mut text = "optimizer,rate,step,loss,interval\n".to_owned();
    for Compared { name, rate, losses, .. } in &comparison.optimizers {
        let rate = rate.map_or(String::new(), |rate| rate.to_string());
        for (step, loss) in losses.iter().enumerate() {
            writeln!(text, "{name},{rate},{step},{},{}", loss.mean, loss.interval)?;
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

fn table(results: &Results) -> String {
    let row = |optimizer: &str, rate: &str, loss: &str, above: &str, p: &str| {
        let row = format!("{optimizer:<10} {rate:>10} {loss:>22} {above:>24} {p:>10}");
        row.trim_end().to_owned() + "\n"
    };
    let mut text =
        row("optimizer", "rate", "loss at the end", "above the learned one's", "paired p");
    for Line { optimizer, rate, loss, interval, above_learned } in &results.optimizers {
        let rate = rate.map_or("-".to_owned(), |rate| format!("{rate:.2e}"));
        let loss = format!("{loss:.4e} ± {interval:.1e}");
        let (above, p) = above_learned.as_ref().map_or_else(Default::default, |above| {
            let difference =
                format!("{:.4e} ± {:.1e}", above.difference, above.difference_interval);
            (difference, format!("{:.1e}", above.p))
        });
        text += &row(optimizer, &rate, &loss, &above, &p);
    }
    if let Some(advantage) = results.advantage {
        text += &format!(
            "the best hand-made optimizer's loss is {advantage:.2} times the learned one's\n"
        );
    }
    text += &format!(
        "{} steps, {} optimizees; rates searched on {} others\nparameters {}\nwritten to {}",
        results.steps, results.episodes, results.search_episodes, results.digest, results.out
    );
    text
}
