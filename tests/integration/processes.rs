//! The command itself, in real processes: the same bits whatever happens to workers, and errors that name the culprit.

use std::path::Path;
use std::process::{Output, Stdio};

use lyceum_common::config::presets;

use crate::command::{Process, lyceum, object, printed, refused};

/// A run of a few seconds.
const RUN: [&str; 9] = [
    "training.meta_steps=1200",
    "training.meta_batch=8",
    "training.validate_every=600",
    "training.validation_episodes=8",
    "training.test_episodes=16",
    "training.report_every=1",
    "data.glyphs.classes=[12, 6, 6]",
    "data.glyphs.images.image_size=16",
    "network.conv4.filters=8",
];

/// Changes that make it one of a moment, with two checkpoints.
const BRIEF: [&str; 3] =
    ["training.meta_steps=4", "training.validate_every=2", "training.checkpoint_every=2"];

fn sets<'a>(changes: &[&'a str]) -> Vec<&'a str> {
    changes.iter().flat_map(|&change| ["--set", change]).collect()
}

/// The command on [`RUN`]. Of changes to one key the later counts: those among the arguments.
fn with_run<'a>(command: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&[command][..], &sets(&RUN)[..], arguments].concat()
}

fn digest(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let last = text.lines().last().unwrap_or_else(|| panic!("nothing was printed: {errors}"));
    let object: serde_json::Value = serde_json::from_str(last).unwrap();
    object["digest"].as_str().unwrap().to_owned()
}

fn train(folder: &Path, arguments: &[&str]) -> String {
    let all = with_run("train", &[&["--json"][..], arguments].concat());
    digest(&lyceum(folder, &all).output().unwrap())
}

#[cfg(unix)]
#[test]
fn threads_workers_and_a_killed_worker_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = train(folder, &["--threads", "1"]);
    assert_eq!(train(folder, &["--threads", "2"]), expected);
    assert_eq!(train(folder, &["--workers", "3", "--threads", "1"]), expected);

    let arguments = with_run("coordinator", &["--listen", "127.0.0.1:0", "--json"]);
    let coordinator = Process::start(folder, &arguments);
    let address = coordinator.line_with("listening on ").replace("listening on ", "");
    let worker =
        || Process::start(folder, &["worker", "--coordinator", &address, "--threads", "1"]);
    let (mut first, second) = (worker(), worker());
    coordinator.line_with(" joined");
    coordinator.line_with(" joined");
    first.line_with("joined the run glyphs-maml");
    second.line_with("joined the run glyphs-maml");
    coordinator.line_with("training at step 10 ");
    first.child.kill().unwrap();
    // The one that is left waits, so that the run does not end before the late one has joined.
    second.signal("STOP");
    assert!(!first.child.wait().unwrap().success(), "it was at work when it was killed");
    coordinator.line_with(" left");
    let late = worker();
    coordinator.line_with(" joined");
    second.signal("CONT");
    assert_eq!(digest(&coordinator.end()), expected);
    assert!(
        second.end().status.success() && late.end().status.success(),
        "workers end with the run"
    );
}

#[cfg(unix)]
#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = train(folder, &["--threads", "1"]);
    let arguments = with_run("train", &["--threads", "1", "--runs", "stopped"]);
    let run = Process::start(folder, &arguments);
    run.line_with("training at step 15 ");
    run.signal("INT");
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("stopped after meta-step"));
    let resumed =
        lyceum(folder, &["train", "--resume", "stopped/glyphs-maml", "--json"]).output().unwrap();
    assert_eq!(digest(&resumed), expected);
    let metrics =
        std::fs::read_to_string(folder.join("stopped/glyphs-maml/metrics.jsonl")).unwrap();
    let steps = metrics.lines().filter(|line| line.contains("\"training\"")).count();
    assert_eq!(steps, 1200, "each step is there once");
}

#[cfg(unix)]
#[test]
fn a_worker_says_when_it_joins_and_loses_a_coordinator_and_joins_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begin = with_run("coordinator", &["--listen", "unix:farm"]);
    let mut killed = Process::start(folder, &begin);
    killed.line_with("listening on ");
    let worker =
        Process::start(folder, &["worker", "--coordinator", "unix:farm", "--threads", "1"]);
    worker.line_with("joined the run glyphs-maml");
    killed.child.kill().unwrap();
    worker.line_with("lost the coordinator (");
    let resume = ["coordinator", "--listen", "unix:farm", "--resume", "glyphs-maml"];
    let resumed = Process::start(folder, &resume);
    worker.line_with("joined the run glyphs-maml again");
    assert!(resumed.end().status.success());
    let ended = worker.end();
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "the run is over");
}

