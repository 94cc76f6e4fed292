//! `lyceum compare`: two models on the same episodes, with a paired test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use lyceum_common::pack::Pack;
use lyceum_common::report::{ReportSums, diverged};
use lyceum_common::statistics::PairedTest;
use lyceum_worker::episodes::{EpisodeList, EpisodeSize};
use serde::Serialize;

use crate::episode_choice::EpisodeChoice;
use crate::output::print;
use crate::place::Places;
use crate::trained::{Evaluated, Mode, Model, Origin, Trained, steps_of};
use crate::words::{counted, number};

/// Tests two trained models on the very same episodes: what each comes to, the difference, and a paired t-test.
///
/// Episodes are drawn as the first run draws its own, unless a list is given. The results are kept in both runs' folders.
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The folder of one run, or its name below --runs
    a: PathBuf,
    /// The folder of another
    b: PathBuf,
    #[command(flatten)]
    choice: EpisodeChoice,
    /// The parameters of both after so many meta-steps, of which a checkpoint is kept; the best so far where absent
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    #[command(flatten)]
    mode: Mode,
    /// The folder that the data set lies in, where it is another one than in training
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// What one run comes to.
#[derive(Debug, Serialize)]
struct Side {
    run: String,
    digest: String,
    #[serde(flatten)]
    origin: Origin,
    accuracy: f64,
    /// The half-width of the 95 % interval.
    interval: f64,
    /// In how many episodes the loss is infinite, or no number.
    diverged: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner_steps: Option<usize>,
    transductive: bool,
    /// The file that it is kept in; none where it could not be.
    kept: Option<String>,
}

#[derive(Debug, Serialize)]
struct Results {
    a: Side,
    b: Side,
    episode_list: String,
    episodes: u64,
    ways: usize,
    shots: usize,
    queries: usize,
    split: String,
    /// a − b, with the half-width of its 95 % interval by Student's t.
    difference: f64,
    difference_interval: f64,
    /// The paired, two-sided t-test; t is absent where it is infinite.
    t: Option<f64>,
    degrees_of_freedom: u64,
    p: f64,
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.choice.check()?;
        ensure!(self.choice.episodes != Some(1), "--episodes: a comparison takes two or more");
        let open = |run| self.open(run);
        let ((a, first), (b, second)) = (open(&self.a)?, open(&self.b)?);
        let norm = &self.mode.norm;
        // It may be one of the two alone that has something to choose.
        norm.check(&a.config).or_else(|_| norm.check(&b.config))?;
        let packs = [self.places.cache.pack(&a.config)?, self.places.cache.pack(&b.config)?];
        self.check_same([(&a, &first), (&b, &second)], &packs)?;
        let [pack, other] = packs;
        let list = self.choice.list(&a.config, pack.clone())?;
        ensure!(list.episodes().len() > 1, "a comparison takes two episodes or more");
        let (a, first) = self.side(&a, &first, pack, &list)?;
        let (b, second) = self.side(&b, &second, other, &list)?;
        let test = PairedTest::of(&first.accuracies(), &second.accuracies());
        let test = test.context("fewer than two episodes")?;
        let EpisodeSize { ways, shots, queries } = list.size();
        let results = Results {
            a,
            b,
            episode_list: list.digest().to_string(),
            episodes: first.reports.len() as u64,
            ways,
            shots,
            queries,
            split: list.split().to_string(),
            difference: test.difference.mean,
            difference_interval: test.difference.interval,
            t: test.t.is_finite().then_some(test.t),
            degrees_of_freedom: test.degrees_of_freedom,
            p: test.p,
        };
        print(&if self.json { serde_json::to_string(&results)? } else { table(&results) })?;
        first.kept.check()?;
        second.kept.check()
    }

    fn open(&self, run: &Path) -> anyhow::Result<(Trained, Model)> {
        let mut trained = Trained::open(&self.places, run, self.data.as_deref())?;
        let config = &mut trained.config;
        ensure!(
            config.classifies(),
            "{}: classifies no few-shot episodes, and so cannot be compared on them",
            run.display()
        );
        self.choice.resize(config).with_context(|| run.display().to_string())?;
        config.validate_evaluation()?;
        let model = trained.model(self.step)?;
        Ok((trained, model))
    }

    /// Refuses runs that cannot be tested on the same episodes.
    fn check_same(
        &self,
        sides: [(&Trained, &Model); 2],
        packs: &[Option<Arc<Pack>>; 2],
    ) -> anyhow::Result<()> {
        let name = |trained: &Trained| trained.folder.path().display().to_string();
        let [(a, first), (b, second)] = sides;
        let here = packs.each_ref().map(|pack| pack.as_ref().map(|pack| pack.digest()));
        for (what, digests) in
            [("were trained on", [first.pack, second.pack]), ("are to be tested on", here)]
        {
            let [Some(first), Some(second)] = digests else { continue };
            ensure!(
                first == second,
                "{} and {} {what} different data: data.{}, pack {first}, and data.{}, pack {second}",
                name(a),
                name(b),
                a.config.data.kind(),
                b.config.data.kind()
            );
        }
        if self.choice.episodes_file.is_some() {
            return Ok(());
        }
        let sizes = [a, b].map(|trained| EpisodeSize::of_evaluation(&trained.config));
        let [first, second] = sizes;
        for (what, first, second) in [
            ("ways", first.ways, second.ways),
            ("shots", first.shots, second.shots),
            ("queries", first.queries, second.queries),
        ] {
            ensure!(
                first == second,
                "{} is tested on {first} {what}, {} on {second}: say with --{what} on how many both are",
                name(a),
                name(b)
            );
        }
        ensure!(
            a.config.data.rotations() == b.config.data.rotations(),
            "of {} and {}, one turns its classes and the other does not: give a list, as in --episodes-file",
            name(a),
            name(b)
        );
        Ok(())
    }

    /// What a run comes to, as it is printed and episode by episode.
    fn side(
        &self,
        trained: &Trained,
        model: &Model,
        pack: Option<Arc<Pack>>,
        list: &Arc<EpisodeList>,
    ) -> anyhow::Result<(Side, Evaluated)> {
        let run = trained.folder.path().display().to_string();
        let other_data = trained.other_data(model, pack.as_deref(), None);
        let listed = self.choice.listed(&trained.config, pack, Arc::clone(list));
        let listed = listed.with_context(|| run.clone())?;
        let of = trained.protocol(other_data.as_deref());
        let evaluated = trained.evaluate(model, listed, of, &self.mode)?;
        let accuracy = ReportSums::of(&evaluated.reports).mean_accuracy();
        let side = Side {
            run,
            digest: model.digest(),
            origin: model.origin.clone(),
            accuracy: accuracy.mean,
            interval: accuracy.interval,
            diverged: diverged(&evaluated.reports),
            inner_steps: steps_of(&trained.config),
            transductive: self.mode.norm.is_transductive(&trained.config),
            kept: evaluated.kept.place(),
        };
        Ok((side, evaluated))
    }
}

