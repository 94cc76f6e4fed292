use lyceum_common::ids::{EpisodeIndex, MetaStep};
use lyceum_common::pack::PackBuilder;
use proptest::prelude::*;

use super::*;

const SIDE: usize = 2;

/// Classes of so many images in training; pixel 0 of an image is its class, pixel 1 its place within it.
fn pack(classes: u8, images: u8) -> Arc<Pack> {
    let mut builder = PackBuilder::new(SIDE as u32, SIDE as u32, 1);
    for class in 0..classes {
        let images = (0..images).flat_map(|image| [class, image, 254, 255]).collect();
        builder.class(Split::Train, format!("class{class}"), images);
    }
    Arc::new(builder.in_memory().unwrap())
}

fn seed(run: u64, index: u64) -> Seed<OfEpisode> {
    Seed::of_run(run).step(MetaStep(1)).episode(EpisodeIndex(index))
}

fn draw(source: &FewShotSource, seed: Seed<OfEpisode>, size: EpisodeSize) -> Episode {
    source.check(Split::Train, size).unwrap();
    let mut episode = Episode::default();
    source.sample(seed, Split::Train, size, &mut episode);
    episode
}

/// The four bytes of each example, the smallest pixels' places told by where 255 is: (class, image, quarters).
fn examples(batch: &Batch) -> Vec<(u8, u8, u32)> {
    let examples = batch.inputs.chunks(SIDE * SIDE).map(|pixels| {
        let bytes = [pixels[0], pixels[1], pixels[2], pixels[3]].map(|p| (p * 255.0).round() as u8);
        (0..4)
            .find_map(|quarters| {
                let back = Rotation::of(4 - quarters);
                let at = |row, column| {
                    let (row, column) = back.source(row, column, SIDE - 1);
                    bytes[row * SIDE + column]
                };
                (at(1, 0) == 254 && at(1, 1) == 255).then(|| (at(0, 0), at(0, 1), quarters))
            })
            .expect("every image has its two marks")
    });
    examples.collect()
}

#[test]
fn what_cannot_be_drawn_is_told_with_its_numbers() {
    let source = FewShotSource::new(pack(4, 6), false).unwrap();
    let size = EpisodeSize { ways: 5, shots: 1, queries: 5 };
    assert_eq!(
        source.check(Split::Train, size),
        Err(EpisodeError::TooFewClasses { split: Split::Train, ways: 5, classes: 4 })
    );
    let turning = FewShotSource::new(pack(4, 6), true).unwrap();
    assert_eq!(turning.check(Split::Train, size), Ok(()));
    assert!(matches!(turning.check(Split::Test, size), Err(EpisodeError::TooFewClasses { .. })));
    let error = turning.check(Split::Train, EpisodeSize { queries: 6, ..size }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class class0 of the train split has 6 images, and an episode takes 1 shots + 6 queries"
    );
    let huge = EpisodeSize { shots: usize::MAX, ..size };
    assert!(matches!(turning.check(Split::Train, huge), Err(EpisodeError::TooLarge { .. })));
    let wide = EpisodeSize { ways: 2000, ..size };
    assert!(matches!(turning.check(Split::Train, wide), Err(EpisodeError::TooLarge { .. })));
}

#[test]
fn only_square_images_turn() {
    let mut builder = PackBuilder::new(1, 2, 1);
    builder.class(Split::Train, "a", vec![0, 1]);
    let pack = Arc::new(builder.in_memory().unwrap());
    let error = FewShotSource::new(Arc::clone(&pack), true).unwrap_err();
    assert_eq!(error, EpisodeError::NotSquare { rows: 1, columns: 2 });
    assert!(FewShotSource::new(pack, false).is_ok());
}

/// Two groups of six classes, one of two.
fn grouped() -> Arc<Pack> {
    let mut builder = PackBuilder::new(SIDE as u32, SIDE as u32, 1);
    for class in 0..14_u8 {
        let images = (0..10).flat_map(|image| [class, image, 254, 255]).collect();
        let group = (usize::from(class) % 7).div_ceil(3);
        for split in Split::ALL {
            builder.class(
                split,
                format!("group{}/{class:02}{split}", group.min(2)),
                Vec::clone(&images),
            );
        }
    }
    Arc::new(builder.in_memory().unwrap())
}

