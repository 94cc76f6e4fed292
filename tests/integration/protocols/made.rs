//! Small runs and small data sets.

use std::path::Path;

use image::{GrayImage, Luma};

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

/// The digest that a run's checkpoint after `step` meta-steps says of its parameters.
pub(super) fn checkpoint_digest(run: &Path, step: u64) -> String {
    let file = run.join(format!("checkpoints/step-{step:06}.safetensors"));
    let bytes = std::fs::read(file).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    metadata.metadata().as_ref().unwrap()["digest"].clone()
}

/// A picture that no other `number` below 2²⁰ has: white paper, with a square of ink for each bit.
pub(super) fn picture(number: u32) -> GrayImage {
    let mut image = GrayImage::from_pixel(28, 28, Luma([255]));
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let bit = y / 7 * 5 + (x / 6).min(4);
        if number >> bit & 1 == 1 {
            *pixel = Luma([0]);
        }
    }
    image
}

pub(super) fn save(image: &GrayImage, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

/// A part of Omniglot, unpacked: alphabets of so many characters, six drawings each, all alike.
pub(super) fn omniglot(folder: &Path, set: &str, alphabets: &[&str], characters: u32) {
    for (a, alphabet) in (0..).zip(alphabets) {
        for character in 1..=characters {
            for drawer in 1..=6_u32 {
                let name = format!(
                    "{set}/{alphabet}/character{character:02}/{character:04}_{drawer:02}.png"
                );
                save(&picture(a * 1000 + character * 37), &folder.join(name));
            }
        }
    }
}

/// Lake's runs, unpacked: a class's test image is its training image, and lies where the labels alone say.
pub(super) fn lake_runs(folder: &Path) {
    for run in 1..=20_u32 {
        let run_folder = folder.join(format!("run{run:02}"));
        let mut labels = String::new();
        for class in 1..=20_u32 {
            let item = (class * 7 + run) % 20 + 1;
            let image = picture(run * 4099 + class * 331);
            save(&image, &run_folder.join(format!("training/class{class:02}.png")));
            save(&image, &run_folder.join(format!("test/item{item:02}.png")));
            labels += &format!(
                "run{run:02}/test/item{item:02}.png run{run:02}/training/class{class:02}.png\n"
            );
        }
        std::fs::write(run_folder.join("class_labels.txt"), labels).unwrap();
    }
}

/// Images and labels as IDX files: five images each of six classes.
pub(super) fn idx(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let header = |kind: u8, sizes: &[u32]| {
        let mut bytes = vec![0, 0, kind, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes
    };
    let (mut images, mut labels) = (header(8, &[30, 28, 28]), header(8, &[30]));
    for image in 0..30_u32 {
        images.extend(picture(image % 6 * 521 + 11).into_raw());
        labels.push((image % 6) as u8);
    }
    std::fs::write(folder.join("images.idx"), images).unwrap();
    std::fs::write(folder.join("labels.idx"), labels).unwrap();
}
