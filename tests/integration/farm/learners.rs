//! Learners that compute, and not stubs: three workers come to the bits of one.

use std::sync::{Arc, Barrier};

use lyceum_common::config::{self, RunConfig};
use lyceum_common::layout::Role;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::seed::Seed;
use lyceum_coordinator::enterprise::layout_of;
use lyceum_worker::session::Ended;

use super::support::{Coordinator, working};

/// A run of four meta-steps that trains a metric learner on more ways than it is tested on.
fn metric(learner: &[&str]) -> RunConfig {
    let ways = "episode={ ways = 7, shots = 2, queries = 2, evaluation_ways = 4 }";
    small(&[&[ways], learner].concat())
}

/// A run of four meta-steps on small images.
fn small(learner: &[&str]) -> RunConfig {
    let small = [
        "data.glyphs.classes=[12, 6, 6]",
        "data.glyphs.images_per_class=6",
        "data.glyphs.images.image_size=16",
        "network.conv4={ filters = 4, downsample = 'max_pool' }",
        "training={ meta_steps = 4, meta_batch = 7, validate_every = 2, validation_episodes = 5, test_episodes = 5 }",
        "farm.assignment=1",
    ];
    let overrides: Vec<String> = small.iter().chain(learner).map(ToString::to_string).collect();
    config::load("glyphs-maml", &overrides).expect("the run is valid")
}

async fn train(config: &RunConfig, threads: &[usize]) -> MetaParameters {
    let coordinator = Coordinator::start(config.clone()).await;
    let together = Arc::new(Barrier::new(threads.len()));
    let worker = |(i, &threads): (usize, &usize)| {
        working(&coordinator, &format!("w{i}"), threads, Arc::clone(&together))
    };
    let workers: Vec<_> = threads.iter().enumerate().map(worker).collect();
    let completed = coordinator.completed().await;
    for worker in workers {
        assert_eq!(worker.await.unwrap().unwrap(), Ended::Finished);
    }
    completed.parameters
}

// Workers hold a thread each while they wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn three_workers_come_to_the_bits_of_one_with_every_metric_learner() {
    for learner in [
        &["learner.prototypical={}"][..],
        &["learner.prototypical.distance=cosine"],
        &["learner.matching={}"],
        &["learner.matching.full_context={}"],
        &["learner.siamese={}"],
        &["learner.siamese.pairs=balanced"],
        &["learner.relation={}", "network.conv4.downsample=max_pool_twice"],
        &["learner.prototypical={}", "episode.distortion={}", "episode.class_distortion={}"],
        &["learner.prototypical={}", "network.conv4.filters=16", "training.precision=bfloat16"],
        &["learner.prototypical={}", "training.sums=bfloat16"],
        &[
            "learner.relation={}",
            "network.conv4.downsample=max_pool_twice",
            "network.conv4.filters=16",
            "training.precision=bfloat16",
        ],
    ] {
        let config = metric(learner);
        let alone = train(&config, &[1]).await;
        let together = train(&config, &[1, 2, 1]).await;
        assert_eq!(together.digest(), alone.digest(), "{learner:?}");

        let layout = layout_of(&config).unwrap();
        for entry in layout.entries().iter().filter(|entry| entry.role == Role::Buffer) {
            let initial = if entry.name.ends_with("running_mean") { 0.0 } else { 1.0 };
            let tensor = alone.tensor(&entry.name).expect("an entry of the run's layout");
            let moved = tensor.iter().any(|&value| value != initial);
            assert!(moved, "{learner:?}: {} never moved", entry.name);
        }
    }
}

// Workers hold a thread each while they wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn three_workers_come_to_the_bits_of_one_with_every_kin_of_maml() {
    let two_steps = "learner.maml.inner_steps=2";
    let plus_plus = [
        "learner.maml.inner_steps=3",
        "learner.maml.multi_step_loss.meta_steps=3",
        "learner.maml.learned_rates=true",
        "learner.maml.batch_norm_per_step=true",
    ];
    let reptile = "learner.reptile={ inner_optimizer = 'adam', inner_rate = 0.01, inner_steps = 3, evaluation_steps = 2, \
        training_shots = 4, inner_batch = 5, evaluation_batch = 3, carry_squares = true }";
    for learner in [
        &[two_steps][..],
        &[two_steps, "learner.maml.order=first"],
        &["learner.maml.adapt=all_but_norms", "learner.maml.first_order_meta_steps=2"],
        &[two_steps, "learner.maml.adapt=head", "learner.maml.inner_clip.value=0.05"],
        &[two_steps, "network.conv4.filters=16", "training.precision=bfloat16"],
        &plus_plus,
        &["learner.maml.initial_head=prototypes"],
        &["learner.meta_sgd={ inner_steps = 2, evaluation_steps = 2 }"],
        &[reptile],
        &["learner.meta_curvature={ inner_rate = 0.1, inner_steps = 2, evaluation_steps = 2 }"],
        &["learner.imaml={ inner_rate = 0.1, inner_steps = 3, evaluation_steps = 2 }"],
    ] {
        let episode = "episode={ ways = 4, shots = 2, queries = 2 }";
        let config = small(&[&[episode], learner].concat());
        let alone = train(&config, &[1]).await;
        let together = train(&config, &[1, 2, 1]).await;
        assert_eq!(together.digest(), alone.digest(), "{learner:?}");

        let layout = layout_of(&config).unwrap();
        let initial = layout.initialise(Seed::of_run(config.seed).initialisation());
        // A convolution's bias does nothing ahead of a batch norm: neither does its rate, and what there is of its gradient,
        // and of the squares, is rounding.
        for entry in layout.entries().iter().filter(|entry| !entry.name.ends_with("conv.bias")) {
            let moved = alone.values()[entry.range()] != initial[entry.range()];
            assert!(moved, "{learner:?}: {} never moved", entry.name);
        }
    }
}