#[test]
fn so_many_training_episodes_stay_within_a_group() {
    let size = EpisodeSize { ways: 3, shots: 1, queries: 1 };
    let share_within = |split: Split| {
        let source = FewShotSource::new(grouped(), true).unwrap().within_groups(0.5);
        let within = (0..400).filter(|&index| {
            let mut episode = Episode::default();
            source.sample(seed(0, index), split, size, &mut episode);
            let classes = examples(&episode.support);
            let group = |class: u8| (usize::from(class) % 7).div_ceil(3).min(2);
            let (first, _, turned) = classes[0];
            classes
                .iter()
                .all(|&(class, _, quarters)| (group(class), quarters) == (group(first), turned))
        });
        within.count()
    };
    assert!((150..260).contains(&share_within(Split::Train)));
    // By chance about one of fifty.
    assert!(share_within(Split::Test) < 40);
    let source = FewShotSource::new(grouped(), true).unwrap().within_groups(0.5);
    let too_many = EpisodeSize { ways: 7, ..size };
    assert!(matches!(
        source.check(Split::Train, too_many),
        Err(EpisodeError::TooSmallGroups { ways: 7, .. })
    ));
    assert_eq!(source.check(Split::Test, too_many), Ok(()));
    let ungrouped = FewShotSource::new(pack(9, 20), true).unwrap().within_groups(0.5);
    let error = ungrouped.check(Split::Train, size).unwrap_err();
    assert_eq!(error, EpisodeError::OneGroup { split: Split::Train });
}

#[test]
fn training_images_are_distorted_and_no_others() {
    let size = EpisodeSize { ways: 3, shots: 1, queries: 2 };
    let config = DistortionConfig { scale: [0.5, 0.6], ..DistortionConfig::default() };
    let plain = FewShotSource::new(grouped(), true).unwrap();
    let distorting = FewShotSource::new(grouped(), true).unwrap().distorting(Some(config));
    for split in Split::ALL {
        let [mut as_it_is, mut distorted] = [Episode::default(), Episode::default()];
        plain.sample(seed(0, 0), split, size, &mut as_it_is);
        distorting.sample(seed(0, 0), split, size, &mut distorted);
        assert_eq!(as_it_is.query.targets, distorted.query.targets);
        assert_eq!(as_it_is.query.inputs.len(), distorted.query.inputs.len());
        assert_eq!(as_it_is == distorted, split != Split::Train);
    }
}

