//! Means over seeds: of runs that differ in nothing else, a row for each protocol.

use std::collections::BTreeMap;

use lyceum_common::config::RunConfig;
use lyceum_common::ids::Digest;
use lyceum_common::report::Estimate;
use lyceum_common::statistics::mean_of_few;
use lyceum_coordinator::enterprise::differing_key;

use super::row::Row;

/// A run, with its rows of the table.
pub(super) struct Reported {
    pub(super) experiment: Experiment,
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
}

/// What a run is, but for its name and its seed.
pub(super) struct Experiment {
    config: RunConfig,
    pack: Option<Digest>,
}

impl Experiment {
    /// That of a run that was trained on this data pack, if it is known on which.
    pub(super) fn of(config: &RunConfig, pack: Option<Digest>) -> Self {
        Self { config: RunConfig { name: String::new(), seed: 0, ..config.clone() }, pack }
    }

    /// Whether two runs differ in nothing that a bit depends on. What data it is, its pack's digest says, or else its place.
    fn is_same(&self, other: &Self) -> bool {
        let known = self.pack.is_some();
        self.pack == other.pack
            && (known || self.config.data == other.config.data)
            && differing_key(&self.config, &other.config).is_none()
    }
}

/// Rows of one protocol, of runs that differ in nothing but their seed.
struct Group<'a> {
    experiment: &'a Experiment,
    first: &'a Row,
    seeds: BTreeMap<u64, Vec<&'a Row>>,
}

impl Group<'_> {
    fn holds(&self, experiment: &Experiment, row: &Row) -> bool {
        let same_protocol = self.first.protocol == row.protocol;
        same_protocol && self.first.measure == row.measure && self.experiment.is_same(experiment)
    }

    /// The row of the mean; none of fewer than two seeds. Hand-made optimizers are left out: each seed may have another best.
    fn mean(&self) -> Option<Row> {
        let obtained = self.over_seeds(|row| row.obtained.mean)?;
        let seconds = self.over_seeds(|row| row.seconds)?.mean;
        let mut names: Vec<&str> = Vec::new();
        for row in self.seeds.values().flatten() {
            if !names.contains(&row.run.as_str()) {
                names.push(&row.run);
            }
        }
        let run = format!("mean of {} seeds: {}", self.seeds.len(), names.join(", "));
        let seeds = self.seeds.len();
        let diverged = self.seeds.values().flatten().map(|row| row.diverged).sum();
        let first = self.first.clone();
        // Each seed draws episodes of its own.
        let episode_list = None;
        let hand_made = None;
        Some(Row { run, seeds, obtained, diverged, episode_list, hand_made, seconds, ..first })
    }

    /// The mean over seeds, with the half-width of its 95 % interval. A seed counts once, with the mean of its rows: runs of
    /// the same seed are the same bits, and a run may have been tested by the same protocol twice.
    fn over_seeds(&self, value: impl Fn(&Row) -> f64) -> Option<Estimate> {
        let mut means = Vec::new();
        for rows in self.seeds.values() {
            let sum: f64 = rows.iter().map(|&row| value(row)).sum();
            means.push(sum / rows.len() as f64);
        }
        mean_of_few(&means)
    }
}

