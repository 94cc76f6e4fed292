//! A trained model at work: it adapts to a few labelled examples of classes that it never saw, and says what others are.

use lyceum_common::config::RunConfig;
use lyceum_common::ids::{EpisodeIndex, Split};
use lyceum_common::model::ModelError;
use lyceum_common::seed::Seed;
use ndarray::{Array2, ArrayView2, Axis, s};

use crate::episodes::{Batch, Episode};
use crate::learners::{Extent, Registered, Setting, learner};
use crate::work::{BuildOptions, network, setting};

/// Query examples that are predicted together where none sees another.
const TOGETHER: usize = 64;

/// Why a model cannot be put to this work.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    /// The network cannot read the data's examples.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It was not trained to tell classes apart.
    #[error("the model tells no classes apart: it learned to predict values, or to optimise")]
    ClassifiesNothing,
    /// A head has an output for each class that it was trained on.
    #[error("{ways} classes, and this model's head tells {outputs} apart")]
    Ways {
        /// Classes given.
        ways: usize,
        /// Outputs of the head.
        outputs: usize,
    },
    /// What it says of a query example is not finite.
    #[error(
        "the adaptation diverged: scores are not finite; take fewer inner steps, or images that are more like those of the training"
    )]
    Diverged,
    /// Too few of something.
    #[error("{there} {what}, and it takes {least} or more")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many there are.
        there: usize,
        /// How many there should be.
        least: usize,
    },
    /// Other numbers than the model has.
    #[error("{what} of {found} numbers, and the model's has {expected}")]
    Length {
        /// What is too long or too short.
        what: &'static str,
        /// How many numbers it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
}

/// What a model says of query examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Of each the class, as the support set counts them.
    pub classes: Vec<usize>,
    /// `[queries, ways]`: what speaks for each class, from 0 to 1. These are probabilities that sum to one, but of relation
    /// networks their scores, and of siamese networks how probable it is that the likeliest of the class's support examples
    /// shows the same.
    pub scores: Array2<f64>,
}

/// Adapts the model of `config` and `parameters`, in the layout's order, to a support set, `[shots, example]` of each class,
/// and predicts queries `[queries, example]`. Examples are as episodes have them: images row by row, channels last, a
/// pixel's byte divided by 255. Those of a class that has fewer than another count several times, in turn, until it has as
/// many.
///
/// All queries are one batch where query examples see one another (`options.transductive`, or the learner's way); else each
/// is predicted as if it were alone.
///
/// # Errors
/// Where the model does not classify, or cannot tell so many classes apart, or something is of another length than the
/// model's; and where the adaptation diverges.
pub fn predict(
    config: &RunConfig,
    parameters: &[f32],
    support: &[ArrayView2<'_, f32>],
    queries: &ArrayView2<'_, f32>,
    options: BuildOptions,
) -> Result<Predictions, AdaptError> {
    let ways = support.len();
    let counts = || support.iter().map(ArrayView2::nrows);
    for (what, there, least) in [
        ("classes", ways, 2),
        ("support examples of a class", counts().min().unwrap_or(0), 1),
        ("query examples", queries.nrows(), 1),
    ] {
        if there < least {
            return Err(AdaptError::TooFew { what, there, least });
        }
    }
    let outputs = config.outputs();
    if !config.classifies() {
        return Err(AdaptError::ClassifiesNothing);
    }
    if ways != outputs && !config.learner.is_metric() {
        return Err(AdaptError::Ways { ways, outputs });
    }
    let network = network(config)?;
    let order = network.order(&config.learner.layout(network.layout()));
    let length = network.input_len();
    let lengths = support.iter().map(|examples| ("a support example", examples.ncols(), length));
    let lengths = lengths.chain([
        ("a query example", queries.ncols(), length),
        ("parameters", parameters.len(), order.len()),
    ]);
    for (what, found, expected) in lengths {
        if found != expected {
            return Err(AdaptError::Length { what, found, expected });
        }
    }

    let setting = setting(config, &network, options);
    let limit = if setting.transductive { usize::MAX } else { TOGETHER };
    let together = queries.nrows().min(limit);
    let shots = counts().max().unwrap_or(0);
    let extent = Extent { ways, shots, queries: together };
    let setting = Setting { evaluation: extent, abreast: 1, ..setting };
    let Registered::OfEpisodes(learner) = learner::<f32>(&config.learner, &setting) else {
        unreachable!("a learned optimizer classifies nothing")
    };
    let mut learner = learner.thread();
    let theta: Vec<f32> = order.iter().map(|&place| parameters[place as usize]).collect();
    let seed = Seed::of_run(config.seed).evaluation_on(Split::Test).episode(EpisodeIndex(0));
    let mut episode = Episode {
        support: Batch { inputs: as_many(support, shots), targets: one_hot(ways, shots) },
        // What they are is not known, and nothing but the loss asks.
        query: Batch { inputs: Vec::new(), targets: vec![0.0; together * ways] },
    };
    let mut predictions = Predictions { classes: Vec::new(), scores: Array2::zeros((0, ways)) };
    for some in queries.axis_chunks_iter(Axis(0), together) {
        episode.query.inputs.clear();
        episode.query.inputs.extend(some.iter());
        episode.query.inputs.resize(together * length, 0.0);
        learner.evaluate(&theta, &episode, seed);
        let (objective, frame) = learner.evaluated();
        let scores = Array2::from_shape_vec((together, ways), objective.scores(frame, ways));
        let scores = scores.expect("a score for every query and class");
        let known = scores.slice(s![..some.nrows(), ..]);
        if !known.iter().all(|score| score.is_finite()) {
            return Err(AdaptError::Diverged);
        }
        predictions.scores.append(Axis(0), known).expect("rows of one length");
        predictions.classes.extend(objective.classes(frame, ways).take(some.nrows()));
    }
    Ok(predictions)
}

/// The examples of every class, again from its first one on until there are `shots` of it.
fn as_many(support: &[ArrayView2<'_, f32>], shots: usize) -> Vec<f32> {
    let of_class = |examples: &ArrayView2<'_, f32>| {
        let rows = (0..shots).map(|shot| shot % examples.nrows());
        rows.flat_map(|row| examples.row(row).to_vec()).collect::<Vec<_>>()
    };
    support.iter().flat_map(of_class).collect()
}

/// Classes in their order, `shots` times each.
fn one_hot(ways: usize, shots: usize) -> Vec<f32> {
    let rows = (0..ways).flat_map(|way| std::iter::repeat_n(way, shots));
    rows.flat_map(|way| (0..ways).map(move |other| if other == way { 1.0 } else { 0.0 })).collect()
}

#[cfg(test)]
mod tests;
