//! `lyceum evaluate`: a trained model on held-out classes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::LearnerConfig;
use lyceum_common::data::check_lake_runs;
use lyceum_common::ids::Digest;
use lyceum_common::pack::Pack;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;
use lyceum_coordinator::enterprise::differing_key;
use lyceum_coordinator::kept_evaluation::Protocol;
use lyceum_worker::work::build;

use crate::comparison::{Departures, Job};
use crate::episode_choice::{EpisodeChoice, SplitName};
use crate::lake_runs;
use crate::output::tell;
use crate::place::Places;
use crate::serve::check_place;
use crate::summary::Summary;
use crate::trained::{Mode, Trained, set_steps};

/// Adapts the trained model to episodes of classes that it never saw, and tests it on their query sets.
///
/// Of few-shot classification every episode's accuracy and loss are kept in the run's folder, in `evaluations`, and of a
/// learned optimizer its losses and curves, in `comparison`; of regression nothing is kept. `lyceum report` prints what is.
#[derive(Debug, clap::Args)]
pub(crate) struct Evaluate {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    #[command(flatten)]
    choice: EpisodeChoice,
    /// Lake's 20 runs of 20-way one-shot classification within an alphabet, as the folder of Omniglot has them, or their
    /// own folder, or all_runs.zip
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["episodes", "ways", "shots", "queries", "split", "episodes_file", "data", "data_set"]
    )]
    lake_runs: Option<PathBuf>,
    /// Inner steps; the run's where absent
    #[arg(long)]
    steps: Option<usize>,
    #[command(flatten)]
    mode: Mode,
    /// Overrides a key of the run's configuration, as in `--set network.mlp.hidden=[40]` for another optimizee
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Optimizees that the hand-made optimizers' rates are searched on, where an optimizer is learned; as many as it is
    /// tested on where absent
    #[arg(long)]
    search_episodes: Option<u64>,
    /// The folder for a learned optimizer's JSON and CSV files and picture; where absent `comparison` in the run's folder, or
    /// one below it for each choice of other steps, settings and data, where `lyceum report` looks for them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder that the data set lies in, where it is another one than in training; other images there are reported as
    /// another data set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Another data set than in training: a preset, or a TOML file with a `[data]` table
    #[arg(long, value_name = "CONFIG")]
    data_set: Option<String>,
    #[command(flatten)]
    places: Places,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.choice.check()?;
        let mut trained = Trained::open(&self.places, &self.run, None)?;
        if self.lake_runs.is_some() {
            // Before an override can say that it trained on other data.
            check_lake_runs(&trained.config.data).context("--lake-runs")?;
        }
        let config = &mut trained.config;
        let optimizes = matches!(config.learner, LearnerConfig::LearnedOptimizer(_));
        self.check_flags(optimizes)?;
        let trained_on = trained.pack();
        let config = &mut trained.config;
        let own_steps = config.learner.evaluation_steps_mut().copied();
        if !self.overrides.is_empty() {
            let name = trained.folder.path().join("config.toml").display().to_string();
            let changed = lyceum_common::config::parse(&name, &config.to_toml(), &self.overrides)?;
            // What no bit depends on is no change.
            if differing_key(config, &changed).is_some() {
                let changes = self.overrides.iter().filter(|set| !is_place(set));
                trained.overrides = changes.cloned().collect();
            }
            *config = changed;
        }
        if let Some(name) = &self.data_set {
            let data = lyceum_common::config::load_data(name).context("--data-set")?;
            let (found, expected) = (data.shape(), config.data.shape());
            anyhow::ensure!(
                found == expected && data.is_classification(),
                "--data-set {name}: data.{} has examples of {found:?}, and the model was trained on classes of {expected:?}",
                data.kind()
            );
            config.data = data;
        }
        if let Some(folder) = &self.data {
            config.data.set_folder(folder.clone()).context("--data")?;
        }
        check_place(config)?;
        self.choice.resize(config)?;
        if let Some(steps) = self.steps {
            set_steps(config, steps)?;
        }
        config.validate()?;
        let parameters = trained.parameters()?;
        if let Some(runs) = &self.lake_runs {
            return lake_runs::evaluate(&trained, &parameters, runs, &self.mode, self.json);
        }
        let pack = self.places.cache.pack(&trained.config)?;
        let other_data = self.other_data(trained_on, pack.as_deref());
        if let LearnerConfig::LearnedOptimizer(learner) = &trained.config.learner {
            let config = &trained.config;
            let episodes = self.choice.episodes.unwrap_or(config.training.test_episodes);
            let steps = learner.evaluation_steps;
            let changed_steps = (own_steps != Some(steps)).then_some(steps);
            let departures = Departures {
                steps: changed_steps,
                overrides: &trained.overrides,
                data_set: other_data.as_deref(),
            };
            let own_place = || departures.place(trained.folder.comparison());
            return Job {
                config,
                learner,
                parameters: &parameters,
                overrides: &trained.overrides,
                data_set: other_data.as_deref(),
                pack,
                episodes,
                search_episodes: self.search_episodes.unwrap_or(episodes),
                threads: self.mode.threads(),
                out: &self.out.unwrap_or_else(own_place),
                json: self.json,
            }
            .run();
        }
        self.test(&trained, &parameters, pack, other_data.as_deref())?.print(self.json)
    }

    /// What the data is called where it is not that of the training: by --data-set, or because its pack is another one than
    /// the run's checkpoints name.
    fn other_data(&self, trained_on: Option<Digest>, pack: Option<&Pack>) -> Option<String> {
        if let Some(name) = &self.data_set {
            return Some(name_of(name).to_owned());
        }
        let (trained_on, digest) = (trained_on?, pack?.digest());
        (trained_on != digest).then(|| {
            tell(&format!(
                "the run was trained on the data pack {trained_on}, and this is {digest}: kept and reported as another data set"
            ));
            format!("pack {:.12}", digest.to_string())
        })
    }

    /// Refuses what has no meaning for such a learner, rather than to pass over it.
    fn check_flags(&self, optimizes: bool) -> anyhow::Result<()> {
        let EpisodeChoice { ways, shots, queries, split, episodes_file, .. } = &self.choice;
        let of_episodes = [
            ("--ways", ways.is_some()),
            ("--shots", shots.is_some()),
            ("--queries", queries.is_some()),
            ("--split", !matches!(split, SplitName::Test)),
            ("--episodes-file", episodes_file.is_some()),
            ("--inductive or --transductive", self.mode.norm.is_chosen()),
        ];
        let of_optimizers =
            [("--search-episodes", self.search_episodes.is_some()), ("--out", self.out.is_some())];
        let (flags, problem) = if optimizes {
            (&of_episodes[..], "a learned optimizer has no few-shot episodes")
        } else {
            (&of_optimizers[..], "is for learned optimizers alone")
        };
        if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) {
            anyhow::bail!("{flag}: {problem}");
        }
        // The report says of every result what data it is on.
        let is_other_data = |set: &&String| key_of(set).starts_with("data") && !is_place(set);
        match self.overrides.iter().find(is_other_data) {
            Some(set) if !optimizes => anyhow::bail!(
                "--set {set}: the data is that of the training; another one is said by --data-set"
            ),
            _ => Ok(()),
        }
    }

    /// Tests a model on few-shot episodes: listed ones where there are classes and images to list, else as they are drawn.
    fn test(
        &self,
        trained: &Trained,
        parameters: &MetaParameters,
        pack: Option<Arc<Pack>>,
        other_data: Option<&str>,
    ) -> anyhow::Result<Summary> {
        let config = &trained.config;
        let (evaluated, list) = if config.data.is_classification() {
            let list = self.choice.list(config, pack.clone())?;
            let listed = self.choice.listed(config, pack, list.clone())?;
            let of = match other_data {
                Some(name) => (Protocol::CrossDomain, name),
                None => (Protocol::Episodes, config.data.kind()),
            };
            (trained.evaluate(parameters, listed, of, &self.mode)?, Some(list))
        } else {
            anyhow::ensure!(
                self.choice.episodes_file.is_none(),
                "--episodes-file: data.{} has no classes and images to list",
                config.data.kind()
            );
            let work = build(config, pack, self.mode.norm.build_options())?;
            let episodes = (self.choice.split.into(), self.choice.count());
            (trained.run(work, parameters, episodes, self.mode.threads())?, None)
        };
        let sums = ReportSums::of(&evaluated.reports);
        let accuracy = config.data.is_classification().then(|| sums.mean_accuracy());
        let summary = Summary {
            digest: parameters.digest().to_string(),
            accuracy: None,
            interval: None,
            episodes: 0,
            episode_list: list.map(|list| list.digest().to_string()),
            loss: None,
            transductive: self.mode.norm.is_transductive(config),
            selected_step: None,
            validated: None,
            steps: None,
            seconds: evaluated.seconds,
            episodes_per_second: sums.episodes as f64 / evaluated.seconds,
            run: trained.folder.path().display().to_string(),
        };
        Ok(summary.with_test(sums.episodes, sums.mean_loss(), accuracy))
    }
}

/// The key that an override sets.
fn key_of(set: &str) -> &str {
    set.split('=').next().unwrap_or_default().trim()
}

/// Whether an override says where data lies, and so changes nothing.
fn is_place(set: &str) -> bool {
    let key = key_of(set);
    key.starts_with("data") && (key.ends_with("path") || key.ends_with("lists"))
}

/// What a data set is called: its preset, or its file without folder and ending.
fn name_of(preset_or_path: &str) -> &str {
    let stem = Path::new(preset_or_path).file_stem();
    stem.and_then(|stem| stem.to_str()).unwrap_or(preset_or_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_of_where_data_lies_is_told_from_one_that_changes_something() {
        for place in ["data.omniglot.path=x", " data.folder.lists = x", "data.idx.images_path="] {
            assert!(is_place(place), "{place}");
        }
        for change in ["data.glyphs.seed=1", "learner.maml.inner_rate=0.1", "name=path", ""] {
            assert!(!is_place(change), "{change}");
        }
    }
}