/// The rows of means, in the order in which the table has the first rows of each.
pub(super) fn means(runs: &[Reported]) -> Vec<Row> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for Reported { experiment, seed, rows } in runs {
        for row in rows.iter().filter(|row| row.is_final) {
            match groups.iter_mut().find(|group| group.holds(experiment, row)) {
                Some(group) => group.seeds.entry(*seed).or_default().push(row),
                None => {
                    let seeds = BTreeMap::from([(*seed, vec![row])]);
                    groups.push(Group { experiment, first: row, seeds });
                }
            }
        }
    }
    groups.iter().filter_map(Group::mean).collect()
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{self, Published};

    use super::*;
    use crate::report::row::Measure;

    const GLYPHS: (&str, Option<Digest>) = ("glyphs-maml", None);

    /// A run of a preset with these changes, on this data pack, with a row for each of these protocols and accuracies.
    fn run(
        (preset, pack): (&str, Option<Digest>),
        changes: &[&str],
        rows: &[(&str, f64)],
    ) -> Reported {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        let config = config::load(preset, &changes).unwrap();
        let row = |&(protocol, mean): &(&str, f64)| Row {
            run: config.name.clone(),
            seeds: 1,
            is_final: true,
            protocol: protocol.to_owned(),
            measure: Measure::Accuracy,
            obtained: Estimate { mean, interval: 0.5 },
            diverged: Some(0),
            episode_list: Some(format!("list of {mean}")),
            hand_made: None,
            published: vec![Published {
                data: "glyphs".to_owned(),
                ways: 5,
                shots: 1,
                transductive: None,
                steps: Vec::new(),
                result: "98.7 %".to_owned(),
                citation: "A".to_owned(),
                protocol: "there".to_owned(),
            }],
            seconds: 60.0,
        };
        let rows = rows.iter().map(row).collect();
        Reported { experiment: Experiment::of(&config, pack), seed: config.seed, rows }
    }

    /// A run of this name and seed.
    fn glyphs(name: &str, seed: u64, rows: &[(&str, f64)]) -> Reported {
        let (name, seed) = (format!("name={name}"), format!("seed={seed}"));
        run(GLYPHS, &[name.as_str(), seed.as_str()], rows)
    }

    /// What the rows of means say.
    fn said(runs: &[Reported]) -> Vec<String> {
        let said = |row: Row| format!("{}: {} {:.4}", row.run, row.protocol, row.obtained.mean);
        means(runs).into_iter().map(said).collect()
    }

    #[test]
    fn seeds_have_a_row_of_their_mean_with_students_interval() {
        let mut runs = [
            glyphs("a", 1, &[("5-way", 0.98)]),
            glyphs("b", 2, &[("5-way", 0.99)]),
            glyphs("c", 3, &[("5-way", 1.0)]),
        ];
        runs[1].rows[0].seconds = 120.0;
        runs[2].rows[0].seconds = 240.0;
        runs[0].rows[0].hand_made = Some(("SGD".to_owned(), Estimate { mean: 2.0, interval: 0.5 }));
        let rows = means(&runs);
        assert_eq!(rows.len(), 1, "{rows:?}");
        // 4.302653 · 0.01 / √3: the table's value for two degrees of freedom, and the standard deviation 0.01 of three.
        let Estimate { mean, interval } = rows[0].obtained;
        assert!((mean - 0.99).abs() < 1e-12 && (interval - 0.024_841).abs() < 1e-6, "{rows:?}");
        assert_eq!(
            rows[0].line(),
            "| mean of 3 seeds: a, b, c | 5-way | 99.00 % ± 2.48 | 98.7 % (A) | there | 2.3 min |"
        );
        assert_eq!(rows[0].json()["seeds"], 3);
        assert!(rows[0].json()["episode_list"].is_null(), "each seed has its own");
        assert!(means(&runs[..1]).is_empty(), "one seed has no mean");
    }

    #[test]
    fn each_protocol_has_a_mean_of_its_own() {
        let mut runs = [
            glyphs("a", 1, &[("5-way", 0.9), ("20-way", 0.7)]),
            glyphs("a", 2, &[("10-way", 0.1), ("20-way", 0.6), ("5-way", 0.8)]),
        ];
        let five = "mean of 2 seeds: a: 5-way 0.8500";
        let twenty = "mean of 2 seeds: a: 20-way 0.6500";
        assert_eq!(said(&runs), [five, twenty]);
        runs[0].rows[0].measure = Measure::Loss;
        assert_eq!(said(&runs), [twenty], "an accuracy and a loss have no mean");
        runs[1].rows[1].is_final = false;
        assert!(said(&runs).is_empty(), "an earlier checkpoint is averaged with nothing");
    }

    #[test]
    fn a_seed_counts_once() {
        let one = || glyphs("a", 1, &[("5-way", 0.9)]);
        let other = || glyphs("b", 2, &[("5-way", 0.8)]);
        assert!(means(&[one(), one(), glyphs("copy", 1, &[("5-way", 0.9)])]).is_empty());
        let mean = ["mean of 2 seeds: a, b: 5-way 0.8500"];
        assert_eq!(said(&[one(), one(), other()]), mean);
        assert_eq!(said(&[other(), one(), one()]), mean);
        // It may have been tested twice by one protocol.
        let twice = glyphs("a", 1, &[("5-way", 0.9), ("5-way", 0.94)]);
        assert_eq!(said(&[twice, other()]), ["mean of 2 seeds: a, b: 5-way 0.8600"]);
    }

    #[test]
    fn nothing_but_the_seed_and_what_no_bit_depends_on_may_differ() {
        let count = |change: &str| {
            let other = run(GLYPHS, &["seed=1", change], &[("5-way", 0.9)]);
            means(&[glyphs("a", 2, &[("5-way", 0.8)]), other]).len()
        };
        for change in [
            "learner.maml.inner_rate=0.02",
            "meta_optimizer.clip_norm=7.5",
            "training.meta_batch=3",
            "training.test_episodes=7",
            "data.glyphs.seed=1",
        ] {
            assert_eq!(count(change), 0, "{change}");
        }
        for change in [
            "farm.audit=0.5",
            "published=[{ data = 'glyphs', result = 'r', citation = 'c', protocol = 'p' }]",
            "training.checkpoint_every=7",
            "training.report_every=3",
        ] {
            assert_eq!(count(change), 1, "{change}");
        }
    }

    #[test]
    fn data_is_told_by_its_digest_or_else_by_where_it_lies() {
        let (one, other) = (Some(Digest::of(b"one")), Some(Digest::of(b"other")));
        for (packs, folders, expected) in [
            ([one, one], ["here", "there"], 1),
            ([one, other], ["here", "here"], 0),
            ([None, None], ["here", "there"], 0),
            ([None, None], ["here", "here"], 1),
        ] {
            let runs = [0_usize, 1].map(|at| {
                let seed = format!("seed={at}");
                let folder = format!("data.omniglot.path={}", folders[at]);
                let changes = [seed.as_str(), folder.as_str()];
                run(("omniglot-maml-5w1s", packs[at]), &changes, &[("5-way", 0.9)])
            });
            assert_eq!(means(&runs).len(), expected, "{packs:?} {folders:?}");
        }
    }
}
