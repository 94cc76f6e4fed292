//! What `lyceum status` says of a run, and how it ends one.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use lyceum_common::parameters::MetaParameters;
use lyceum_common::seed::Seed;
use lyceum_coordinator::enterprise::layout_of;
use lyceum_coordinator::observation::Observation;
use lyceum_coordinator::run::Outcome;

use super::support::{Coordinator, config, worker};
use crate::command::{object, printed, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_where_a_run_is_and_ends_it() {
    let long = config(&["training.meta_steps=1000000", "training.validate_every=0"]);
    // On a socket of its own, whose address is nobody else's once the run is over.
    let mut coordinator = Coordinator::start_on_socket(long).await;
    let worker = worker(&coordinator, "w", 2);
    coordinator.see(|seen| matches!(seen, Observation::Progress(..))).await;
    let folder = coordinator.folder.path().to_owned();
    let address = coordinator.address.clone();
    let status = object(&folder, &["status", &address, "--timeout", "60"]);
    assert_eq!((&status["run"], &status["phase"]), (&"sinusoid-maml".into(), &"training".into()));
    assert_eq!((&status["meta_steps"], &status["stopping"]), (&1_000_000.into(), &false.into()));
    let step = status["meta_step"].as_u64().unwrap();
    assert!(step >= 1, "{status}");
    assert!(status["loss"].is_f64() && status["accuracy"].is_null(), "{status}");
    let workers = status["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 1, "{status}");
    assert_eq!((&workers[0]["name"], &workers[0]["threads"]), (&"w".into(), &2.into()));
    assert_eq!(workers[0]["instruction_set"], "stub");
    assert!(workers[0]["episodes"].as_u64().unwrap() >= 24, "{status}");

    let table = printed(&folder, &["status", &address, "--stop", "--timeout", "60"]);
    assert!(table.contains("w · 2 threads · stub · "), "{table}");
    assert!(table.lines().last().unwrap().starts_with("stopping: "), "{table}");
    let (outcome, runs) = coordinator.outcome().await;
    let Outcome::Stopped { step: stopped } = outcome else { panic!("{outcome:?}") };
    assert!(stopped.0 >= step, "stopped at {stopped}, after {step}");
    let latest = runs.path().join("sinusoid-maml/checkpoints/latest");
    let latest = std::fs::read_to_string(latest).unwrap();
    assert_eq!(latest, format!("step-{:06}.safetensors", stopped.0), "as at Ctrl-C");
    refused(runs.path(), &["status", &address], &["nothing answers", &address]);
    // It would wait for another coordinator to go on with the run.
    worker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_works_on_says_so() {
    let config = config(&[]);
    let layout = layout_of(&config).unwrap();
    let values = layout.initialise(Seed::of_run(config.seed).initialisation());
    let initial = MetaParameters::new(layout, values).unwrap();
    let coordinator = Coordinator::start(config).await;
    let folder = coordinator.folder.path();
    let status = object(folder, &["status", &coordinator.address, "--timeout", "60"]);
    assert_eq!((&status["meta_step"], &status["meta_steps"]), (&0.into(), &30.into()));
    assert_eq!(status["parameters"], initial.digest().to_string());
    assert!(status["loss"].is_null(), "{status}");
    let url = format!("http://{}", coordinator.address);
    let table = printed(folder, &["status", &url, "--timeout", "60"]);
    assert!(table.contains("0 of 30") && table.ends_with("workers      none"), "{table}");
    coordinator.shutdown.cancel();
    assert!(matches!(coordinator.outcome().await.0, Outcome::Stopped { .. }));
}

#[test]
fn addresses_that_nobody_can_be_asked_at_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, &["status", "unix:nobody/here"], &["nothing answers at unix:nobody/here"]);
    refused(folder, &["status", "no address"], &["no address is no address"]);
    let port = "no address: it has no port; a coordinator's is 7700";
    refused(folder, &["status", "127.0.0.1"], &["127.0.0.1", port]);
    refused(folder, &["health", "127.0.0.1:70000"], &["no such port as `70000`", "7700"]);
    refused(folder, &["worker", "--coordinator", "foo:bar"], &["no such port as `bar`", "7700"]);
    refused(folder, &["coordinator", "--listen", "0.0.0.0"], &["0.0.0.0: it has no port", "7700"]);
    refused(folder, &["status", "unix:x", "--timeout=-1"], &["--timeout -1"]);
}

/// Reads what a client of HTTP/2 says, until it has asked for something.
fn until_asked(peer: &mut TcpStream) -> std::io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    peer.read_exact(&mut [0; PREFACE])?;
    loop {
        let mut head = [0; 9];
        peer.read_exact(&mut head)?;
        let [a, b, c, kind, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        std::io::copy(&mut (&mut *peer).take(length.into()), &mut std::io::sink())?;
        if kind == HEADERS {
            return Ok(());
        }
    }
}

/// The address of something that speaks HTTP/1.1, to whoever comes.
fn stranger() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            if until_asked(&mut peer).is_ok() {
                // It may be gone already, and what it says then is nothing to this one.
                let _ = peer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                let _ = peer.read_to_end(&mut Vec::new());
            }
        }
    });
    address
}

#[test]
fn what_is_no_coordinator_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let address = stranger();
    let expected = format!("error: {address} answers, but is no Lyceum coordinator\n");
    for command in ["status", "health"] {
        refused(folder, &[command, &address, "--timeout", "60"], &[&expected]);
    }
    refused(folder, &["worker", "--coordinator", &address], &[&expected]);
}

#[test]
fn silence_may_be_a_coordinator_that_prepares_its_data() {
    let folder = tempfile::tempdir().unwrap();
    // Who listens, and takes nobody in.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for command in ["status", "health"] {
        let arguments = [command, address.as_str(), "--timeout", "0.5"];
        refused(folder.path(), &arguments, &[&address, "0.5 seconds", "preparing its data"]);
    }
}
