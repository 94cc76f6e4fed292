//! A learner that computes, and not a stub: one worker and three come to the same bits.

use std::sync::{Arc, Barrier};

use lyceum_common::config::{self, RunConfig};
use lyceum_common::ids::Digest;
use lyceum_common::pack::Pack;
use lyceum_worker::session::{self, Ended};
use lyceum_worker::work::{BuildOptions, build};
use tokio_util::sync::CancellationToken;

use super::support::{Coordinator, options};

/// A few meta-steps over quadratics, in segments of unequal length.
fn config(estimator: &str) -> RunConfig {
    let overrides = [
        "learner.learned_optimizer.inner_steps=7",
        "learner.learned_optimizer.unroll=3",
        "learner.learned_optimizer.evaluation_steps=9",
        "training.meta_steps=6",
        "training.meta_batch=10",
        "training.validate_every=3",
        "training.validation_episodes=8",
        "training.test_episodes=12",
        estimator,
    ];
    config::load("quadratics-learned-optimizer", &overrides.map(str::to_owned))
        .expect("the preset is valid")
}

/// The digest that workers with so many threads each come to, who begin when all have joined.
async fn digest(mut config: RunConfig, threads: &[usize]) -> Digest {
    config.farm.assignment = 2;
    let coordinator = Coordinator::start(config).await;
    let together = Arc::new(Barrier::new(threads.len()));
    let workers: Vec<_> = threads
        .iter()
        .enumerate()
        .map(|(at, &threads)| {
            let name = format!("w{at}");
            let cache = coordinator.folder.path().join(&name);
            let options = options(&coordinator.address, &name, threads, &cache);
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                let build = move |config: &RunConfig, pack: Option<Arc<Pack>>| {
                    together.wait();
                    Ok(build(config, pack, BuildOptions::default())?)
                };
                session::run(&options, &build, CancellationToken::new()).await
            })
        })
        .collect();
    let completed = coordinator.completed().await;
    assert_eq!(completed.test.unwrap().episodes, 12);
    for worker in workers {
        assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
    }
    completed.parameters.digest()
}

// Workers hold a thread each while they wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn three_workers_learn_the_optimizer_that_one_does() {
    for estimator in ["back_propagation", "pes={ deviation = 0.01 }"] {
        let (kind, value) = estimator.split_once('=').unwrap_or((estimator, "{}"));
        let set = format!("learner.learned_optimizer.estimator.{kind}={value}");
        let alone = digest(config(&set), &[1]).await;
        assert_eq!(digest(config(&set), &[1, 2, 1]).await, alone, "{estimator}");
    }
}
