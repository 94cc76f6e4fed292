//! Whoever works, and whatever happens to them: the same digest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};

use lyceum_common::ids::MetaStep;
use lyceum_coordinator::observation::Observation;
use lyceum_coordinator::run::{Outcome, Progress};
use lyceum_worker::session::Ended;
use tokio::sync::oneshot;

use super::stub::Hook;
use super::support::{Coordinator, Working, config, undisturbed, worker, worker_with};

/// A hook that says so at episode `at`, and then holds it until the sender is dropped.
fn gate(at: usize) -> (Hook, oneshot::Receiver<()>, mpsc::Sender<()>) {
    let (reached, when_reached) = oneshot::channel();
    let (release, held) = mpsc::channel();
    let (reached, held) = (Mutex::new(Some(reached)), Mutex::new(held));
    let episodes = AtomicUsize::new(0);
    let hook = Arc::new(move || {
        if episodes.fetch_add(1, Ordering::Relaxed) == at {
            // The test may not want to know.
            let _ = reached.lock().unwrap().take().unwrap().send(());
            let _ = held.lock().unwrap().recv();
        }
    });
    (hook, when_reached, release)
}

/// Workers with so many threads each, none of which goes on from its first episode before all have one.
///
/// There are episodes for all: of the eight ranges of three that a meta-step is cut into, a worker has two at most until it
/// answers.
fn workers_together<const N: usize>(
    coordinator: &Coordinator,
    threads: [usize; N],
) -> [Working; N] {
    let together = Arc::new(Barrier::new(threads.iter().sum()));
    threads.map(|threads| {
        let (together, episodes) = (Arc::clone(&together), AtomicUsize::new(0));
        let hook = move || {
            // A thread that waits comes to no other episode: so many calls are one of each thread.
            if episodes.fetch_add(1, Ordering::Relaxed) < threads {
                together.wait();
            }
        };
        worker_with(coordinator, &format!("w{threads}"), threads, Arc::new(hook))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_come_to_the_bits_of_one() {
    let expected = undisturbed(config(&[])).await;
    let coordinator = Coordinator::start(config(&["farm.assignment=3"])).await;
    let workers = workers_together(&coordinator, [1, 2, 3]);
    let folder = coordinator.folder.path().join(&coordinator.config.name);
    let (outcome, _folder) = coordinator.outcome().await;
    let Outcome::Completed(completed) = outcome else { panic!("{outcome:?}") };
    assert_eq!(completed.parameters.digest(), expected);
    assert_eq!(completed.test.unwrap().episodes, 50);
    for file in ["config.toml", "metrics.jsonl", "checkpoints/latest", "model.safetensors"] {
        assert!(folder.join(file).exists(), "the run's folder has no {file}");
    }
    for worker in workers {
        assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_on_a_unix_domain_socket_come_to_the_bits_of_tcp() {
    let expected = undisturbed(config(&[])).await;
    let coordinator = Coordinator::start_on_socket(config(&["farm.assignment=3"])).await;
    let socket = coordinator.folder.path().join("socket");
    assert!(socket.exists());
    let workers = workers_together(&coordinator, [1, 2]);
    let (outcome, _folder) = coordinator.outcome().await;
    let Outcome::Completed(completed) = outcome else { panic!("{outcome:?}") };
    assert_eq!(completed.parameters.digest(), expected);
    for worker in workers {
        assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
    }
    assert!(!socket.exists(), "the socket is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_vanishes_and_one_that_comes_late_change_no_bit() {
    let expected = undisturbed(config(&[])).await;
    // Small ranges, so that both workers have one; no lease ends within the test.
    let config = config(&["farm.assignment=2", "farm.lease_seconds=3600"]);
    let mut coordinator = Coordinator::start(config).await;
    let (hook, at_twenty, release) = gate(20);
    let doomed = worker_with(&coordinator, "doomed", 1, hook);
    at_twenty.await.unwrap();
    // The run cannot end without the late one: the steady one waits for it.
    let (hook, _, steady_release) = gate(30);
    let steady = worker_with(&coordinator, "steady", 1, hook);
    doomed.abort();
    drop(release);
    assert!(doomed.await.unwrap_err().is_cancelled());

    coordinator.see(|seen| matches!(seen, Observation::Left(_))).await;
    let late = worker(&coordinator, "late", 2);
    coordinator
        .see(|seen| matches!(seen, Observation::Joined(_, hello) if hello.name == "late"))
        .await;
    drop(steady_release);
    assert_eq!(coordinator.completed().await.parameters.digest(), expected);
    assert_eq!(late.await.unwrap().unwrap(), Ended::Finished);
    assert_eq!(steady.await.unwrap().unwrap(), Ended::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_loses_its_episodes_to_another_and_no_bit() {
    let expected = undisturbed(config(&[])).await;
    let config = config(&["farm.assignment=2", "farm.lease_seconds=0.1"]);
    let mut coordinator = Coordinator::start(config).await;
    let (hook, at_twenty, release) = gate(20);
    let hanging = worker_with(&coordinator, "hanging", 1, hook);
    at_twenty.await.unwrap();
    let steady = worker(&coordinator, "steady", 1);
    // The one that hangs is there to the end, and still has what it was given first.
    let is_last = |progress: &Progress| progress.step == MetaStep(30) && progress.workers == 2;
    coordinator
        .see(|seen| matches!(seen, Observation::Progress(progress, _) if is_last(progress)))
        .await;
    assert_eq!(coordinator.completed().await.parameters.digest(), expected);
    assert_eq!(steady.await.unwrap().unwrap(), Ended::Finished);
    drop(release);
    assert_eq!(hanging.await.unwrap().unwrap(), Ended::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stopped_and_resumed_comes_to_the_same_bits_and_its_worker_rejoins() {
    let expected = undisturbed(config(&[])).await;
    let mut coordinator = Coordinator::start(config(&[])).await;
    // It holds an episode of the ninth meta-step until the run is stopped, however fast the eight before it went.
    let (hook, _, release) = gate(8 * 24);
    let worker = worker_with(&coordinator, "patient", 2, hook);
    coordinator
        .see(|seen| matches!(seen, Observation::Progress(progress, _) if progress.step >= MetaStep(7)))
        .await;
    coordinator.shutdown.cancel();
    let (config, address) = (coordinator.config.clone(), coordinator.address.clone());
    let (outcome, folder) = coordinator.outcome().await;
    let Outcome::Stopped { step } = outcome else { panic!("{outcome:?}") };
    assert!(step >= MetaStep(7) && step < MetaStep(30), "stopped at {step}");
    drop(release);

    let resumed = Coordinator::resume(config, folder, &address).await;
    assert_eq!(resumed.completed().await.parameters.digest(), expected);
    assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_is_fetched_once_and_large_parameters_go_in_chunks() {
    let overrides = [
        "data.glyphs.classes=[12, 8, 8]",
        "data.glyphs.images_per_class=18",
        "network.conv4.filters=128",
        "training.meta_steps=3",
        "training.meta_batch=5",
        "training.validate_every=2",
        "training.validation_episodes=3",
        "training.test_episodes=3",
    ]
    .map(str::to_owned);
    let config = lyceum_common::config::load("glyphs-maml", &overrides).unwrap();
    let layout = lyceum_coordinator::enterprise::layout_of(&config).unwrap();
    assert!(4 * layout.len() > lyceum_common::wire::CHUNK_BYTES, "the parameters fit one chunk");
    let mut digests = Vec::new();
    for threads in [1, 2] {
        let coordinator = Coordinator::start(config.clone()).await;
        let cache = coordinator.folder.path().join("w");
        let worker = worker(&coordinator, "w", threads);
        let (outcome, _folder) = coordinator.outcome().await;
        let Outcome::Completed(completed) = outcome else { panic!("{outcome:?}") };
        assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
        let packs = std::fs::read_dir(cache).unwrap().count();
        assert_eq!(packs, 1, "one pack, and nothing left beside it");
        digests.push(completed.parameters.digest());
    }
    assert_eq!(digests[0], digests[1]);
}