#[test]
fn bad_input_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, &["train", "--set", "episode.way=5"], &["episode.way", "ways"]);
    refused(
        folder,
        &["train", "--set", "learner.maml.inner_rate=-1"],
        &["learner.maml.inner_rate"],
    );
    refused(folder, &["train", "--set", "episode.ways=5000"], &["5000"]);
    refused(folder, &["train", "--set", "episode.evaluation_queries=60"], &["61", "20"]);
    let shots = "error: --set episode.shots=18: episode.shots: 18 shots (episode.shots) + 15 queries (episode.evaluation_queries)";
    refused(folder, &["train", "--set", "episode.shots=18"], &[shots]);
    refused(folder, &["train", "no-such-preset"], &["no-such-preset"]);
    refused(folder, &["train", "omniglot-maml-5w1s", "--data", "nowhere"], &["nowhere"]);
    refused(folder, &["train", "omniglot-maml-5w1s"], &["data.omniglot.path", "--data"]);
    refused(folder, &["train", "--resume", "nothing"], &["nothing"]);
    refused(folder, &["worker", "--coordinator", "127.0.0.1:1", "--wait", "0.5"], &["127.0.0.1:1"]);
    let workloads = ["maml-9q", "maml-15q", "step-112k", "sockets-10m-unix"];
    refused(folder, &["bench", "maml-9q"], &workloads);
    for command in [&["train", "--workers", "0"][..], &["train", "--threads", "0"]] {
        refused(folder, command, &[command[1], "must be at least 1"]);
    }
    let worker = ["worker", "--coordinator", "127.0.0.1:1", "--threads", "0"];
    refused(folder, &worker, &["--threads", "must be at least 1"]);
    refused(folder, &["bench", "lstm", "--threads", "0"], &["--threads", "must be at least 1"]);
    refused(folder, &["bench", "lstm", "--seconds", "1e30"], &["--seconds"]);
    refused(folder, &["bench", "lstm", "--seconds", "1e-9"], &["--seconds", "at least 0.01"]);
    refused(folder, &["bench", "step-112k", "--profile"], &["--profile", "step"]);
    for flag in [["--threads", "4"], ["--instruction-set", "portable"]] {
        refused(folder, &["bench", "step-112k", flag[0], flag[1]], &[flag[0], "step"]);
    }
    for flag in [["--threads", "4"], ["--seconds", "1"]] {
        refused(folder, &["bench", "lstm", "--profile", flag[0], flag[1]], &[flag[0], "--profile"]);
    }
    let unknown = lyceum(folder, &["bench", "step-112k", "maml-9q"]).output().unwrap();
    assert!(!unknown.status.success() && unknown.stdout.is_empty(), "nothing is measured before");
    let half = ["--precision", "bfloat16"];
    for workload in ["sinusoid", "step-112k"] {
        refused(folder, &["bench", workload, half[0], half[1]], &["--precision", "convolutions"]);
    }

    let omniglot = folder.join("omniglot");
    std::fs::create_dir(&omniglot).unwrap();
    std::fs::write(omniglot.join("images_background.zip"), b"PK\x03\x04 and no more").unwrap();
    std::fs::write(omniglot.join("images_evaluation.zip"), b"").unwrap();
    let lake = ["--set", "data.omniglot.split={ lake = { validation_alphabets = 1 } }"];
    refused(
        folder,
        &["train", "omniglot-maml-5w1s", "--data", "omniglot", lake[0], lake[1]],
        &["images_background.zip"],
    );

    std::fs::create_dir_all(folder.join("images/train/a")).unwrap();
    std::fs::write(folder.join("images/train/a/1.png"), b"no image").unwrap();
    let data = "data={ folder = { path = \"images\" } }";
    refused(folder, &["train", "--set", data], &["1.png"]);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(folder, &["coordinator", "--listen", &address], &[&address]);
}

#[test]
fn a_run_outlives_whoever_listens_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = with_run("train", &[&["--json"][..], &sets(&BRIEF)[..]].concat());
    let mut command = lyceum(folder.path(), &arguments);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(run.stderr.take());
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(digest(&output).len(), 64);
}

