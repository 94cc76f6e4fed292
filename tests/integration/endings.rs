//! How runs end, and what is said then: with which status, and how one goes on.

use std::path::Path;
use std::process::Output;

use crate::command::{Process, lyceum, printed, refused};

/// Changes that make a run of `sinusoid-maml` last for longer than a test.
const ENDLESS: [&str; 4] =
    ["--set", "training.meta_steps=100000000", "--set", "training.report_every=10"];

fn object(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: `{text}`"))
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A coordinator without workers, and its address.
fn coordinator(folder: &Path) -> (Process, String) {
    let listen = ["coordinator", "sinusoid-maml", "--listen", "127.0.0.1:0", "--json"];
    let coordinator = Process::start(folder, &[&listen[..], &ENDLESS].concat());
    coordinator.line_with("run  runs/sinusoid-maml (100000000 meta-steps)");
    let address = coordinator.line_with("listening on ").replace("listening on ", "");
    coordinator.line_with(&format!("waiting for workers: lyceum worker --coordinator {address}"));
    (coordinator, address)
}

#[cfg(unix)]
#[test]
fn a_run_that_a_signal_stopped_ends_as_shells_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let named = format!("name={name}");
        let train = ["train", "sinusoid-maml", "--json", "--threads", "1", "--set", &named];
        let run = Process::start(folder, &[&train[..], &ENDLESS].concat());
        let line = run.line_with("training at step 10 ");
        assert!(line.contains(" episodes/s · 1 worker · ") && line.ends_with(" left"), "{line}");
        run.signal(name);
        let ended = run.end();
        assert_eq!(ended.status.code(), Some(status));
        let (object, folder) = (object(&ended), format!("runs/{name}"));
        assert_eq!((&object["stopped"], &object["run"]), (&true.into(), &folder.clone().into()));
        let step = object["meta_step"].as_u64().unwrap();
        assert!(step >= 10, "{object}");
        let errors = errors(&ended);
        let stopping = "stopping after the last complete meta-step; once more to end at once";
        let stopped = format!("stopped after meta-step {step} of 100000000; ");
        let stopped = stopped + &format!("go on with: lyceum train --resume {folder}");
        for said in [stopping, &stopped] {
            assert!(errors.lines().any(|line| line == said), "`{said}` is not in: {errors}");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_stopped_from_outside_and_a_worker_that_leaves_are_successes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (coordinator, address) = coordinator(folder);
    let worker = Process::start(folder, &["worker", "--coordinator", &address, "--threads", "1"]);
    coordinator.line_with("(1 thread)");
    coordinator.line_with("training at step 10 ");
    worker.signal("INT");
    let left = worker.end();
    assert_eq!(left.status.code(), Some(0));
    let said = errors(&left);
    assert!(said.contains("leaving: ") && !said.contains("meta-step"), "{said}");
    coordinator.line_with("left: waiting for workers");
    printed(folder, &["status", &address, "--stop", "--timeout", "60"]);
    let ended = coordinator.end();
    assert_eq!(ended.status.code(), Some(0), "nothing is to begin it anew");
    assert_eq!(object(&ended)["stopped"], true);
    let go_on = "lyceum coordinator --listen 127.0.0.1:0 --resume runs/sinusoid-maml";
    let errors = errors(&ended);
    assert!(errors.lines().any(|line| line.ends_with(go_on)), "{errors}");
}

#[test]
fn a_run_that_is_over_is_told_and_not_tested_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let brief = [
        "training.meta_steps=40",
        "training.validate_every=20",
        "training.validation_episodes=8",
        "training.test_episodes=16",
    ];
    let sets = brief.iter().flat_map(|&change| ["--set", change]);
    let train: Vec<_> = ["train", "sinusoid-maml", "--json"].into_iter().chain(sets).collect();
    let first = lyceum(folder, &train).output().unwrap();
    let said = errors(&first);
    assert!(said.contains("run  runs/sinusoid-maml (40 meta-steps)\n"), "{said}");
    for phase in ["validating on 8 episodes\n", "testing on 16 episodes\n"] {
        assert!(said.contains(phase), "{said}");
    }
    assert!(!said.contains("unfinished"), "{said}");
    let found = object(&first);
    let rate = found["episodes_per_second"].as_f64().unwrap();
    assert!(rate > 0.0 && found["seconds"].as_f64().unwrap() > 0.0, "{found}");

    let run = folder.join("runs/sinusoid-maml");
    let metrics = std::fs::read(run.join("metrics.jsonl")).unwrap();
    for command in ["train", "coordinator"] {
        let resumed = [command, "--resume", "sinusoid-maml", "--json"];
        let resumed = lyceum(folder, &resumed).output().unwrap();
        let said = errors(&resumed);
        assert_eq!(resumed.status.code(), Some(0), "{said}");
        assert!(said.starts_with("runs/sinusoid-maml is over"), "{said}");
        let kept = object(&resumed);
        for key in ["digest", "episodes", "selected_step", "validated", "meta_steps", "run"] {
            assert_eq!(kept[key], found[key], "{key}");
        }
        for key in ["loss", "interval"] {
            let [kept, found] = [&kept, &found].map(|object| object[key].as_f64().unwrap());
            assert!((kept - found).abs() < 1e-12, "{key}: {kept} is not {found}");
        }
        assert!(kept.get("episodes_per_second").is_none(), "nothing was trained: {kept}");
    }
    assert_eq!(std::fs::read(run.join("metrics.jsonl")).unwrap(), metrics);

    // What is changed in its configuration is refused, and what is lost of its end computed again.
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let changed = config.replace("seed = 0", "seed = 7");
    assert_ne!(changed, config);
    std::fs::write(run.join("config.toml"), changed).unwrap();
    refused(
        folder,
        &["train", "--resume", "sinusoid-maml"],
        &["runs/sinusoid-maml/config.toml: seed"],
    );
    std::fs::write(run.join("config.toml"), config).unwrap();
    std::fs::remove_file(run.join("model.safetensors")).unwrap();
    let again = lyceum(folder, &["train", "--resume", "sinusoid-maml", "--json"]).output().unwrap();
    let said = errors(&again);
    assert!(said.contains("resuming runs/sinusoid-maml at meta-step 40 of 40\n"), "{said}");
    assert_eq!(object(&again)["digest"], found["digest"]);
    assert!(run.join("model.safetensors").is_file());
}

