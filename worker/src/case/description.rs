//! What a case was computed with: the flat TOML file.

use lyceum_common::config::{
    Activation, Adapt, Conv4Config, Downsample, Features, ImamlConfig, InitialHead, InnerOptimizer,
    LearnerConfig, MamlConfig, MatchingConfig, MetaCurvatureConfig, MetaSgdConfig, MlpConfig,
    MultiStepLoss, NetworkConfig, Order, PrototypicalConfig, RelationConfig, ReptileConfig, Shape,
    SiameseConfig,
};
use serde::Deserialize;

/// Names of the algorithms whose cases can be computed.
pub const ALGORITHMS: [&str; 14] = [
    "maml",
    "fomaml",
    "anil",
    "maml_plus_plus",
    "proto_maml",
    "imaml",
    "meta_sgd",
    "meta_curvature",
    "reptile",
    "prototypical",
    "matching",
    "siamese",
    "relation",
    LEARNED_OPTIMIZER,
];

/// The name of the algorithm whose cases have an optimizee instead of support and query sets.
pub(super) const LEARNED_OPTIMIZER: &str = "learned_optimizer";

/// The algorithm and the hyper-parameters that a case was computed with. What a key means, and whether it is needed,
/// depends on the algorithm and the network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The algorithm's name: one of [`ALGORITHMS`] for those that can be computed.
    pub algorithm: String,
    /// `conv4` or `mlp`; `relation` for relation networks.
    pub network: Option<String>,
    /// How conv4 halves images: `stride` or `max_pool`, or `relation` for pools in the first two blocks alone.
    pub downsample: Option<String>,
    /// Channels of conv4's blocks.
    pub filters: Option<usize>,
    /// Channels of an image.
    pub channels: Option<usize>,
    /// Rows and columns of an image.
    pub image_size: Option<usize>,
    /// Sizes of an MLP's hidden layers; for a learned optimizer, of its state.
    pub hidden: Option<Hidden>,
    /// An MLP's non-linearity.
    pub activation: Option<Activation>,
    /// `mse` for regression; cross-entropy where absent.
    pub loss: Option<String>,
    /// Classes; 1 for regression.
    pub ways: Option<usize>,
    /// Support examples a class.
    pub shots: Option<usize>,
    /// Query examples a class.
    pub queries: Option<usize>,
    /// The inner rate, on the mean loss.
    pub inner_lr: Option<f32>,
    /// Inner steps; of a learned optimizer, those of the whole trajectory, which is one segment where absent.
    pub inner_steps: Option<usize>,
    /// Meta-steps after which the last inner step's loss counts alone in MAML++.
    pub multi_step_meta_steps: Option<usize>,
    /// The meta-step that the episode is of, from 0 on: the first where absent.
    pub meta_step: Option<u64>,
    /// λ of iMAML.
    pub regularisation: Option<f32>,
    /// What conjugate gradients add to λ in iMAML: nothing where absent.
    pub damping: Option<f32>,
    /// Steps of conjugate gradients in iMAML.
    pub conjugate_gradient_steps: Option<usize>,
    /// What a learned optimizer trains: `quadratic` or `mlp`.
    pub optimizee: Option<String>,
    /// A quadratic's dimension.
    pub dimension: Option<usize>,
    /// Sizes of an optimizee's layers.
    pub layers: Option<Vec<usize>>,
    /// Examples in an optimizee's minibatch.
    pub batch: Option<usize>,
    /// Steps that a learned optimizer is unrolled for: a segment's.
    pub unroll: Option<usize>,
    /// Where a learned optimizer's meta-gradient comes from: `pes`, or `back_propagation` where absent.
    pub estimator: Option<String>,
    /// The standard deviation σ of PES's perturbations.
    pub deviation: Option<f32>,
    /// Antithetic pairs of PES.
    pub pairs: Option<usize>,
    /// What a learned optimizer's output is multiplied by.
    pub output_scale: Option<f64>,
    /// Pairs that a learned optimizer remembers; none where absent.
    pub memory: Option<usize>,
    /// The constant p of the preprocessing of gradients.
    pub preprocess_p: Option<f64>,
}

/// One size, or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Hidden {
    /// A learned optimizer's.
    One(usize),
    /// An MLP's.
    Several(Vec<usize>),
}

