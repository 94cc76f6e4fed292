//! `lyceum evaluate`: a trained model on held-out classes.

mod outcome;
mod overrides;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lyceum_common::config::{LearnedOptimizerConfig, LearnerConfig};
use lyceum_common::data::check_lake_runs;
use lyceum_common::pack::Pack;
use lyceum_common::report::ReportSums;

use crate::comparison::{Departures, Job};
use crate::episode_choice::{EpisodeChoice, SplitName};
use crate::lake_runs;
use crate::place::Places;
use crate::serve::check_place;
use crate::summary::Summary;
use crate::trained::{Kept, Mode, Model, Trained, set_steps, steps_of};
use crate::words;
use outcome::Outcome;

/// Adapts the trained model to episodes of classes that it never saw, and tests it on their query sets.
///
/// Every episode's loss, and where there are classes its accuracy, are kept in the run's folder, in `evaluations`, and of a
/// learned optimizer its losses and curves, in `comparison`. `lyceum report` prints what is kept.
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
    /// The parameters after so many meta-steps, of which a checkpoint is kept; the best so far where absent
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    #[command(flatten)]
    mode: Mode,
    /// Overrides a key of the run's configuration, as in `--set network.mlp.hidden=[40]` for another optimizee; what is of
    /// training alone is refused
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Optimizees that the hand-made optimizers' rates are searched on, where an optimizer is learned; as many as it is
    /// tested on where absent
    #[arg(long)]
    search_episodes: Option<u64>,
    /// The folder for a learned optimizer's JSON and CSV files and picture; where absent `comparison` in the run's folder, or
    /// one below it for each choice of other steps, counts, settings and data, where `lyceum report` looks for them
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
            check_lake_runs(&trained.config).context("--lake-runs")?;
        }
        let optimizes = matches!(trained.config.learner, LearnerConfig::LearnedOptimizer(_));
        self.check_flags(optimizes)?;
        self.configure(&mut trained)?;
        let model = trained.model(self.step)?;
        if let Some(runs) = &self.lake_runs {
            return lake_runs::evaluate(&trained, &model, runs, &self.mode, self.json);
        }
        let pack = self.places.cache.pack(&trained.config)?;
        let named = self.data_set.as_deref().map(name_of);
        let other_data = trained.other_data(&model, pack.as_deref(), named);
        let other_data = other_data.as_deref();
        if let LearnerConfig::LearnedOptimizer(learner) = &trained.config.learner {
            return self.compare(&trained, learner, &model, pack, other_data);
        }
        let (outcome, kept) = self.test(&trained, &model, pack, other_data)?;
        outcome.print(self.json)?;
        kept.check()
    }

    /// Makes the configuration the one that is to be evaluated.
    fn configure(&self, trained: &mut Trained) -> anyhow::Result<()> {
        overrides::apply(&self.overrides, trained)?;
        let config = &mut trained.config;
        if let Some(name) = &self.data_set {
            let data = lyceum_common::config::load_data(name).context("--data-set")?;
            let (found, expected) = (data.shape(), config.data.shape());
            anyhow::ensure!(
                found == expected,
                "--data-set {name}: data.{} has examples of {}; the model was trained on {}",
                data.kind(),
                words::shape(found),
                words::shape(expected)
            );
            anyhow::ensure!(
                data.is_classification() == config.data.is_classification(),
                "--data-set {name}: data.{} has {} and data.{}, which the model was trained on, has not",
                data.kind(),
                if data.is_classification() { "classes" } else { "values" },
                config.data.kind()
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
        self.overrides.iter().try_for_each(|set| overrides::check_hidden(set, config))?;
        config.validate_evaluation()?;
        self.mode.norm.check(config)
    }

    /// Compares a learned optimizer with hand-made ones.
    fn compare(
        &self,
        trained: &Trained,
        learner: &LearnedOptimizerConfig,
        model: &Model,
        pack: Option<Arc<Pack>>,
        data_set: Option<&str>,
    ) -> anyhow::Result<()> {
        let Trained { config, overrides, folder, .. } = trained;
        let own_episodes = config.training.test_episodes;
        let episodes = self.choice.episodes.unwrap_or(own_episodes);
        let search_episodes = self.search_episodes.unwrap_or(episodes);
        let steps = steps_of(config);
        let departures = Departures {
            checkpoint: model.origin.checkpoint(),
            steps: steps.filter(|_| steps != trained.own_steps()),
            episodes: (episodes != own_episodes).then_some(episodes),
            search_episodes: (search_episodes != episodes).then_some(search_episodes),
            overrides,
            data_set,
        };
        let own_place = || departures.place(folder.comparison());
        Job {
            config,
            learner,
            model,
            run: folder.path(),
            overrides,
            data_set,
            pack,
            episodes,
            search_episodes,
            threads: self.mode.threads(),
            out: &self.out.clone().unwrap_or_else(own_place),
            json: self.json,
        }
        .run()
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
        self.overrides.iter().try_for_each(|set| overrides::check(set, optimizes))
    }

    /// Tests a model on few-shot episodes: listed ones where there are classes and images to list, else as they are drawn.
    fn test(
        &self,
        trained: &Trained,
        model: &Model,
        pack: Option<Arc<Pack>>,
        other_data: Option<&str>,
    ) -> anyhow::Result<(Outcome, Kept)> {
        let config = &trained.config;
        let of = trained.protocol(other_data);
        let (_, data) = of;
        let (evaluated, list) = if config.data.is_classification() {
            let list = self.choice.list(config, pack.clone())?;
            let listed = self.choice.listed(config, pack, list.clone())?;
            (trained.evaluate(model, listed, of, &self.mode)?, Some(list))
        } else {
            anyhow::ensure!(
                self.choice.episodes_file.is_none(),
                "--episodes-file: data.{} has no classes and images to list",
                config.data.kind()
            );
            let episodes = (self.choice.split.into(), self.choice.count());
            (trained.evaluate_drawn(model, episodes, of, &self.mode)?, None)
        };
        let sums = ReportSums::of(&evaluated.reports);
        let accuracy = config.data.is_classification().then(|| sums.mean_accuracy());
        let summary = Summary {
            digest: model.digest(),
            accuracy: None,
            interval: None,
            episodes: 0,
            size: Some(evaluated.size),
            episode_list: list.map(|list| list.digest().to_string()),
            loss: None,
            transductive: self.mode.norm.is_transductive(config),
            selected_step: None,
            validated: None,
            meta_steps: None,
            seconds: evaluated.seconds,
            episodes_per_second: sums.episodes as f64 / evaluated.seconds,
            run: trained.folder.path().display().to_string(),
        };
        let summary = summary.with_test(sums.episodes, sums.mean_loss(), accuracy);
        Ok((Outcome::new(summary, config, model, &evaluated, data), evaluated.kept))
    }
}

/// What a data set is called: its preset, or its file without folder and ending.
fn name_of(preset_or_path: &str) -> &str {
    let stem = Path::new(preset_or_path).file_stem();
    stem.and_then(|stem| stem.to_str()).unwrap_or(preset_or_path)
}
