//! The table of runs.

use super::made::{glyphs, train};
use crate::command::{lyceum, object, printed, refused};

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

    // Of the test once more there is no second row; other inner steps have rows of their own.
    printed(folder, &["evaluate", "five", "--episodes", "6"]);
    let evaluate = ["evaluate", "sinusoid-maml", "--episodes", "6"];
    for flag in ["--inductive", "--transductive"] {
        refused(folder, &[&evaluate[..], &[flag]].concat(), &[flag, "batch norm"]);
    }
    let own_steps: &[&str] = &[];
    for more in [own_steps, &["--steps", "1"], &["--steps", "2"]] {
        let table = printed(folder, &[&evaluate[..], more].concat());
        let first = table.lines().next().unwrap();
        assert!(first.starts_with("test loss ") && first.contains(" ± "), "{table}");
        assert!(table.contains("5-shot, 100 queries\n"), "{table}");
        assert!(!table.contains("transductive") && !table.contains("diverged"), "{table}");
    }
    let report = printed(folder, &["report", "five", "sinusoid-maml"]);
    let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 7, "{report}");
    let row = |text: &str| *rows.iter().find(|row| row.contains(text)).expect(text);
    assert!(row(" 1 inner steps (the run's own: 10), ").contains("0.67 / 0.38 / 0.35"), "{report}");
    assert!(row(" 2 inner steps (the run's own: 10), ").contains(" | – | – |"), "{report}");
    let json = object(folder, &["report", "five", "sinusoid-maml"]);
    let figures = json["rows"].as_array().unwrap();
    assert_eq!(figures.len(), 5, "{json}");
    assert_eq!((&figures[0]["run"], &figures[0]["measure"]), (&"five".into(), &"accuracy".into()));
    assert!(figures[4]["mean"].is_f64() && figures[4]["published"].is_array(), "{json}");

    // Steps that lead nowhere.
    let nowhere = ["--set", "learner.maml.inner_rate=1e38"];
    let table = printed(folder, &[&evaluate[..], &nowhere].concat());
    assert!(!table.contains('±') && table.contains("6 of these"), "{table}");
    let results = object(folder, &[&evaluate[..], &nowhere].concat());
    assert!(results["loss"].is_null() && results["interval"].is_null(), "{results}");
    assert_eq!(results["diverged"], 6);
    let report = printed(folder, &["report", "sinusoid-maml"]);
    assert!(report.contains("| loss not finite, 6 episodes diverged | – | – |"), "{report}");
}

#[test]
fn runs_are_called_by_their_folders_and_what_is_none_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for seed in ["seed=1", "seed=2"] {
        let run = glyphs("name=seeds", "learner.prototypical={}", "episode.ways=5");
        train(folder, &[], &[&run[..], &[seed]].concat());
    }
    std::fs::create_dir_all(folder.join("runs/empty")).unwrap();
    let arguments = ["report", "nothing", "seeds", "runs/seeds-2", "empty", "runs/seeds"];
    let output = lyceum(folder, &arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 5, "a head, two runs and their mean: {report}");
    assert!(rows[2].starts_with("| seeds | ") && rows[3].starts_with("| seeds-2 | "), "{report}");
    assert!(rows[4].starts_with("| mean of 2 seeds: seeds, seeds-2 | "), "{report}");
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed_over = |name: &str| {
        errors.lines().any(|line| line.starts_with("passed over: ") && line.contains(name))
    };
    assert!(passed_over("nothing") && passed_over("empty"), "{errors}");
    refused(folder, &["report", "nothing", "empty"], &["passed over: ", "nothing", "error: "]);
}

#[test]
fn runs_that_differ_in_their_seed_have_a_row_of_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, seed) in [("name=a", "seed=1"), ("name=b", "seed=2"), ("name=copy", "seed=2")] {
        let run = glyphs(name, "learner.prototypical={}", "episode.ways=5");
        train(folder, &[], &[&run[..], &[seed]].concat());
    }
    let report = printed(folder, &["report", "a", "b"]);
    let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 5, "{report}");
    assert!(rows[4].starts_with("| mean of 2 seeds: a, b | glyphs, test split, 5-way"), "{report}");
    let accuracy = |row: &str| -> f64 {
        let cell = row.split(" | ").nth(2).unwrap();
        cell.split(' ').next().unwrap().parse().unwrap()
    };
    let mean = f64::midpoint(accuracy(rows[2]), accuracy(rows[3]));
    assert!((accuracy(rows[4]) - mean).abs() < 0.011, "{report}");
    assert!(report.contains("Student's t"), "{report}");

    // What it comes to on another's episodes is a row of its own, and no part of the mean.
    printed(folder, &["compare", "a", "b", "--episodes", "6"]);
    let compared = printed(folder, &["report", "a", "b"]);
    let others: Vec<_> = compared.lines().filter(|line| !rows.contains(line)).collect();
    let other = others.iter().find(|line| line.starts_with("| b |")).expect("a row of its own");
    assert!(other.contains(", on the episodes of list "), "{compared}");
    assert!(compared.contains(rows[4]), "the mean is as it was: {compared}");

    let one_seed = printed(folder, &["report", "b", "copy", "b"]);
    assert!(!one_seed.contains("mean of") && !one_seed.contains("Student's t"), "{one_seed}");
}