fn table(results: &Results) -> String {
    let Results { a, b, episodes, ways, shots, queries, split, .. } = results;
    let percent =
        |share: f64, interval: f64| format!("{:.2} % ± {:.2}", 100.0 * share, 100.0 * interval);
    let came_to =
        |side: &Side| format!("{} ({})", percent(side.accuracy, side.interval), how(side));
    let t = results.t.map_or("infinite".to_owned(), |t| format!("{t:.3}"));
    let rows = [
        (&*a.run, came_to(a)),
        ("", a.origin.to_string()),
        (&*b.run, came_to(b)),
        ("", b.origin.to_string()),
        ("difference", percent(results.difference, results.difference_interval)),
        (
            "paired t-test",
            format!(
                "t = {t} with {} degrees of freedom, two-sided p = {}",
                results.degrees_of_freedom,
                number(results.p, 3)
            ),
        ),
        (
            "episodes",
            format!(
                "{episodes} of {}, {}, {}, {split} split",
                counted(*ways, "way", "ways"),
                counted(*shots, "shot", "shots"),
                counted(*queries, "query a class", "queries a class")
            ),
        ),
        ("episode list", results.episode_list.clone()),
    ];
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<_> =
        rows.iter().map(|(name, value)| format!("{name:<width$} {value}")).collect();
    lines.join("\n") + "\n± are half-widths of 95 % intervals"
}

/// How a run was tested, and how many of its episodes diverged.
fn how(side: &Side) -> String {
    let mode = if side.transductive { "transductive" } else { "inductive" };
    let steps = side.inner_steps.map(|steps| counted(steps, "inner step", "inner steps"));
    let diverged = (side.diverged > 0).then(|| format!("{} episodes diverged", side.diverged));
    [mode.to_owned()].into_iter().chain(steps).chain(diverged).collect::<Vec<_>>().join(", ")
}