#[test]
fn a_damaged_checkpoint_costs_meta_steps_and_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = train(folder, &sets(&BRIEF));
    let checkpoints = folder.join("runs/glyphs-maml/checkpoints");
    let latest = std::fs::read_to_string(checkpoints.join("latest")).unwrap();
    assert_eq!(latest, "step-000004.safetensors");
    let file = std::fs::OpenOptions::new().write(true).open(checkpoints.join(&latest)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();

    let arguments = ["train", "--resume", "runs/glyphs-maml", "--json"];
    let resumed = lyceum(folder, &arguments).output().unwrap();
    assert_eq!(digest(&resumed), expected);
    let errors = String::from_utf8_lossy(&resumed.stderr);
    let warning = errors.lines().find(|line| line.contains(&latest)).expect("a warning");
    assert!(warning.contains("step-000002.safetensors"), "{warning}");
    assert!(!errors.contains('\u{1b}'), "colours are for terminals: {errors}");
    assert!(errors.contains("at meta-step 2 of 4\n"), "{errors}");

    std::fs::write(folder.join("runs/glyphs-maml/model.safetensors"), "damaged").unwrap();
    let evaluate = ["evaluate", "glyphs-maml", "--episodes", "3"];
    let remedy = "`lyceum train --resume runs/glyphs-maml` writes it anew";
    refused(folder, &evaluate, &["model.safetensors: not a whole model", remedy]);
    printed(folder, &["train", "--resume", "runs/glyphs-maml"]);
    printed(folder, &evaluate);
}

#[test]
fn a_checkpoint_of_another_layout_is_refused_by_its_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &sets(&BRIEF));
    let config = folder.join("runs/glyphs-maml/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("filters = 8"));
    std::fs::write(&config, text.replace("filters = 8", "filters = 4")).unwrap();
    for command in ["evaluate", "train"] {
        let resume: &[&str] =
            if command == "train" { &["train", "--resume"] } else { &["evaluate"] };
        let arguments: Vec<_> = resume.iter().copied().chain(["runs/glyphs-maml"]).collect();
        refused(folder, &arguments, &[".safetensors", "encoder.0.conv.weight"]);
    }
}

#[test]
fn a_run_that_diverges_says_where_and_saves_its_last_complete_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Inner steps that lead nowhere, and a meta-step whose meta-parameters do.
    for (name, change, step) in [
        ("name=at-once", "learner.maml.inner_rate=1e38", 0),
        ("name=later", "meta_optimizer.rate=1e38", 1),
    ] {
        let arguments = [&["train", "sinusoid-maml"][..], &sets(&[name, change])[..]].concat();
        let place = format!("diverged: meta-step {step} gives values that are not finite");
        refused(folder, &arguments, &["error: ", &place, "in episodes 0..25"]);
        let run = folder.join("runs").join(name.replace("name=", ""));
        let latest = std::fs::read_to_string(run.join("checkpoints/latest")).unwrap();
        assert_eq!(latest, format!("step-{step:06}.safetensors"));
        assert!(run.join("checkpoints").join(latest).is_file());
        assert!(!run.join("model.safetensors").exists(), "it came to nothing");
    }
}

#[test]
fn a_printed_configuration_is_the_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let asked = [&["config", "glyphs-maml"][..], &sets(&["seed=3"])[..]].concat();
    let mine = printed(folder, &asked);
    assert!(mine.lines().any(|line| line == "seed = 3"), "{mine}");
    std::fs::write(folder.join("mine.toml"), &mine).unwrap();
    assert_eq!(printed(folder, &["config", "mine.toml"]), mine);
    let back = [&["config", "mine.toml"][..], &sets(&["seed=0"])[..]].concat();
    assert_eq!(printed(folder, &back), printed(folder, &["config"]), "the default is the preset");
    let maml = printed(folder, &["config", "omniglot-maml-5w1s"]);
    assert!(maml.starts_with("# Omniglot 5-way 1-shot, MAML with convolutions: "), "{maml}");
    assert!(maml.contains("\n# Departs in: ") && maml.contains("\n\nname = "), "{maml}");
}

#[test]
fn presets_are_listed_with_what_each_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let list = printed(folder, &["config", "--list"]);
    assert_eq!(list.lines().count(), presets::names().count(), "{list}");
    for (line, preset) in list.lines().zip(presets::names()) {
        let (name, said) = line.split_once(' ').unwrap();
        let said = said.trim_start().trim_end_matches('…');
        let expected = presets::headline(preset).unwrap();
        assert!(name == preset && !said.is_empty() && expected.starts_with(said), "{line}");
        assert!(line.chars().count() <= 100, "{line}");
    }
    refused(folder, &["config", "--list", "glyphs-maml"], &["--list", "CONFIG"]);
}

