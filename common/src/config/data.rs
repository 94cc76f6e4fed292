//! Where episodes come from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::array;

/// A data set, or a distribution of functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataConfig {
    /// Procedurally drawn characters; nothing to download.
    Glyphs(GlyphsConfig),
    /// Omniglot, from its official zips or unpacked.
    Omniglot(OmniglotConfig),
    /// A folder of class folders of PNG or JPEG images.
    Folder(FolderConfig),
    /// Images and labels as IDX files, as MNIST has them.
    Idx(IdxConfig),
    /// Sine waves of random amplitude and phase.
    Sinusoid(SinusoidConfig),
    /// Random quadratic functions, for learned optimizers.
    Quadratics(QuadraticsConfig),
}

/// What an example looks like to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Images: rows, columns, channels.
    Image {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// 1 for grey, 3 for colour.
        channels: usize,
    },
    /// A plain vector.
    Vector {
        /// Its length.
        length: usize,
    },
}

impl Shape {
    /// How many numbers an example has.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Image { height, width, channels } => height * width * channels,
            Self::Vector { length } => length,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl DataConfig {
    /// The shape of an example.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let image =
            |size: usize, channels: usize| Shape::Image { height: size, width: size, channels };
        match self {
            Self::Glyphs(glyphs) => image(glyphs.images.image_size, 1),
            Self::Omniglot(omniglot) => image(omniglot.images.image_size, 1),
            Self::Folder(folder) => {
                image(folder.images.image_size, if folder.colour { 3 } else { 1 })
            }
            Self::Idx(idx) => image(idx.images.image_size, 1),
            Self::Sinusoid(_) => Shape::Vector { length: 1 },
            Self::Quadratics(quadratics) => Shape::Vector { length: quadratics.dimension },
        }
    }

    /// The kind's name, as in a configuration file.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Glyphs(_) => "glyphs",
            Self::Omniglot(_) => "omniglot",
            Self::Folder(_) => "folder",
            Self::Idx(_) => "idx",
            Self::Sinusoid(_) => "sinusoid",
            Self::Quadratics(_) => "quadratics",
        }
    }

    /// Whether each class counts four times, turned by quarters.
    #[must_use]
    pub fn rotations(&self) -> bool {
        match self {
            Self::Glyphs(glyphs) => glyphs.images.rotations,
            Self::Omniglot(omniglot) => omniglot.images.rotations,
            Self::Folder(folder) => folder.images.rotations,
            Self::Idx(idx) => idx.images.rotations,
            Self::Sinusoid(_) | Self::Quadratics(_) => false,
        }
    }

    /// Whether examples have a class (else they have a value).
    #[must_use]
    pub fn is_classification(&self) -> bool {
        !matches!(self, Self::Sinusoid(_) | Self::Quadratics(_))
    }
}

/// What all image sets have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageOptions {
    /// Rows and columns that images are resized to.
    pub image_size: usize,
    /// Whether each class counts four times, turned by 0°, 90°, 180° and 270°.
    pub rotations: bool,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { image_size: 28, rotations: false }
    }
}

/// The embedded set: characters drawn from strokes, a class a character, an image a hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlyphsConfig {
    /// Characters in training, validation and test.
    #[serde(deserialize_with = "array::of_length")]
    pub classes: [usize; 3],
    /// Images a character.
    pub images_per_class: usize,
    /// What the characters are drawn from: the set's own seed, not the run's.
    pub seed: u64,
    /// Size and rotations.
    pub images: ImageOptions,
}

impl Default for GlyphsConfig {
    fn default() -> Self {
        Self {
            classes: [400, 50, 100],
            images_per_class: 20,
            seed: 0,
            images: ImageOptions::default(),
        }
    }
}

/// Omniglot (Lake, Salakhutdinov and Tenenbaum 2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OmniglotConfig {
    /// The folder that holds `images_background.zip` and `images_evaluation.zip`, or the folders in them, itself or in
    /// a `python` folder. Empty in presets, which cannot know: see [`DataConfig::set_folder`].
    #[serde(default)]
    pub path: PathBuf,
    /// Which characters train, validate and test.
    pub split: OmniglotSplit,
    /// Size and rotations.
    #[serde(default)]
    pub images: ImageOptions,
}