/// A few meta-steps over quadratics, or over what `learner` says, in segments of unequal length.
fn optimizer(learner: &[&str]) -> RunConfig {
    let usual = [
        "learner.learned_optimizer.inner_steps=7",
        "learner.learned_optimizer.unroll=3",
        "learner.learned_optimizer.evaluation_steps=9",
        "training.meta_steps=6",
        "training.meta_batch=10",
        "training.validate_every=3",
        "training.validation_episodes=8",
        "training.test_episodes=12",
        "farm.assignment=2",
    ];
    let overrides: Vec<String> = usual.iter().chain(learner).map(ToString::to_string).collect();
    config::load("quadratics-learned-optimizer", &overrides).expect("the run is valid")
}

// Workers hold a thread each while they wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn three_workers_learn_the_optimizer_that_one_does() {
    // Their data is a pack, which workers are sent.
    let images = [
        "data.glyphs={ classes = [12, 6, 6], images_per_class = 6, images = { image_size = 9 } }",
        "network.mlp={ hidden = [6], activation = 'sigmoid' }",
        "episode.ways=5",
        "learner.learned_optimizer.batch=9",
    ];
    let mut digests = Vec::new();
    for learner in [
        &["learner.learned_optimizer.estimator.back_propagation={}"][..],
        &["learner.learned_optimizer.estimator.pes={ deviation = 0.01 }"],
        &["learner.learned_optimizer.order=second"],
        &["learner.learned_optimizer.memory=3"],
        &images,
    ] {
        let config = optimizer(learner);
        let alone = train(&config, &[1]).await;
        let together = train(&config, &[1, 2, 1]).await;
        assert_eq!(together.digest(), alone.digest(), "{learner:?}");

        let layout = layout_of(&config).unwrap();
        let initial = layout.initialise(Seed::of_run(config.seed).initialisation());
        assert!(**alone.values() != initial, "{learner:?}: nothing was learned");
        assert!(!digests.contains(&alone.digest()), "{learner:?} changes nothing");
        digests.push(alone.digest());
    }
}

// Workers hold a thread each while they wait for one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn three_workers_come_to_the_bits_of_one_where_episodes_are_side_by_side() {
    for learner in
        ["learner.maml.inner_steps=2", "learner.meta_sgd={ inner_steps = 1, evaluation_steps = 2 }"]
    {
        let of = |assignment: &str| {
            let sizes = "training={ meta_steps = 6, meta_batch = 25, validate_every = 3, validation_episodes = 20, \
                test_episodes = 40 }";
            let overrides = [sizes, learner, assignment].map(str::to_owned);
            config::load("sinusoid-maml", &overrides).expect("the run is valid")
        };
        // Ranges that begin and end within the sixteen that are computed at once, and those that do not.
        let alone = train(&of("farm.assignment=0"), &[1]).await;
        let together = train(&of("farm.assignment=7"), &[1, 2, 1]).await;
        assert_eq!(together.digest(), alone.digest(), "{learner}");
        assert!(alone.values().iter().all(|value| value.is_finite()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sums_that_are_rounded_are_those_of_one_worker_and_near_the_exact_ones() {
    let episode = "episode={ ways = 4, shots = 2, queries = 2 }";
    let config = |sums: &str| small(&[episode, "learner.maml.inner_steps=1", sums]);
    let rounded = config("training.sums=bfloat16");
    let alone = train(&rounded, &[1]).await;
    let together = train(&rounded, &[1, 2, 1]).await;
    assert_eq!(together.digest(), alone.digest());
    let exact = train(&config("training.sums=float32"), &[2]).await;
    assert_ne!(exact.digest(), alone.digest());
    // Adam's first steps are as large for small gradients as for large ones, whose signs rounding may turn.
    let apart = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let apart: f64 = alone.values().iter().zip(&**exact.values()).map(apart).sum();
    let moved = |version: &MetaParameters| -> f64 {
        let layout = layout_of(&rounded).unwrap();
        let initial = layout.initialise(Seed::of_run(rounded.seed).initialisation());
        version.values().iter().zip(&initial).map(|(a, b)| f64::from((a - b).abs())).sum()
    };
    assert!(apart < 0.25 * moved(&exact), "{apart} of {}", moved(&exact));
}