/// Its file is its successor's as soon as that may have it, though connections linger that the old one waits for.
#[cfg(unix)]
#[test]
fn a_coordinator_that_goes_leaves_the_socket_to_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let socket = folder.join("farm");
    let begin = |arguments: &[&str]| {
        let listen = ["coordinator", "--listen", "unix:farm"];
        let coordinator = Process::start(folder, &[&listen[..], arguments].concat());
        coordinator.line_with("waiting for workers");
        coordinator
    };
    let first = begin(&[&["sinusoid-maml"], &ENDLESS[..]].concat());
    let lingering = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    first.signal("INT");
    while socket.exists() {
        std::thread::yield_now();
    }
    let second = begin(&["--resume", "sinusoid-maml"]);
    first.end();
    drop(lingering);
    printed(folder, &["status", "unix:farm"]);
    drop(second);
}

#[test]
fn a_run_that_is_over_goes_on_for_longer_as_if_it_always_had_been_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = |arguments: &[&str]| {
        let all = [&["train", "--json"], arguments].concat();
        object(&lyceum(folder, &all).output().unwrap())
    };
    let run = |name, steps| {
        let brief = [
            "meta_optimizer.schedule=constant",
            "training.validate_every=20",
            "training.validation_episodes=8",
            "training.test_episodes=16",
            name,
            steps,
        ];
        let sets = brief.iter().flat_map(|&change| ["--set", change]);
        trained(&["sinusoid-maml"].into_iter().chain(sets).collect::<Vec<_>>())
    };
    let short = run("name=longer", "training.meta_steps=40");
    let long = run("name=long", "training.meta_steps=60");
    let file = folder.join("runs/longer/config.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let longer = config.replace("meta_steps = 40", "meta_steps = 60");
    assert_ne!(longer, config);
    std::fs::write(&file, longer).unwrap();
    // The model that is there is a shorter run's from here on.
    let evaluated = printed(folder, &["evaluate", "longer", "--episodes", "3"]);
    assert!(evaluated.contains("the run is unfinished, at meta-step 40"), "{evaluated}");
    let report = printed(folder, &["report", "longer"]);
    assert!(!report.contains("16 episodes") && report.contains("3 episodes"), "{report}");
    let longer = trained(&["--resume", "longer"]);
    assert_eq!([&longer["digest"], &longer["loss"]], [&long["digest"], &long["loss"]]);
    assert_eq!(longer["meta_steps"], 60);
    assert_ne!(longer["digest"], short["digest"], "or the test tells nothing");
    assert_eq!(trained(&["--resume", "longer"])["digest"], longer["digest"], "it is over again");
}

#[test]
fn a_run_whose_evaluations_diverge_is_over_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let brief = [
        // One step leads somewhere, and two hundred of them do not.
        "learner.maml.inner_rate=3",
        "learner.maml.evaluation_steps=200",
        "training.meta_steps=2",
        "training.validate_every=1",
        "training.validation_episodes=3",
        "training.test_episodes=3",
    ];
    let sets = brief.iter().flat_map(|&change| ["--set", change]);
    let train: Vec<_> = ["train", "sinusoid-maml", "--json"].into_iter().chain(sets).collect();
    let first = lyceum(folder, &train).output().unwrap();
    assert!(first.status.success(), "{}", errors(&first));
    let found = object(&first);
    assert!(found["loss"].is_null() && found["interval"].is_null(), "{found}");
    assert_eq!((&found["validated"], &found["selected_step"]), (&false.into(), &2.into()));
    assert!(folder.join("runs/sinusoid-maml/model.safetensors").is_file());
    let again = lyceum(folder, &["train", "--resume", "sinusoid-maml"]).output().unwrap();
    assert!(errors(&again).starts_with("runs/sinusoid-maml is over"), "{}", errors(&again));
    let table = String::from_utf8_lossy(&again.stdout);
    assert!(table.contains("diverged ") && table.contains("not finite"), "{table}");
    let report = printed(folder, &["report", "sinusoid-maml"]);
    assert!(report.contains("| loss not finite | "), "{report}");
    let evaluated = printed(folder, &["evaluate", "sinusoid-maml", "--episodes", "3"]);
    assert!(
        evaluated.contains("3 of these") && evaluated.contains("the final model\n"),
        "{evaluated}"
    );
}

#[test]
fn a_run_that_lies_there_unfinished_is_named_where_another_begins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, _) = coordinator(folder);
    drop(first);
    let second =
        Process::start(folder, &["coordinator", "sinusoid-maml", "--listen", "127.0.0.1:0"]);
    second.line_with("run  runs/sinusoid-maml-2 (70000 meta-steps)");
    let hint = second.line_with("unfinished");
    assert_eq!(hint, "runs/sinusoid-maml is unfinished: --resume goes on with it");
}
