use lyceum_common::config::load;
use lyceum_common::data::prepare;
use ndarray::Array3;

use super::*;
use crate::episodes::{EpisodeSize, EpisodeSource as _, few_shot};
use crate::kernels::test_support::numbers;
use crate::work::build;

/// A run of few glyphs.
fn config(overrides: &[&str]) -> RunConfig {
    let few = [
        "data.glyphs.classes=[8, 6, 6]",
        "data.glyphs.images_per_class=30",
        "data.glyphs.images.image_size=16",
        "network.conv4.filters=8",
        "network.conv4.downsample=max_pool",
        "episode.ways=3",
        "episode.shots=2",
        "episode.evaluation_queries=3",
    ];
    let all: Vec<String> = few.iter().chain(overrides).map(|&one| one.to_owned()).collect();
    load("glyphs-maml", &all).unwrap()
}

/// Parameters that no run was trained to, variances above zero.
fn parameters(count: usize) -> Vec<f32> {
    numbers(3, count).into_iter().map(|value| 0.3 * value.abs() + 0.05).collect()
}

/// An episode of a run's test, its support and query examples as arrays, and the class of each query.
fn episode(config: &RunConfig, index: u64, size: EpisodeSize) -> (Array3<f32>, Array2<f32>) {
    let cache = tempfile::tempdir().unwrap();
    let pack = prepare(&config.data, cache.path()).unwrap();
    let seed = Seed::of_run(config.seed).evaluation_on(Split::Test).episode(EpisodeIndex(index));
    let mut episode = Episode::default();
    few_shot(config, pack).unwrap().sample(seed, Split::Test, size, &mut episode);
    let (length, EpisodeSize { ways, shots, queries }) = (config.data.shape().len(), size);
    (
        Array3::from_shape_vec((ways, shots, length), episode.support.inputs).unwrap(),
        Array2::from_shape_vec((ways * queries, length), episode.query.inputs).unwrap(),
    )
}

/// The examples of each class.
fn classes(support: &Array3<f32>) -> Vec<ArrayView2<'_, f32>> {
    support.outer_iter().collect()
}

fn options(transductive: bool) -> BuildOptions {
    BuildOptions { transductive: Some(transductive), ..BuildOptions::default() }
}

const LEARNERS: [&str; 11] = [
    "learner.maml.evaluation_steps=2",
    "learner.maml={ inner_rate = 0.1, inner_steps = 1, evaluation_steps = 2, batch_norm_per_step = true }",
    "learner.imaml={ inner_steps = 2, evaluation_steps = 2, inner_rate = 0.1, regularisation = 1.0, conjugate_gradient_steps = 2 }",
    "learner.meta_sgd={ inner_steps = 1, evaluation_steps = 2 }",
    "learner.meta_curvature={ inner_rate = 0.1, inner_steps = 1, evaluation_steps = 2 }",
    "learner.reptile={ inner_steps = 2, evaluation_steps = 2, inner_rate = 0.01, inner_batch = 4, inner_optimizer = \"sgd\" }",
    "learner.prototypical={}",
    "learner.matching={}",
    "learner.siamese={}",
    "learner.siamese={ pairs = \"balanced\" }",
    "learner.relation={}",
];

#[test]
fn every_learner_predicts_what_evaluation_counts() {
    for learner in LEARNERS {
        let relation = "network.conv4.downsample=max_pool_twice";
        let more =
            if learner.contains("relation") { vec![learner, relation] } else { vec![learner] };
        let config = config(&more);
        let cache = tempfile::tempdir().unwrap();
        let pack = prepare(&config.data, cache.path()).unwrap();
        for transductive in [true, false] {
            let work = build(&config, pack.clone(), options(transductive)).unwrap();
            let theta = parameters(work.parameters());
            let mut thread = work.thread();
            thread.set_parameters(&theta);
            let size = EpisodeSize::of_evaluation(&config);
            for index in 0..4 {
                let seed = Seed::of_run(config.seed).evaluation_on(Split::Test);
                let report = thread.evaluate(seed.episode(EpisodeIndex(index)), Split::Test);
                let (support, queries) = episode(&config, index, size);
                let (support, queries) = (classes(&support), queries.view());
                let said = predict(&config, &theta, &support, &queries, options(transductive));
                let Predictions { classes, scores } = said.unwrap();
                assert_eq!((classes.len(), scores.dim()), (9, (9, 3)));
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores}");
                let right = |(row, class): (usize, &usize)| *class == row / size.queries;
                let right = classes.iter().enumerate().filter(|&at| right(at)).count();
                assert!((report.accuracy - right as f64 / 9.0).abs() < 1e-12, "{learner}");
                for (&class, scores) in classes.iter().zip(scores.rows()) {
                    assert!(scores.iter().all(|&score| score <= scores[class]), "{scores}");
                }
            }
        }
    }
}