#[test]
fn the_images_of_a_class_are_distorted_alike_and_each_on_its_own_on_top() {
    let size = EpisodeSize { ways: 3, shots: 1, queries: 2 };
    // Whatever the image, it comes out as a mirrored one or as it is.
    let halves =
        DistortionConfig { probability: 0.0, reflection: 0.5, ..DistortionConfig::default() };
    let all = DistortionConfig { reflection: 1.0, ..halves };
    let source = |of_image, of_class| {
        let source = FewShotSource::new(grouped(), false).unwrap();
        source.distorting(of_image).distorting_classes(of_class)
    };
    let sampled = |source: &FewShotSource, split, index| {
        let mut episode = Episode::default();
        source.sample(seed(0, index), split, size, &mut episode);
        episode
    };
    let [plain, mirrored] = [None, Some(all)].map(|of_class| source(None, of_class));
    let by_class = source(None, Some(halves));
    let by_both = source(Some(all), Some(halves));
    let pixels = plain.shape.iter().product::<usize>();
    let ways = |episode: &Episode| {
        let inputs = |batch: &Batch, each: usize| {
            batch.inputs.chunks(each * pixels).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        inputs(&episode.support, 1).into_iter().zip(inputs(&episode.query, 2)).collect::<Vec<_>>()
    };
    let mut reflected = 0;
    for index in 0..20 {
        let [plain, mirrored, by_class, by_both] = [&plain, &mirrored, &by_class, &by_both]
            .map(|source| ways(&sampled(source, Split::Train, index)));
        for way in 0..size.ways {
            let is_reflected = by_class[way] == mirrored[way];
            assert!(is_reflected || by_class[way] == plain[way]);
            let twice = if is_reflected { &plain } else { &mirrored };
            assert_eq!(by_both[way], twice[way]);
            reflected += usize::from(is_reflected && plain[way] != mirrored[way]);
        }
    }
    assert!((10..50).contains(&reflected), "{reflected}");
    for split in [Split::Validation, Split::Test] {
        assert_eq!(sampled(&by_both, split, 0), sampled(&plain, split, 0));
    }
}

#[test]
fn buffers_are_reused() {
    let source = FewShotSource::new(pack(9, 20), true).unwrap();
    let size = EpisodeSize { ways: 5, shots: 1, queries: 15 };
    let mut episode = draw(&source, seed(0, 0), size);
    let places = |episode: &Episode| {
        [&episode.support, &episode.query]
            .map(|batch| (batch.inputs.as_ptr(), batch.targets.as_ptr()))
    };
    let before = places(&episode);
    source.sample(seed(0, 1), Split::Train, size, &mut episode);
    assert_eq!(places(&episode), before);
}

/// The derivation that foreign workers follow, by its first draws.
#[test]
fn the_draws_of_an_episode_are_pinned() {
    let source = FewShotSource::new(pack(10, 20), true).unwrap();
    let episode = draw(&source, seed(7, 3), EpisodeSize { ways: 3, shots: 1, queries: 2 });
    let drawn = (examples(&episode.support), examples(&episode.query));
    let support = vec![(5, 2, 3), (0, 12, 1), (8, 8, 1)];
    let query = vec![(5, 7, 3), (5, 0, 3), (0, 18, 1), (0, 13, 1), (8, 2, 1), (8, 18, 1)];
    assert_eq!(drawn, (support, query));
}

proptest! {
    #[test]
    fn classes_and_images_are_distinct_and_labelled(
        run: u64, ways in 1_usize..8, shots in 1_usize..5, queries in 1_usize..6, rotations: bool
    ) {
        let source = FewShotSource::new(pack(8, 10), rotations).unwrap();
        let episode = draw(&source, seed(run, 0), EpisodeSize { ways, shots, queries });
        let mut classes = Vec::new();
        let mut images = Vec::new();
        for (batch, each) in [(&episode.support, shots), (&episode.query, queries)] {
            let drawn = examples(batch);
            prop_assert_eq!(drawn.len(), ways * each);
            for (label, (examples, targets)) in drawn.chunks(each).zip(batch.targets.chunks(each * ways)).enumerate() {
                let (class, _, quarters) = examples[0];
                prop_assert!(rotations || quarters == 0);
                classes.push((class, quarters));
                for (example, target) in examples.iter().zip(targets.chunks(ways)) {
                    prop_assert_eq!((example.0, example.2), (class, quarters));
                    images.push(*example);
                    prop_assert_eq!(target.iter().position(|&t| t == 1.0), Some(label));
                    prop_assert_eq!(target.iter().filter(|&&t| t == 0.0).count(), ways - 1);
                }
            }
        }
        // The query's classes are the support's, in the same order, and there is no other repetition.
        prop_assert_eq!(&classes[..ways], &classes[ways..]);
        classes.sort_unstable();
        classes.dedup();
        prop_assert_eq!(classes.len(), ways);
        let count = images.len();
        images.sort_unstable();
        images.dedup();
        prop_assert_eq!(images.len(), count);
    }

    #[test]
    fn an_episode_is_its_seed(run: u64, index in 0_u64..1000) {
        let source = FewShotSource::new(pack(40, 20), true).unwrap();
        let size = EpisodeSize { ways: 5, shots: 1, queries: 5 };
        let episode = draw(&source, seed(run, index), size);
        prop_assert_eq!(&episode, &draw(&source, seed(run, index), size));
        prop_assert_ne!(&episode, &draw(&source, seed(run, index + 1), size));
    }
}
