use std::collections::BTreeMap;

use lyceum_common::config;
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::wire::Hello;
use tonic::Code;

use super::*;
use crate::enterprise::Enterprise;
use crate::metrics::Metrics;
use crate::run_folder::RunFolder;
use crate::service::Outbound;

fn driver(runs: &std::path::Path) -> Driver {
    let config = config::load("sinusoid-maml", &[]).unwrap();
    let pace = Pace::new(&config.training, MetaStep(0));
    let folder = RunFolder::create(runs, &config.name, &config.to_toml()).unwrap();
    let Enterprise { run, folder, .. } = Enterprise::begin(config, None, folder).unwrap();
    let metrics = Metrics::open(folder.run_folder(), None, 0.0).unwrap();
    let status = Status {
        run: "a run".into(),
        phase: Phase::default(),
        step: MetaStep(0),
        steps: 1,
        parameters: Digest::of(&[]),
        last: None,
        episodes_per_second: None,
        seconds_left: None,
        workers: BTreeMap::new(),
    };
    Driver {
        run,
        recorder: Recorder::start(folder, metrics),
        observer: Box::new(drop),
        status,
        roster: Roster::default(),
        spares: Arc::default(),
        stopwatch: Stopwatch::default(),
        pace,
    }
}

/// Whether the stop or the worker is seen first is chance; the worker is told in both cases.
#[tokio::test]
async fn a_worker_that_joins_in_the_last_moment_is_told_that_it_is_over() {
    for _ in 0..20 {
        let runs = tempfile::tempdir().unwrap();
        let (sender, incoming) = mpsc::channel(1);
        let (outbound, mut outgoing) = Outbound::new();
        let hello = Hello { name: "late".into(), threads: 1, instruction_set: "portable".into() };
        let listener = CancellationToken::new().drop_guard();
        let joined = Incoming::Joined { worker: WorkerId(1), hello, outbound, listener };
        sender.send(joined).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();

        let outcome = driver(runs.path()).drive(incoming, shutdown).await.unwrap();
        assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
        let mut last = None;
        while let Some(message) = outgoing.recv().await {
            last = Some(message);
        }
        let status = last.expect("something is sent").expect_err("the last word is a farewell");
        assert_eq!(status.code(), Code::Unavailable);
    }
}