#[test]
fn queries_do_not_see_one_another_where_they_should_not() {
    for learner in ["learner.prototypical={}", "learner.maml.evaluation_steps=2"] {
        let config = config(&[learner]);
        let network = network(&config).unwrap();
        let theta = parameters(config.learner.layout(network.layout()).len());
        let size = EpisodeSize { ways: 3, shots: 1, queries: 24 };
        let (support, queries) = episode(&config, 0, size);
        let of = |queries: ArrayView2<'_, f32>, transductive: bool| {
            predict(&config, &theta, &classes(&support), &queries, options(transductive))
                .unwrap()
                .scores
        };
        let all = of(queries.view(), false);
        assert!(all.nrows() > TOGETHER, "more than go together");
        for some in [0..1, 1..3, 60..72] {
            let expected = all.slice(s![some.clone(), ..]);
            assert_eq!(of(queries.slice(s![some, ..]), false), expected, "{learner}");
        }
        assert_ne!(
            of(queries.slice(s![..1, ..]), true),
            of(queries.view(), true).slice(s![..1, ..])
        );
    }
}

#[test]
fn a_class_with_fewer_examples_has_them_again() {
    let config = config(&["learner.prototypical={}"]);
    let network = network(&config).unwrap();
    let theta = parameters(config.learner.layout(network.layout()).len());
    let size = EpisodeSize { ways: 3, shots: 3, queries: 2 };
    let (support, queries) = episode(&config, 0, size);
    let of = |support: &[ArrayView2<'_, f32>]| {
        predict(&config, &theta, support, &queries.view(), options(false)).unwrap()
    };
    let all = classes(&support);
    let two = all[1].slice(s![..2, ..]);
    let [first, second] = [0, 1].map(|row| two.slice(s![row..=row, ..]));
    let again = ndarray::concatenate(Axis(0), &[first, second, first]).unwrap();
    assert_eq!(of(&[all[0], two, all[2]]), of(&[all[0], again.view(), all[2]]));
    assert_ne!(of(&[all[0], two, all[2]]), of(&all));
}

#[test]
fn an_adaptation_that_diverges_tells_no_classes() {
    let config = config(&["learner.maml.inner_rate=1e30"]);
    let theta = parameters(network(&config).unwrap().layout().len());
    let (support, queries) = episode(&config, 0, EpisodeSize { ways: 3, shots: 1, queries: 1 });
    let said = predict(&config, &theta, &classes(&support), &queries.view(), options(true));
    let error = said.unwrap_err();
    assert!(matches!(error, AdaptError::Diverged), "{error}");
    assert!(error.to_string().contains("inner steps"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let config = config(&[]);
    let network = network(&config).unwrap();
    let theta = parameters(network.layout().len());
    let refused = |config: &RunConfig, theta: &[f32], support: (usize, usize, usize), queries| {
        let (support, queries) = (Array3::zeros(support), Array2::zeros(queries));
        predict(config, theta, &classes(&support), &queries.view(), options(true)).unwrap_err()
    };
    let error = refused(&config, &theta, (2, 1, 256), (1, 256));
    assert!(matches!(error, AdaptError::Ways { ways: 2, outputs: 3 }), "{error}");
    for (support, queries) in [((3, 1, 255), (1, 256)), ((3, 1, 256), (1, 255))] {
        let error = refused(&config, &theta, support, queries);
        assert!(matches!(error, AdaptError::Length { found: 255, expected: 256, .. }), "{error}");
    }
    let error = refused(&config, &theta[1..], (3, 1, 256), (1, 256));
    assert!(matches!(error, AdaptError::Length { what: "parameters", .. }), "{error}");
    for (support, queries) in
        [((3, 0, 256), (1, 256)), ((1, 1, 256), (1, 256)), ((3, 1, 256), (0, 256))]
    {
        let error = refused(&config, &theta, support, queries);
        assert!(matches!(error, AdaptError::TooFew { .. }), "{error}");
    }
    let sinusoid = load("sinusoid-maml", &[]).unwrap();
    let error = refused(&sinusoid, &theta, (2, 1, 1), (1, 1));
    assert!(matches!(error, AdaptError::ClassifiesNothing), "{error}");
}