#[test]
fn a_gradient_is_compared_and_written() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let out = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["gradient", "maml_sinusoid", "--out", out.path().to_str().unwrap()];
    let line = object(&cases, &arguments);
    assert!(line["gradient_error"].as_f64().unwrap() < 2e-5, "{line}");
    let written = std::fs::read(out.path()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&written).unwrap();
    let names = tensors.names();
    let gradients = names.iter().filter(|name| name.starts_with("meta_gradient/layers.")).count();
    assert_eq!(gradients, 6, "a weight and a bias of each of three layers: {names:?}");
    assert!(names.contains(&"loss") && names.contains(&"output"), "{names:?}");
    assert!(line["change_error"].is_null(), "no running statistics: {line}");
    let line = object(&cases, &["gradient", "maml_plus_plus"]);
    assert!(line["change_error"].as_f64().unwrap() < 2e-5, "{line}");
}

#[test]
fn a_gradient_beyond_the_tolerances_ends_with_an_error() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = std::fs::read_to_string(cases.join("maml_sinusoid.toml")).unwrap();
    assert!(text.contains("inner_lr = 0.01\n"), "{text}");
    let other = text.replace("inner_lr = 0.01\n", "inner_lr = 0.02\n");
    std::fs::write(folder.join("other.toml"), other).unwrap();
    let numbers = "other.safetensors";
    std::fs::copy(cases.join("maml_sinusoid.safetensors"), folder.join(numbers)).unwrap();
    refused(folder, &["gradient", "other"], &["other: beyond the tolerances of single precision"]);
}

#[test]
fn a_learned_optimizer_is_compared_with_hand_made_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let small =
        sets(&["training.meta_steps=4", "training.validate_every=2", "training.test_episodes=9"]);
    printed(folder, &[&["train", "quadratics-learned-optimizer"][..], &small[..]].concat());
    let evaluate = |more: &[&str]| {
        let mut all = vec!["evaluate", "quadratics-learned-optimizer", "--json", "--steps", "12"];
        all.extend(more);
        let output = lyceum(folder, &all).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str::<serde_json::Value>(text.trim_end()).unwrap()
    };
    let results = evaluate(&["--threads", "1"]);
    let optimizers = results["optimizers"].as_array().unwrap();
    let names: Vec<_> = optimizers.iter().map(|line| line["optimizer"].as_str().unwrap()).collect();
    assert_eq!(names, ["learned", "SGD", "momentum", "NAG", "RMSprop", "Adam"]);
    let start = 220.0;
    for line in &optimizers[1..] {
        assert!(line["rate"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["loss"].as_f64().unwrap() < start, "a searched rate makes progress: {line}");
        let [loss, learned] = [line, &optimizers[0]].map(|line| line["loss"].as_f64().unwrap());
        let difference = line["difference"].as_f64().unwrap();
        assert!((difference - (loss - learned)).abs() < 1e-9 * loss.max(learned), "{line}");
        assert!(line["difference_interval"].as_f64().unwrap() > 0.0, "{line}");
        assert!((0.0..=1.0).contains(&line["p"].as_f64().unwrap()), "{line}");
    }
    assert!(optimizers[0].get("difference").is_none(), "{}", optimizers[0]);
    let out = folder.join(results["out"].as_str().unwrap());
    let losses = std::fs::read_to_string(out.join("losses.csv")).unwrap();
    assert_eq!(losses.lines().count(), 1 + 6 * 13, "a line for each step of each optimizer");
    let search = std::fs::read_to_string(out.join("search.csv")).unwrap();
    assert!(search.lines().count() > 5 * 20, "{search}");
    assert!(std::fs::read(out.join("losses.png")).unwrap().starts_with(b"\x89PNG"));
    let again = evaluate(&["--threads", "3", "--out", "again"]);
    assert_eq!(again["optimizers"], results["optimizers"], "whatever the threads");
    for flag in [&["--split", "train"][..], &["--shots", "3"], &["--inductive"]] {
        let all = [&["evaluate", "quadratics-learned-optimizer"][..], flag].concat();
        refused(folder, &all, &[flag[0], "learned optimizer"]);
    }
    let longer =
        evaluate(&["--set", "data.quadratics.dimension=17", "--episodes", "3", "--out", "other"]);
    assert_eq!(longer["episodes"], 3);
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_that_the_system_gives_nothing_says_so_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let command = lyceum(folder.path(), &["config", "--list"]);
    for files in ["5", "6"] {
        let mut starved = std::process::Command::new("sh");
        // What this process has inherited is none of the ones that count.
        let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
        let script = format!("{close}; ulimit -n $1 && exec \"$0\" config --list");
        starved.args(["-c", &script]);
        let output = starved.arg(command.get_program()).arg(files).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: cannot begin: ") && said.contains("files"), "{said}");
    }
}
