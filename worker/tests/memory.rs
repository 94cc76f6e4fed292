//! What a compute thread allocates: nothing in the steady state, and for more inner steps no more than is stated.

use std::sync::Arc;

use lyceum_common::config::{RunConfig, load};
use lyceum_common::ids::{EpisodeIndex, MetaStep, Split};
use lyceum_common::pack::Pack;
use lyceum_common::seed::{OfEpisode, Seed};
use lyceum_worker::work::{BuildOptions, Work, build};

fn config(preset: &str, overrides: &[&str]) -> RunConfig {
    let glyphs = [
        "data.glyphs.classes=[8, 5, 5]",
        "data.glyphs.images.image_size=20",
        "network.conv4.filters=16",
    ];
    let small = if preset == "glyphs-maml" { &glyphs[..] } else { &[] };
    let overrides: Vec<String> =
        small.iter().chain(overrides).map(|&text| text.to_owned()).collect();
    load(preset, &overrides).unwrap()
}

fn work(config: &RunConfig) -> Arc<dyn Work> {
    let cache = tempfile::tempdir().unwrap();
    let pack: Option<Arc<Pack>> = lyceum_common::data::prepare(&config.data, cache.path()).unwrap();
    build(config, pack, BuildOptions::default()).unwrap()
}

fn seed(episode: u64) -> Seed<OfEpisode> {
    Seed::of_run(0).step(MetaStep(0)).episode(EpisodeIndex(episode))
}

#[test]
fn a_thread_allocates_nothing_after_its_first_episode() {
    let learners: [&[&str]; 17] = [
        &["learner.meta_curvature={ inner_rate = 0.1, inner_steps = 2, evaluation_steps = 2 }"],
        &["training.precision=bfloat16", "learner.maml.inner_steps=2"],
        &["episode.distortion={}", "episode.class_distortion={reflection=0.5}"],
        &["learner.maml.inner_steps=3"],
        &["learner.maml.inner_steps=3", "farm.kept_values_megabytes=0"],
        &[
            "learner.maml.multi_step_loss.meta_steps=9",
            "learner.maml.learned_rates=true",
            "learner.maml.batch_norm_per_step=true",
            "learner.maml.inner_steps=3",
        ],
        &["learner.maml.initial_head=prototypes", "learner.maml.evaluation_steps=2"],
        &["learner.imaml={ inner_rate = 0.1, inner_steps = 3, evaluation_steps = 2 }"],
        &["learner.meta_sgd={ inner_steps = 2, evaluation_steps = 2 }"],
        &[
            "learner.reptile={ inner_optimizer.adam = {}, inner_rate = 0.01, inner_steps = 4, evaluation_steps = 4, \
           training_shots = 4, inner_batch = 7, carry_squares = true }",
        ],
        &["learner.prototypical={}", "episode.ways=8", "episode.evaluation_ways=5"],
        &["learner.prototypical.distance=cosine", "episode.evaluation_ways=3"],
        &["learner.matching={}", "episode.evaluation_shots=2"],
        &["learner.matching.full_context={}"],
        &["learner.siamese={}"],
        &["learner.siamese.pairs=balanced"],
        &["learner.relation={}", "network.conv4.downsample=max_pool_twice"],
    ];
    let images = [
        "data.glyphs={ classes = [8, 5, 5], images = { image_size = 9 } }",
        "network.mlp={ hidden = [6], activation = 'sigmoid' }",
        "episode.ways=5",
        "learner.learned_optimizer.batch=9",
    ];
    let convolutions = [
        "data.glyphs={ classes = [8, 5, 5], images = { image_size = 9 } }",
        "network.conv4={ filters = 4, downsample = 'stride' }",
        "episode.ways=5",
        "learner.learned_optimizer.batch=9",
        "learner.learned_optimizer.order=second",
    ];
    let optimizers: [&[&str]; 6] = [
        &[],
        &images,
        &convolutions,
        &["learner.learned_optimizer.order=second"],
        &["learner.learned_optimizer.memory=3"],
        &["learner.learned_optimizer.estimator.pes={ deviation = 0.1, pairs = 2 }"],
    ];
    let configs = learners.map(|learner| config("glyphs-maml", learner)).into_iter();
    let steps =
        ["learner.learned_optimizer.inner_steps=7", "learner.learned_optimizer.evaluation_steps=5"];
    let optimizers = optimizers
        .map(|optimizer| config("quadratics-learned-optimizer", &[&steps[..], optimizer].concat()));
    let waves = [
        "learner.maml.inner_steps=2",
        "learner.meta_sgd={ inner_steps = 2, evaluation_steps = 1 }",
    ]
    .map(|learner| config("sinusoid-maml", &[learner]));
    for config in configs.chain(optimizers).chain(waves) {
        let work = work(&config);
        let theta = vec![0.1; work.parameters()];
        let mut gradient = vec![0.0; work.parameters()];
        let mut thread = work.thread();
        let mut episode = |number: u64| {
            thread.set_parameters(&theta);
            thread.meta_gradient(seed(number), &mut gradient);
            thread.draw(seed(number + 1));
            thread.evaluate(seed(number), Split::Test);
        };
        episode(0);
        let allocated = allocation_counter::measure(|| (1..4).for_each(&mut episode));
        assert_eq!(allocated.count_total, 0, "{config:?}: {allocated:?}");
    }
}