impl Description {
    /// The learner, where [`ALGORITHMS`] has it. An error is the key and what is wrong.
    pub(super) fn learner(&self) -> Result<LearnerConfig, (&'static str, String)> {
        let inner_steps = || sized("inner_steps", self.inner_steps);
        let plain = || -> Result<MamlConfig, (&'static str, String)> {
            Ok(MamlConfig::plain(finite("inner_lr", self.inner_lr)?, inner_steps()?))
        };
        match self.algorithm.as_str() {
            "maml" => Ok(LearnerConfig::Maml(plain()?)),
            "fomaml" => Ok(LearnerConfig::Maml(MamlConfig { order: Order::First, ..plain()? })),
            "anil" => Ok(LearnerConfig::Maml(MamlConfig { adapt: Adapt::Head, ..plain()? })),
            // The rates are among the parameters; what they began with does not matter.
            "maml_plus_plus" => {
                let meta_steps = sized("multi_step_meta_steps", self.multi_step_meta_steps)?;
                Ok(LearnerConfig::Maml(MamlConfig {
                    multi_step_loss: Some(MultiStepLoss { meta_steps: meta_steps as u64 }),
                    learned_rates: true,
                    batch_norm_per_step: true,
                    ..MamlConfig::plain(0.0, inner_steps()?)
                }))
            }
            "proto_maml" => Ok(LearnerConfig::Maml(MamlConfig {
                initial_head: InitialHead::Prototypes,
                ..plain()?
            })),
            "imaml" => Ok(LearnerConfig::Imaml(ImamlConfig {
                regularisation: positive("regularisation", self.regularisation)?,
                damping: not_negative("damping", self.damping.unwrap_or(0.0))?,
                inner_rate: finite("inner_lr", self.inner_lr)?,
                inner_steps: inner_steps()?,
                evaluation_steps: inner_steps()?,
                conjugate_gradient_steps: sized(
                    "conjugate_gradient_steps",
                    self.conjugate_gradient_steps,
                )?,
            })),
            // The rates are among the parameters; the range that they began in does not matter.
            "meta_sgd" => Ok(LearnerConfig::MetaSgd(MetaSgdConfig {
                initial_rates: [0.0, 0.0],
                inner_steps: inner_steps()?,
                evaluation_steps: inner_steps()?,
            })),
            "meta_curvature" => Ok(LearnerConfig::MetaCurvature(MetaCurvatureConfig {
                inner_rate: finite("inner_lr", self.inner_lr)?,
                inner_steps: inner_steps()?,
                evaluation_steps: inner_steps()?,
            })),
            "prototypical" => Ok(LearnerConfig::Prototypical(PrototypicalConfig::default())),
            "matching" => Ok(LearnerConfig::Matching(MatchingConfig::default())),
            "siamese" => Ok(LearnerConfig::Siamese(SiameseConfig::default())),
            "relation" => Ok(LearnerConfig::Relation(RelationConfig {})),
            "reptile" => Ok(LearnerConfig::Reptile(ReptileConfig {
                inner_optimizer: InnerOptimizer::Sgd,
                inner_rate: finite("inner_lr", self.inner_lr)?,
                inner_steps: inner_steps()?,
                evaluation_steps: inner_steps()?,
                training_shots: None,
                inner_batch: None,
                evaluation_batch: None,
                carry_squares: false,
            })),
            LEARNED_OPTIMIZER => {
                Err(("algorithm", "a learned optimizer has no support and query sets".into()))
            }
            other => {
                Err(("algorithm", format!("`{other}` is not one of {}", ALGORITHMS.join(", "))))
            }
        }
    }

    /// The network, and the shape of what it reads.
    pub(super) fn network(&self) -> Result<(NetworkConfig, Shape), (&'static str, String)> {
        match needed("network", self.network.as_deref())? {
            "conv4" | "relation" => {
                let downsample = match needed("downsample", self.downsample.as_deref())? {
                    "stride" => Downsample::Stride,
                    "max_pool" => Downsample::MaxPool,
                    "relation" => Downsample::MaxPoolTwice,
                    other => {
                        return Err((
                            "downsample",
                            format!("`{other}` is not one of stride, max_pool, relation"),
                        ));
                    }
                };
                let filters = sized("filters", self.filters)?;
                let size = sized("image_size", self.image_size)?;
                let channels = sized("channels", self.channels)?;
                let network = Conv4Config { filters, downsample, features: Features::Flatten };
                Ok((
                    NetworkConfig::Conv4(network),
                    Shape::Image { height: size, width: size, channels },
                ))
            }
            "mlp" => {
                let hidden = match needed("hidden", self.hidden.clone())? {
                    Hidden::Several(sizes) => sizes,
                    Hidden::One(size) => vec![size],
                };
                hidden.iter().try_for_each(|&size| sized("hidden", Some(size)).map(drop))?;
                let activation = needed("activation", self.activation)?;
                Ok((
                    NetworkConfig::Mlp(MlpConfig { hidden, activation }),
                    Shape::Vector { length: 1 },
                ))
            }
            other => Err(("network", format!("`{other}` is not one of conv4, relation, mlp"))),
        }
    }

    /// Classes, or none for regression.
    pub(super) fn classes(&self) -> Result<Option<usize>, (&'static str, String)> {
        match self.loss.as_deref() {
            None | Some("cross_entropy") => sized("ways", self.ways).map(Some),
            Some("mse") => Ok(None),
            Some(other) => Err(("loss", format!("`{other}` is neither mse nor cross_entropy"))),
        }
    }
}

pub(super) fn needed<T>(key: &'static str, value: Option<T>) -> Result<T, (&'static str, String)> {
    value.ok_or_else(|| (key, "the key is missing".to_owned()))
}

/// A size or a number of steps, of which a case has one at least.
pub(super) fn sized(
    key: &'static str,
    value: Option<usize>,
) -> Result<usize, (&'static str, String)> {
    const MOST: usize = 4096;
    match needed(key, value)? {
        size @ 1..=MOST => Ok(size),
        other => Err((key, format!("must be from 1 to {MOST}, and is {other}"))),
    }
}

/// A number that may be anything but infinite or none.
pub(super) fn finite(key: &'static str, value: Option<f32>) -> Result<f32, (&'static str, String)> {
    match needed(key, value)? {
        number if number.is_finite() => Ok(number),
        other => Err((key, format!("must be finite, and is {other}"))),
    }
}

fn not_negative(key: &'static str, number: f32) -> Result<f32, (&'static str, String)> {
    if number >= 0.0 && number.is_finite() {
        Ok(number)
    } else {
        Err((key, format!("must be 0 or above, and is {number}")))
    }
}

/// A number that is divided by.
pub(super) fn positive(
    key: &'static str,
    value: Option<f32>,
) -> Result<f32, (&'static str, String)> {
    match needed(key, value)? {
        number if number > 0.0 && number.is_finite() => Ok(number),
        other => Err((key, format!("must be above 0, and is {other}"))),
    }
}
