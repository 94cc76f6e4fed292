//! A coordinator and workers within the test.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use lyceum_common::config::{self, RunConfig};
use lyceum_common::data;
use lyceum_common::ids::Digest;
use lyceum_coordinator::enterprise::{Enterprise, layout_of};
use lyceum_coordinator::observation::Observation;
use lyceum_coordinator::run::{Completed, Outcome};
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_coordinator::server::{self, Listener, ServeError};
use lyceum_worker::session::{self, Ended, SessionError, SessionOptions};
use lyceum_worker::work::{BuildOptions, Work};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stub::{Hook, Stub};

/// A run of 30 meta-steps of 24 episodes, validated every 10.
pub(crate) fn config(overrides: &[&str]) -> RunConfig {
    let usual = [
        "training.meta_steps=30",
        "training.meta_batch=24",
        "training.validate_every=10",
        "training.validation_episodes=20",
        "training.test_episodes=50",
        "training.checkpoint_every=10",
    ];
    let overrides: Vec<String> = usual.iter().chain(overrides).map(ToString::to_string).collect();
    config::load("sinusoid-maml", &overrides).expect("the preset is valid")
}

/// A coordinator that serves.
pub(crate) struct Coordinator {
    pub(crate) address: String,
    pub(crate) config: RunConfig,
    pub(crate) seen: mpsc::UnboundedReceiver<Observation>,
    pub(crate) shutdown: CancellationToken,
    serving: JoinHandle<Result<Outcome, ServeError>>,
    pub(crate) folder: TempDir,
}

impl Coordinator {
    pub(crate) async fn start(config: RunConfig) -> Self {
        Self::start_at(config, |_| "127.0.0.1:0".to_owned()).await
    }

    /// One that listens on a Unix domain socket in its folder.
    pub(crate) async fn start_on_socket(config: RunConfig) -> Self {
        Self::start_at(config, |folder| format!("unix:{}", folder.join("socket").display())).await
    }

    async fn start_at(config: RunConfig, address: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = address(folder.path());
        let run = RunFolder::create(folder.path(), &config.name, &config.to_toml()).unwrap();
        let pack = data::prepare(&config.data, &folder.path().join("packs")).unwrap();
        let enterprise = Enterprise::begin(config.clone(), pack, run).unwrap();
        Self::serve(config, folder, enterprise, &address).await
    }

    /// One that goes on in the folder of another, and at its address.
    pub(crate) async fn resume(config: RunConfig, folder: TempDir, address: &str) -> Self {
        let run = RunFolder::open(folder.path().join(&config.name)).unwrap();
        let enterprise = Enterprise::resume(config.clone(), None, run).unwrap();
        Self::serve(config, folder, enterprise, address).await
    }

    async fn serve(
        config: RunConfig,
        folder: TempDir,
        enterprise: Enterprise,
        address: &str,
    ) -> Self {
        let listener = Listener::bind(address).await.unwrap();
        let address = listener.address().to_owned();
        let (sender, seen) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        // The test may look away.
        let observer = Box::new(move |observation| drop(sender.send(observation)));
        let serving = tokio::spawn(server::serve(listener, enterprise, observer, shutdown.clone()));
        Self { address, config, seen, shutdown, serving, folder }
    }

    /// Waits until something is seen that `is_it`.
    pub(crate) async fn see(&mut self, is_it: impl Fn(&Observation) -> bool) -> Observation {
        loop {
            let observation = self.seen.recv().await.expect("the run ended before it was seen");
            if is_it(&observation) {
                return observation;
            }
        }
    }

    pub(crate) async fn outcome(self) -> (Outcome, TempDir) {
        (self.serving.await.unwrap().unwrap(), self.folder)
    }

    /// Waits for the error of a run that cannot be served to its end.
    pub(crate) async fn failed(self) -> (ServeError, TempDir) {
        (self.serving.await.unwrap().unwrap_err(), self.folder)
    }

    /// Waits for a complete run.
    pub(crate) async fn completed(self) -> Completed {
        match self.outcome().await.0 {
            Outcome::Completed(completed) => completed,
            other => panic!("the run did not complete: {other:?}"),
        }
    }
}

pub(crate) type Working = JoinHandle<Result<Ended, SessionError>>;

pub(crate) fn worker(coordinator: &Coordinator, name: &str, threads: usize) -> Working {
    worker_with(coordinator, name, threads, Arc::new(|| ()))
}

/// A worker that calls `hook` at every training episode.
pub(crate) fn worker_with(
    coordinator: &Coordinator,
    name: &str,
    threads: usize,
    hook: Hook,
) -> Working {
    let cache = coordinator.folder.path().join(name);
    worker_at(options(&coordinator.address, name, threads, &cache), hook)
}

pub(crate) fn options(address: &str, name: &str, threads: usize, cache: &Path) -> SessionOptions {
    SessionOptions {
        coordinator: address.to_owned(),
        name: name.to_owned(),
        threads: NonZeroUsize::new(threads).unwrap(),
        instruction_set: "stub".into(),
        cache: cache.to_owned(),
        wait: Duration::from_secs(20),
    }
}

pub(crate) fn worker_at(options: SessionOptions, hook: Hook) -> Working {
    tokio::spawn(async move {
        let build = move |config: &RunConfig, pack: Option<Arc<lyceum_common::pack::Pack>>| {
            assert_eq!(pack.is_some(), config.data.is_classification(), "images come in a pack");
            let parameters = layout_of(config)?.len();
            Ok(Arc::new(Stub { parameters, hook: Arc::clone(&hook) }) as Arc<dyn Work>)
        };
        session::run(&options, &build, CancellationToken::new()).await
    })
}

/// A worker that computes the run's own learner, and begins when all that share `together` have joined.
pub(crate) fn working(
    coordinator: &Coordinator,
    name: &str,
    threads: usize,
    together: Arc<Barrier>,
) -> Working {
    let cache = coordinator.folder.path().join(name);
    let options = options(&coordinator.address, name, threads, &cache);
    tokio::spawn(async move {
        let build = move |config: &RunConfig, pack: Option<Arc<lyceum_common::pack::Pack>>| {
            together.wait();
            Ok(lyceum_worker::work::build(config, pack, BuildOptions::default())?)
        };
        session::run(&options, &build, CancellationToken::new()).await
    })
}

/// The digest that one worker with one thread comes to.
pub(crate) async fn undisturbed(config: RunConfig) -> Digest {
    let coordinator = Coordinator::start(config).await;
    let worker = worker(&coordinator, "alone", 1);
    let completed = coordinator.completed().await;
    assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
    completed.parameters.digest()
}
