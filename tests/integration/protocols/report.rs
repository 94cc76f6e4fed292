//! The table of runs.

use super::made::{glyphs, train};
use crate::command::{printed, refused};

#[test]
fn a_report_sets_what_was_obtained_beside_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=five", "learner.prototypical={}", "episode.ways=5");
    changes.push(
        "published=[{ data = 'glyphs', ways = 5, result = '98.8 %', citation = 'A et al. 2017', protocol = 'as | here' }]",
    );
    train(folder, &[], &changes);
    let sine = ["training.meta_steps=3", "training.validate_every=0", "training.test_episodes=6"];
    let sine = sine.iter().flat_map(|&change| ["--set", change]);
    printed(folder, &["train", "sinusoid-maml"].into_iter().chain(sine).collect::<Vec<_>>());
    printed(folder, &["evaluate", "five", "--ways", "3", "--episodes", "7", "--transductive"]);

    let report = printed(folder, &["report", "five", "runs/sinusoid-maml"]);
    let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 5, "{report}");
    let cells = |row: &str| row.split(" | ").count();
    assert!(rows.iter().all(|row| cells(row) == 6), "{report}");
    let test = "glyphs, test split, 5-way 1-shot with 2 queries a class, 6 episodes, inductive, selected on validation classes";
    assert!(rows[2].contains(test), "{report}");
    assert!(rows[2].contains("| 98.8 % (A et al. 2017) | as \\| here |"), "{report}");
    let kept = "glyphs, test split, 3-way 1-shot with 2 queries a class, 7 episodes, transductive";
    assert!(rows[3].contains(kept) && rows[3].contains("| – | – |"), "{report}");
    assert!(rows[4].contains("5-shot") && rows[4].contains("| loss "), "{report}");
    assert!(
        rows[4].contains("0.67 / 0.38 / 0.35") && rows[4].contains("the last parameters"),
        "{report}"
    );
    refused(folder, &["episodes", "sinusoid-maml"], &["data.sinusoid"]);
    refused(folder, &["compare", "five", "sinusoid-maml"], &["sinusoid-maml", "few-shot"]);
    refused(folder, &["report", "nothing"], &["nothing"]);
    refused(folder, &["report"], &["<RUN>"]);
}