#[test]
fn a_changed_configuration_and_an_earlier_checkpoint_are_not_taken_for_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut changes = glyphs("name=maml", "learner.maml.inner_steps=1", "episode.ways=3");
    changes.push(
        "published=[{ data = 'glyphs', ways = 3, result = '98.8 %', citation = 'A et al. 2017', protocol = 'there' }]",
    );
    train(folder, &[], &changes);
    let evaluate = ["evaluate", "maml", "--episodes", "7"];
    let plain = object(folder, &evaluate);
    let change = "learner.maml.inner_rate=0.3";
    let changed = object(folder, &[&evaluate[..], &["--set", change]].concat());
    assert_eq!(changed["episode_list"], plain["episode_list"]);
    let rows = |what: &str| -> Vec<String> {
        let report = printed(folder, &["report", "maml"]);
        report.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    };
    let (with_change, without): (Vec<String>, Vec<String>) =
        rows("7 episodes").into_iter().partition(|row| row.contains(change));
    assert_eq!((with_change.len(), without.len()), (1, 1), "{with_change:?} {without:?}");
    let spelled_out = format!(", with {change} | ");
    assert!(with_change[0].contains(&spelled_out), "{with_change:?}");
    assert!(with_change[0].contains("| – | – |"), "{with_change:?}");
    assert!(without[0].contains("| 98.8 % (A et al. 2017) | there |"), "{without:?}");

    // As though they were of the best so far, and the run had gone on to another model.
    let early = "of a checkpoint before the run's end";
    assert!(rows(early).is_empty());
    let digest = plain["digest"].as_str().unwrap();
    for entry in std::fs::read_dir(folder.join("runs/maml/evaluations")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(digest), "{text}");
        std::fs::write(&path, text.replace(digest, &"0".repeat(64))).unwrap();
    }
    let early = rows(early);
    assert_eq!(early.len(), 2, "{early:?}");
    assert!(early.iter().all(|row| row.contains("| – | – |")), "{early:?}");
    let tested = rows("6 episodes");
    assert!(tested.len() == 1 && tested[0].contains("98.8 %"), "{tested:?}");
}

#[test]
fn a_learned_optimizer_stands_beside_the_best_hand_made_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let name = "quadratics-learned-optimizer";
    let small = ["training.meta_steps=2", "training.validate_every=0", "training.test_episodes=4"];
    let small = small.iter().flat_map(|&change| ["--set", change]);
    printed(folder, &["train", name].into_iter().chain(small).collect::<Vec<_>>());
    let report = || printed(folder, &["report", name]);
    assert!(!report().contains("hand-made"), "nothing was compared yet");

    let evaluate = ["evaluate", name, "--episodes", "3", "--steps", "12"];
    let results = object(folder, &evaluate);
    let optimizers = results["optimizers"].as_array().unwrap();
    let number = |line: &serde_json::Value, key: &str| line[key].as_f64().unwrap();
    let loss = |line: &serde_json::Value| {
        format!("{:.4} ± {:.4}", number(line, "loss"), number(line, "interval"))
    };
    let best = optimizers[1..]
        .iter()
        .min_by(|a, b| number(a, "loss").total_cmp(&number(b, "loss")))
        .unwrap();
    let (learned, optimizer) = (loss(&optimizers[0]), best["optimizer"].as_str().unwrap());
    let protocol = "| quadratics, test split, 3 episodes, hand-made optimizers' rates searched on 3 others, 12 inner steps (the run's own: 100), the last parameters";
    let obtained = format!("loss {learned}; {optimizer} {} at its best rate", loss(best));
    let row = format!("{protocol} | {obtained} | – | – |");
    assert!(report().contains(&row), "{row}: {}", report());

    let change = "data.quadratics.dimension=17";
    let table = printed(folder, &[&evaluate[..], &["--set", change]].concat());
    for text in ["after the last step", "data quadratics, test split", "model meta-step 2 of 2, "] {
        assert!(table.contains(text), "{text}: {table}");
    }
    assert!(report().contains(&format!("{protocol}, with {change} | loss")), "{}", report());
    std::fs::remove_file(folder.join("runs").join(name).join("model.safetensors")).unwrap();
    let last = protocol.replace("the last parameters", "the last so far");
    let early = format!("{last}, of a checkpoint before the run's end, with {change} | loss");
    assert!(report().contains(&early), "{}", report());
}
