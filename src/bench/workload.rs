//! The named workloads: what the field commonly runs, so that anyone can compare.

use std::num::NonZeroUsize;

use lyceum_common::config::{
    Activation, AdamConfig, Conv4Config, DataConfig, Downsample, EpisodeConfig, Estimator,
    FarmConfig, Features, FolderConfig, GlyphsConfig, ImageOptions, InnerOptimizer,
    LearnedOptimizerConfig, LearnerConfig, MamlConfig, MetaOptimizerConfig, MlpConfig,
    NetworkConfig, Order, Precision, PrototypicalConfig, ReptileConfig, Rule, RunConfig, Schedule,
    Shape, SinusoidConfig, TrainingConfig,
};
use lyceum_common::ids::Split;
use lyceum_common::pack::{Pack, PackBuilder};

/// Classes of noise, and images in each.
const NOISE_CLASSES: usize = 20;
const NOISE_IMAGES: usize = 20;

/// A named task.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) task: Task,
}

impl Workload {
    /// The same, its convolutions multiplying such numbers; none where it has no convolutions, which alone do.
    pub(super) fn in_precision(mut self, precision: Precision) -> Option<Self> {
        if precision == Precision::Float32 {
            return Some(self);
        }
        match &mut self.task {
            Task::Run(config) if matches!(config.network, NetworkConfig::Conv4(_)) => {
                config.training.precision = precision;
                Some(self)
            }
            Task::Run(_) | Task::Lstm => None,
        }
    }

    /// With as many episodes a meta-step as there are threads, where it has fewer: a thread takes an episode.
    pub(super) fn on(mut self, threads: NonZeroUsize) -> Self {
        if let Task::Run(config) = &mut self.task {
            let meta_batch = &mut config.training.meta_batch;
            *meta_batch = (*meta_batch).max(threads.get() as u64);
        }
        self
    }
}

/// What is timed.
pub(super) enum Task {
    /// Meta-steps of a run.
    Run(Box<RunConfig>),
    /// A learned optimizer's LSTM alone: 20 steps of 15,910 coordinates, forward and backward.
    Lstm,
}

const NAMES: [&str; 12] = [
    "maml-1q",
    "maml-15q",
    "maml-5step",
    "fomaml-5step",
    "reptile",
    "sinusoid",
    "prototypical-60w5s",
    "prototypical-20w5s",
    "miniimagenet-maml",
    "miniimagenet-prototypical",
    "learned-optimizer",
    "lstm",
];

/// The workloads of these names; all where there are none.
pub(super) fn named(names: &[&String]) -> anyhow::Result<Vec<Workload>> {
    if names.is_empty() {
        return Ok(NAMES.into_iter().filter_map(workload).collect());
    }
    let known = |name: &&String| {
        let found = NAMES.into_iter().find(|known| known == *name).and_then(workload);
        let all = || [&NAMES[..], &super::step::NAMES[..]].concat().join(", ");
        found.ok_or_else(|| anyhow::anyhow!("no workload `{name}`; there are {}", all()))
    };
    names.iter().map(known).collect()
}

fn workload(name: &'static str) -> Option<Workload> {
    let episodes = |size, downsample, learner: LearnerConfig, meta_batch: u64| {
        let conv4 = Conv4Config { filters: 64, downsample, features: Features::Flatten };
        let data =
            DataConfig::Glyphs(GlyphsConfig { classes: [60, 5, 5], ..GlyphsConfig::default() });
        config(name, data, size, NetworkConfig::Conv4(conv4), learner, meta_batch)
    };
    let images = |queries: usize, learner: LearnerConfig, meta_batch: u64| {
        episodes((5, 1, queries), Downsample::Stride, learner, meta_batch)
    };
    let photographs = |size, filters, learner: LearnerConfig| {
        let conv4 =
            Conv4Config { filters, downsample: Downsample::MaxPool, features: Features::Flatten };
        config(name, noise(84), size, NetworkConfig::Conv4(conv4), learner, 2)
    };
    let prototypical = || LearnerConfig::Prototypical(PrototypicalConfig::default());
    let config = match name {
        "maml-1q" => images(1, maml(Order::Second, 1), 32),
        "maml-15q" => images(15, maml(Order::Second, 1), 32),
        "maml-5step" => images(15, maml(Order::Second, 5), 32),
        "fomaml-5step" => images(15, maml(Order::First, 5), 32),
        "reptile" => images(1, reptile(), 5),
        "sinusoid" => {
            let mlp = MlpConfig { hidden: vec![40, 40], activation: Activation::Relu };
            let data = DataConfig::Sinusoid(SinusoidConfig::default());
            config(name, data, (1, 10, 10), NetworkConfig::Mlp(mlp), maml(Order::Second, 1), 25)
        }
        "prototypical-60w5s" => episodes((60, 5, 5), Downsample::MaxPool, prototypical(), 2),
        "prototypical-20w5s" => episodes((20, 5, 15), Downsample::MaxPool, prototypical(), 2),
        "miniimagenet-maml" => photographs((5, 1, 15), 32, maml(Order::Second, 5)),
        "miniimagenet-prototypical" => photographs((20, 5, 15), 64, prototypical()),
        "learned-optimizer" => learned_optimizer(name),
        "lstm" => return Some(Workload { name, task: Task::Lstm }),
        _ => return None,
    };
    Some(Workload { name, task: Task::Run(Box::new(config)) })
}

