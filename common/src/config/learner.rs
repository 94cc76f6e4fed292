//! What is meta-learned, and how it adapts.

use serde::{Deserialize, Serialize};

/// A learner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnerConfig {
    /// MAML, first-order MAML and ANIL.
    Maml(MamlConfig),
    /// Meta-SGD: a rate per parameter is learned as well.
    MetaSgd(MetaSgdConfig),
    /// Reptile.
    Reptile(ReptileConfig),
    /// Prototypical networks.
    Prototypical(PrototypicalConfig),
    /// Matching networks.
    Matching(MatchingConfig),
    /// Siamese networks.
    Siamese(SiameseConfig),
    /// Relation networks.
    Relation(RelationConfig),
    /// A learned optimizer.
    LearnedOptimizer(LearnedOptimizerConfig),
}

/// Model-agnostic meta-learning (Finn et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MamlConfig {
    /// `second` is exact; `first` leaves the Hessian out.
    #[serde(default)]
    pub order: Order,
    /// What the inner loop changes: `all`, or the `head` alone (ANIL, Raghu et al. 2020).
    #[serde(default)]
    pub adapt: Adapt,
    /// The inner rate α, on the mean loss over the support set.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
    /// Clipping of inner gradients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_clip: Option<InnerClip>,
}

/// How much of the meta-gradient is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// First-order: the inner loop's Jacobian is taken for the identity.
    First,
    /// Exact.
    #[default]
    Second,
}

/// Which parameters the inner loop changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adapt {
    /// All.
    #[default]
    All,
    /// The head's: "almost no inner loop".
    Head,
}

/// A bound on the inner gradient's elements. Where it clips, the exact meta-gradient passes nothing through.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerClip {
    /// Each element is kept within ± this.
    pub value: f32,
}

/// Meta-SGD (Li et al. 2017): the initialisation and a rate per parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSgdConfig {
    /// The rates begin uniform in this range.
    #[serde(default = "initial_rates")]
    pub initial_rates: [f32; 2],
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
}

fn initial_rates() -> [f32; 2] {
    [0.005, 0.1]
}

/// Reptile (Nichol et al. 2018): moves towards the adapted parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReptileConfig {
    /// What takes the inner steps.
    pub inner_optimizer: InnerOptimizer,
    /// The inner rate.
    pub inner_rate: f32,
    /// Inner steps in training.
    pub inner_steps: usize,
    /// Inner steps in evaluation.
    pub evaluation_steps: usize,
    /// Support examples a class that the inner loop trains on; the episode's shots where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_shots: Option<usize>,
    /// Examples an inner step in training; the whole support set where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_batch: Option<usize>,
    /// Examples an inner step in evaluation; the whole support set where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_batch: Option<usize>,
}

/// What takes Reptile's inner steps. Its state starts anew in every episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InnerOptimizer {
    /// Plain gradient descent.
    Sgd,
    /// Adam.
    Adam(AdamConfig),
}

/// Adam's constants (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Prototypical networks (Snell et al. 2017): the nearest class mean in a learned space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrototypicalConfig {
    /// How near a query is to a class's mean.
    #[serde(default)]
    pub distance: Distance,
}

/// Matching networks (Vinyals et al. 2016): attention over the support examples, without full-context embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchingConfig {}

/// Siamese networks (Koch et al. 2015): a weighted distance, trained on every pair of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiameseConfig {}

/// Relation networks (Sung et al. 2018): a module learns to compare feature maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationConfig {}

/// What tells how near two feature vectors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The square of the Euclidean distance.
    #[default]
    SquaredEuclidean,
    /// One minus the cosine of the angle between them.
    Cosine,
}

/// Learning to learn by gradient descent by gradient descent (Andrychowicz et al. 2016): a coordinatewise LSTM of two
/// layers reads an optimizee's gradient and says how to change its parameters. The network is the optimizee's, and an
/// episode is the training of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedOptimizerConfig {
    /// Size of each layer's state.
    #[serde(default = "hidden")]
    pub hidden: usize,
    /// Steps that an optimizee is trained for in training.
    pub inner_steps: usize,
    /// Steps that an optimizee is trained for in evaluation.
    pub evaluation_steps: usize,
    /// Steps that the meta-gradient goes back through: the trajectory's segments.
    #[serde(default = "unroll")]
    pub unroll: usize,
    /// What the LSTM's output is multiplied by.
    #[serde(default = "output_scale")]
    pub output_scale: f32,
    /// The constant p of the preprocessing of gradients: those below e⁻ᵖ are not told by their logarithm.
    #[serde(default = "preprocess_p")]
    pub preprocess_p: f32,
    /// Examples in a step's minibatch; a quadratic has examples of its own.
    #[serde(default = "batch")]
    pub batch: usize,
    /// The optimizee's parameters begin normal with this deviation; as the network has them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_deviation: Option<f32>,
    /// The loss after step t of T counts (t / T) to this power in the meta-loss: 0, as in the paper, counts all alike; more
    /// looks at where trainings end.
    #[serde(default)]
    pub loss_power: f32,
    /// `first` holds the optimizee's gradients constant, as the paper does; `second` is exact within a segment.
    #[serde(default = "first_order")]
    pub order: Order,
    /// Where the meta-gradient comes from.
    #[serde(default)]
    pub estimator: Estimator,
}

/// Where a learned optimizer's meta-gradient comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Estimator {
    /// Back-propagation through each of the trajectory's segments.
    #[default]
    BackPropagation,
    /// Persistent evolution strategies (Vicol et al. 2021): unbiased over the whole trajectory.
    Pes {
        /// The standard deviation σ of the perturbations.
        deviation: f32,
        /// Antithetic pairs an episode.
        #[serde(default = "pairs")]
        pairs: usize,
    },
}

fn hidden() -> usize {
    20
}

fn unroll() -> usize {
    20
}

fn output_scale() -> f32 {
    0.1
}

fn preprocess_p() -> f32 {
    10.0
}

fn batch() -> usize {
    128
}

fn first_order() -> Order {
    Order::First
}

fn pairs() -> usize {
    1
}

impl LearnerConfig {
    /// Whether it learns a space to compare examples in, rather than something that an inner loop starts from: then
    /// nothing in it depends on the number of ways, and batch norm keeps running statistics for evaluation.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        matches!(
            self,
            Self::Prototypical(_) | Self::Matching(_) | Self::Siamese(_) | Self::Relation(_)
        )
    }

    /// Support examples a class in training, where they are not the episode's shots.
    #[must_use]
    pub fn training_shots(&self) -> Option<usize> {
        if let Self::Reptile(reptile) = self { reptile.training_shots } else { None }
    }

    /// Inner steps in evaluation, of learners that take some.
    pub fn evaluation_steps_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Maml(maml) => Some(&mut maml.evaluation_steps),
            Self::MetaSgd(meta_sgd) => Some(&mut meta_sgd.evaluation_steps),
            Self::Reptile(reptile) => Some(&mut reptile.evaluation_steps),
            Self::LearnedOptimizer(optimizer) => Some(&mut optimizer.evaluation_steps),
            Self::Prototypical(_) | Self::Matching(_) | Self::Siamese(_) | Self::Relation(_) => {
                None
            }
        }
    }
}
