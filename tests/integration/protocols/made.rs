//! Small runs and small data sets.

use std::path::Path;

use crate::command::printed;

/// Changes that make a run one of a second.
const SMALL: [&str; 9] = [
    "network.conv4.filters=8",
    "episode.queries=2",
    "episode.evaluation_queries=2",
    "training.meta_steps=4",
    "training.meta_batch=3",
    "training.validate_every=2",
    "training.validation_episodes=4",
    "training.test_episodes=6",
    "training.checkpoint_every=0",
];

/// Trains `arguments` with these changes, one step after the other.
pub(super) fn train(folder: &Path, arguments: &[&str], changes: &[&str]) {
    let sets = SMALL.iter().chain(changes).flat_map(|&change| ["--set", change]);
    let all: Vec<_> = ["train"].into_iter().chain(arguments.iter().copied()).chain(sets).collect();
    printed(folder, &all);
}

/// The changes of a run of a learner, of this name, on few glyphs.
pub(super) fn glyphs<'a>(name: &'a str, learner: &'a str, ways: &'a str) -> Vec<&'a str> {
    vec![
        "data.glyphs.classes=[12, 6, 6]",
        "data.glyphs.images_per_class=6",
        "data.glyphs.images.image_size=16",
        "network.conv4.downsample=max_pool",
        learner,
        ways,
        name,
    ]
}