/// The most bytes that a thread holds, over its setting up and an episode.
fn peak_of_maml(inner_steps: usize, megabytes: usize) -> (u64, usize) {
    let steps = format!("learner.maml.inner_steps={inner_steps}");
    let budget = format!("farm.kept_values_megabytes={megabytes}");
    peak(&config("glyphs-maml", &[&steps, &budget]))
}

fn peak(config: &RunConfig) -> (u64, usize) {
    let work = work(config);
    let theta = vec![0.1; work.parameters()];
    let mut gradient = vec![0.0; work.parameters()];
    let allocated = allocation_counter::measure(|| {
        let mut thread = work.thread();
        thread.set_parameters(&theta);
        thread.meta_gradient(seed(0), &mut gradient);
    });
    (allocated.bytes_max, work.parameters())
}

#[test]
fn twenty_inner_steps_take_the_stored_parameters_and_the_budget_at_most() {
    let (one, parameters) = peak_of_maml(1, 0);
    let stored = (19 * 4 * parameters) as u64;
    let (twenty, _) = peak_of_maml(20, 0);
    assert_eq!(
        twenty - one,
        stored,
        "with no budget, the parameters of nineteen more steps and nothing else"
    );
    let (kept, _) = peak_of_maml(20, 2);
    assert!(kept > twenty, "a budget is made use of");
    assert!(
        kept - one <= stored + (2 << 20),
        "{kept} is more than {one}, {stored} and two megabytes"
    );
}

/// Forty-eight steps of 512 coordinates, which an LSTM of 20 keeps 200 numbers each of, and goes back through eight at once.
#[test]
fn an_exact_learned_optimizer_keeps_a_window_of_steps_and_the_budget_at_most() {
    let peak = |megabytes: usize| {
        let sets = [
            "data.quadratics.dimension=512",
            "learner.learned_optimizer.order=second",
            "learner.learned_optimizer.inner_steps=48",
            "learner.learned_optimizer.unroll=48",
            &format!("farm.kept_values_megabytes={megabytes}"),
        ];
        peak(&config("quadratics-learned-optimizer", &sets)).0
    };
    let step = 512 * 200 * size_of::<f32>() as u64;
    let least = peak(0);
    assert_eq!(peak(18), least, "what does not fit whole is computed again");
    // Large vectors take whole large pages.
    let (five_windows, kept) = (40 * step, peak(19) - least);
    assert!((five_windows..=five_windows + (4 << 20)).contains(&kept), "{kept}, {five_windows}");
}