/// A folder of colour images that is nowhere: the pack that stands for it is noise.
fn noise(image_size: usize) -> DataConfig {
    DataConfig::Folder(FolderConfig {
        path: "noise".into(),
        lists: "".into(),
        colour: true,
        invert: false,
        held_out: [0.0, 0.0],
        split_seed: 0,
        images: ImageOptions { image_size, rotations: false },
    })
}

/// The pack of a workload's data that is nowhere: classes enough, and images enough in each; none for other data.
pub(super) fn noise_pack(data: &DataConfig) -> anyhow::Result<Option<Pack>> {
    let shape = data.shape();
    let (DataConfig::Folder(_), Shape::Image { height, width, channels }) = (data, shape) else {
        return Ok(None);
    };
    let mut builder = PackBuilder::new(height as u32, width as u32, channels as u32);
    for class in 0..NOISE_CLASSES {
        // A multiplicative hash (Knuth): neighbours differ, and so do classes.
        let from = class * NOISE_IMAGES * shape.len();
        let pixels = (from..from + NOISE_IMAGES * shape.len())
            .map(|at| ((at as u32).wrapping_mul(2_654_435_769) >> 24) as u8);
        builder.class(Split::Train, format!("noise{class}"), pixels.collect());
    }
    Ok(Some(builder.in_memory()?))
}

/// Second-order MAML on images, whose network the step between two meta-steps is measured with.
pub(super) fn step_between() -> RunConfig {
    let conv4 =
        Conv4Config { filters: 64, downsample: Downsample::Stride, features: Features::Flatten };
    let data = DataConfig::Glyphs(GlyphsConfig::default());
    let learner = maml(Order::Second, 1);
    config("step", data, (5, 1, 1), NetworkConfig::Conv4(conv4), learner, 1)
}

fn maml(order: Order, inner_steps: usize) -> LearnerConfig {
    LearnerConfig::Maml(MamlConfig { order, ..MamlConfig::plain(0.01, inner_steps) })
}

/// Ten steps on batches of ten images.
fn reptile() -> LearnerConfig {
    LearnerConfig::Reptile(ReptileConfig {
        inner_optimizer: InnerOptimizer::Sgd,
        inner_rate: 0.01,
        inner_steps: 10,
        evaluation_steps: 10,
        training_shots: Some(10),
        inner_batch: Some(10),
        evaluation_batch: None,
        carry_squares: false,
    })
}

/// Twenty steps, all of them unrolled, of a network of 784-20-10 on minibatches of 128.
fn learned_optimizer(name: &str) -> RunConfig {
    let mlp = MlpConfig { hidden: vec![20], activation: Activation::Sigmoid };
    let data = DataConfig::Glyphs(GlyphsConfig { classes: [10, 1, 1], ..GlyphsConfig::default() });
    let learner = LearnerConfig::LearnedOptimizer(LearnedOptimizerConfig {
        hidden: 20,
        inner_steps: 20,
        evaluation_steps: 20,
        unroll: 20,
        output_scale: 0.1,
        preprocess_p: 10.0,
        memory: 0,
        batch: 128,
        initial_deviation: None,
        loss_power: 0.0,
        order: Order::First,
        estimator: Estimator::BackPropagation,
    });
    config(name, data, (10, 0, 0), NetworkConfig::Mlp(mlp), learner, 1)
}

fn config(
    name: &str,
    data: DataConfig,
    (ways, shots, queries): (usize, usize, usize),
    network: NetworkConfig,
    learner: LearnerConfig,
    meta_batch: u64,
) -> RunConfig {
    RunConfig {
        name: name.to_owned(),
        seed: 0,
        data,
        episode: EpisodeConfig {
            ways,
            shots,
            queries,
            evaluation_ways: None,
            evaluation_shots: None,
            evaluation_queries: None,
            transductive: None,
            within_groups: 0.0,
            distortion: None,
            class_distortion: None,
        },
        network,
        learner,
        meta_optimizer: MetaOptimizerConfig {
            rule: Rule::Adam(AdamConfig::default()),
            rate: 1e-3,
            schedule: Schedule::Constant,
            clip_norm: None,
            clip_value: None,
        },
        training: TrainingConfig {
            meta_steps: u64::MAX,
            meta_batch,
            validate_every: 0,
            validation_episodes: 0,
            test_episodes: 0,
            checkpoint_every: 0,
            report_every: 0,
            precision: Precision::Float32,
            sums: Precision::Float32,
        },
        initialisation: None,
        farm: FarmConfig::default(),
        published: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_a_workload() {
        for name in NAMES {
            assert!(workload(name).is_some(), "{name}");
        }
    }
}
