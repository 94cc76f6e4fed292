//! Where runs and their data lie, and from which folder they are found.

use super::made::{glyphs, idx, train};
use crate::command::{object, printed, refused};

/// Six classes of digits, in a file of a folder of its own.
const DIGITS: &str = r#"
name = "mine"
base = "glyphs-maml"
learner.prototypical = {}

[data.idx]
images_path = "../digits/images.idx"
labels_path = "../digits/labels.idx"
held_out = [0.34, 0.34]

[episode]
ways = 2
"#;

#[test]
fn a_run_finds_its_data_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [sets, elsewhere] = ["sets", "elsewhere"].map(|name| folder.join(name));
    idx(&folder.join("digits"));
    for place in [&sets, &elsewhere] {
        std::fs::create_dir(place).unwrap();
    }
    std::fs::write(sets.join("mine.toml"), DIGITS).unwrap();
    let max_pool = "network.conv4.downsample=max_pool";
    train(folder, &["sets/mine.toml"], &[max_pool]);
    let by_name = ["name=by-name", "data.idx.images_path=nowhere/images.idx", max_pool];
    train(folder, &["sets/mine.toml", "--data", "digits"], &by_name);
    let set = ["name=set", "data.idx.images_path=digits/images.idx", max_pool];
    train(folder, &["sets/mine.toml"], &set);
    let digests: Vec<_> = ["mine", "by-name", "set"]
        .into_iter()
        .map(|name| {
            let run = folder.join("runs").join(name);
            let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
            assert!(
                !config.contains("path = \"digits") && !config.contains("path = \".."),
                "{config}"
            );
            let run = run.display().to_string();
            object(&elsewhere, &["evaluate", &run, "--episodes", "3"])["digest"].clone()
        })
        .collect();
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "one data set, one seed: {digests:?}"
    );

    // The same pack from whatever folder it is prepared in.
    let here = printed(&sets, &["data", "mine.toml", "--set", max_pool]);
    let there = printed(folder, &["data", "sets/mine.toml", "--set", max_pool]);
    let digest = |about: &str| about.lines().nth(1).unwrap().to_owned();
    assert!(digest(&here).starts_with("digest "), "{here}");
    assert_eq!(digest(&here), digest(&there));
    let renamed = ["data", "sets/mine.toml", "--set", "data.idx.labels_path=x", "--data", "digits"];
    refused(folder, &renamed, &["--data", "data.idx.labels_path", "images.idx", "no x"]);
}

#[test]
fn a_folder_of_the_same_name_hides_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &[], &glyphs("name=mine", "learner.prototypical={}", "episode.ways=4"));
    std::fs::create_dir(folder.join("mine")).unwrap();
    let evaluate = ["evaluate", "mine", "--episodes", "3"];
    assert_eq!(object(folder, &evaluate)["run"], "runs/mine");
    let foreign = folder.join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("config.toml"), "host = \"localhost\"\n").unwrap();
    refused(folder, &["report", "foreign"], &["foreign/config.toml"]);
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1, "nothing is written there");
    let none = "is not a run's folder, and there is none of that name below runs";
    for (arguments, place) in [
        (&["report", "runs"][..], "runs"),
        (&["train", "--resume", "runs/mine/checkpoints"], "runs/mine/checkpoints"),
    ] {
        refused(folder, arguments, &[&format!("error: {place} {none}")]);
    }
    refused(folder, &["evaluate", "yours"], &["no run yours here, nor below runs"]);

    for (command, changed) in [
        ("train", &["--set", "seed=1"][..]),
        ("coordinator", &["--data", "elsewhere"]),
        ("train", &["sinusoid-maml"]),
    ] {
        let resume = [&[command, "--resume", "mine"][..], changed].concat();
        let keys = ["[farm]", "training.report_every", "training.checkpoint_every"];
        let given = if changed.len() == 1 { "configuration" } else { changed[0] };
        let problem = format!("takes no {given}; ");
        let culprits = [&keys[..], &[problem.as_str(), "in runs/mine/config.toml: "]].concat();
        refused(folder, &resume, &culprits);
    }

    let config = folder.join("runs/mine/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("bogus = 3\n{text}")).unwrap();
    refused(folder, &evaluate, &["error: runs/mine/config.toml:1: bogus: unknown key"]);
}