/// Which characters train, validate and test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OmniglotSplit {
    /// Background and evaluation sets as published; validation alphabets are taken from the background set.
    Lake {
        /// How many background alphabets validate.
        validation_alphabets: usize,
    },
    /// Lists of characters, as Vinyals et al. (2016) split them: a folder with `train.txt`, `val.txt` and `test.txt`.
    Vinyals {
        /// The folder; `splits/vinyals` in the data set's own where absent.
        #[serde(default)]
        lists: PathBuf,
    },
    /// Characters at random, over both sets.
    Random {
        /// Characters that train; the rest tests.
        train: usize,
        /// Characters that validate.
        validation: usize,
        /// What the split is drawn from.
        seed: u64,
    },
    /// The first of the two minimal background sets; tests on the evaluation set.
    Small1 {
        /// How many of its alphabets validate.
        validation_alphabets: usize,
    },
    /// The second one.
    Small2 {
        /// How many of its alphabets validate.
        validation_alphabets: usize,
    },
}

/// A folder of class folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder. Where there are lists, these are the split; else, where it has folders `train`, `validation` (or `val`) and
    /// `test`, those are; else the classes in it are split at random.
    #[serde(default)]
    pub path: PathBuf,
    /// Where lists may lie: `train`, `val` and `test`, each a `.csv` of image files and their classes, as Ravi and
    /// Larochelle (2017) split mini-ImageNet, or a `.txt` of class folders, as Bertinetto et al. (2019) split CIFAR-100. The
    /// folder itself where absent.
    #[serde(default, skip_serializing_if = "is_nowhere")]
    pub lists: PathBuf,
    /// Three channels; else grey, of a picture in colour 0.2126 R + 0.7152 G + 0.0722 B (ITU-R BT.709). What is transparent is
    /// white, and pictures stand as their pixels do, whatever a camera noted about turning them.
    #[serde(default)]
    pub colour: bool,
    /// Whether dark is high, so that ink on paper becomes 1 on 0.
    #[serde(default)]
    pub invert: bool,
    /// The shares of classes that validate and test, where the folder has no split of its own.
    #[serde(default = "held_out", deserialize_with = "array::of_length")]
    pub held_out: [f64; 2],
    /// What a random split is drawn from.
    #[serde(default)]
    pub split_seed: u64,
    /// Size and rotations.
    #[serde(default)]
    pub images: ImageOptions,
}

/// Whether a path is left out.
pub(super) fn is_nowhere(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn held_out() -> [f64; 2] {
    [0.1, 0.2]
}

/// Images and labels in IDX files, gzipped or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxConfig {
    /// The file of images: unsigned bytes, three dimensions.
    pub images_path: PathBuf,
    /// The file of labels: unsigned bytes or 32-bit integers.
    pub labels_path: PathBuf,
    /// The shares of classes that validate and test.
    #[serde(default = "held_out", deserialize_with = "array::of_length")]
    pub held_out: [f64; 2],
    /// What the split is drawn from.
    #[serde(default)]
    pub split_seed: u64,
    /// Size and rotations.
    #[serde(default)]
    pub images: ImageOptions,
}

/// Sine waves, y = A sin(x − φ) (Finn et al. 2017, section 5.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinusoidConfig {
    /// A is uniform in this range.
    #[serde(deserialize_with = "array::of_length")]
    pub amplitude: [f32; 2],
    /// φ is uniform in this range.
    #[serde(deserialize_with = "array::of_length")]
    pub phase: [f32; 2],
    /// x is uniform in this range.
    #[serde(deserialize_with = "array::of_length")]
    pub domain: [f32; 2],
}

impl Default for SinusoidConfig {
    fn default() -> Self {
        Self { amplitude: [0.1, 5.0], phase: [0.0, std::f32::consts::PI], domain: [-5.0, 5.0] }
    }
}

/// Quadratics f(θ) = ‖W θ − y‖² with W and y standard normal (Andrychowicz et al. 2016, section 3.1): the sum of squared
/// errors of `network.linear`, whose weight is θ, on the rows of W as examples and y as targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuadraticsConfig {
    /// Length of θ, and of y.
    pub dimension: usize,
}

impl Default for QuadraticsConfig {
    fn default() -> Self {
        Self { dimension: 10 }
    }
}
