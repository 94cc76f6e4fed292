//! `lyceum adapt`: a trained model at work.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lyceum_common::config::RunConfig;
use lyceum_common::data::OwnImages;
use lyceum_worker::adapt::predict;
use lyceum_worker::episodes::intensity;
use ndarray::Array2;
use serde::Serialize;

use crate::output::{print, tell};
use crate::place::Places;
use crate::trained::{Norm, Origin, Trained, set_steps};

/// Puts a trained model to work: it adapts to a few labelled images of classes that it need not have seen, and says which
/// of them other images show.
///
/// Images are PNG or JPEG files of any size. The score of a class is its probability, but for relation and siamese networks,
/// which score each class on its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Adapt {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    /// The labelled images: a folder with a folder for each class. A class with fewer images than another has them again, in
    /// turn, until it has as many
    #[arg(long, value_name = "DIR")]
    support: PathBuf,
    /// The images to be told: a folder of them, or one file
    #[arg(long, value_name = "PATH")]
    query: PathBuf,
    /// Turns dark into bright and bright into dark, where these images have it the other way round than the model's:
    /// drawings are dark on bright, IDX files bright on dark, a folder's images as they were said to be
    #[arg(long)]
    invert: bool,
    /// Inner steps; the run's where absent
    #[arg(long)]
    steps: Option<usize>,
    /// The parameters after so many meta-steps, of which a checkpoint is kept; the best so far where absent
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    #[command(flatten)]
    norm: Norm,
    #[command(flatten)]
    places: Places,
    /// Prints one JSON object, with the score of every class
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Results {
    digest: String,
    #[serde(flatten)]
    origin: Origin,
    run: String,
    transductive: bool,
    classes: Vec<String>,
    predictions: Vec<Prediction>,
}

#[derive(Debug, Serialize)]
struct Prediction {
    file: String,
    class: String,
    /// In the order of the classes.
    scores: Vec<f64>,
}

impl Adapt {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut trained = Trained::open(&self.places, &self.run, None)?;
        if let Some(steps) = self.steps {
            set_steps(&mut trained.config, steps)?;
            trained.config.validate()?;
        }
        let config = &trained.config;
        self.norm.check(config)?;
        let model = trained.model(self.step)?;
        if model.origin.unfinished_at().is_some() {
            tell(&format!("{}: {}", trained.folder.path().display(), model.origin));
        }
        let like = OwnImages::like(&config.data).with_context(|| {
            format!("{}: data.{} has no images", self.run.display(), config.data.kind())
        })?;
        let like = if self.invert { like.inverted() } else { like };
        let (classes, support) = support(config, like, &self.support).context("--support")?;
        let (files, queries) = queries(config, like, &self.query).context("--query")?;
        if self.norm.is_transductive(config) && !self.norm.is_chosen() {
            tell(
                "each image is told with the others beside it, as in evaluation; --inductive tells it by itself",
            );
        }
        let options = self.norm.build_options();
        let views: Vec<_> = support.iter().map(|images| images.view()).collect();
        let predicted =
            predict(config, model.parameters.values(), &views, &queries.view(), options)
                .with_context(|| self.run.display().to_string())?;
        let said = predicted.classes.into_iter().zip(predicted.scores.rows());
        let predictions = files.into_iter().zip(said).map(|(file, (class, scores))| Prediction {
            file,
            class: classes[class].clone(),
            scores: scores.to_vec(),
        });
        let results = Results {
            digest: model.digest(),
            origin: model.origin,
            run: trained.folder.path().display().to_string(),
            transductive: self.norm.is_transductive(config),
            predictions: predictions.collect(),
            classes,
        };
        print(&if self.json { serde_json::to_string(&results)? } else { table(&results) })
    }
}

/// The classes' names, and the images of each, `[shots, pixels]`.
fn support(
    config: &RunConfig,
    like: OwnImages,
    folder: &Path,
) -> anyhow::Result<(Vec<String>, Vec<Array2<f32>>)> {
    let length = config.data.shape().len();
    let images = |pixels: Vec<u8>| {
        let intensities: Vec<f32> = pixels.into_iter().map(intensity).collect();
        Array2::from_shape_vec((intensities.len() / length, length), intensities)
    };
    let (mut names, mut support) = (Vec::new(), Vec::new());
    for (name, pixels) in like.classes(folder)? {
        names.push(name);
        support.push(images(pixels)?);
    }
    Ok((names, support))
}

/// The files, and their images `[queries, pixels]`.
fn queries(
    config: &RunConfig,
    like: OwnImages,
    path: &Path,
) -> anyhow::Result<(Vec<String>, Array2<f32>)> {
    let images = like.images(path)?;
    let extent = (images.len(), config.data.shape().len());
    let pixels = images.iter().flat_map(|(_, pixels)| pixels).map(|&byte| intensity(byte));
    let pixels = Array2::from_shape_vec(extent, pixels.collect())?;
    Ok((images.iter().map(|(file, _)| file.display().to_string()).collect(), pixels))
}

/// A line an image.
fn table(results: &Results) -> String {
    let rows = results.predictions.iter().map(|Prediction { file, class, scores }| {
        let score = scores.iter().copied().fold(0.0, f64::max);
        [file.clone(), class.clone(), format!("{score:.3}")]
    });
    let head = ["image", "class", "score"].map(str::to_owned);
    let rows: Vec<[String; 3]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    let line = |[file, class, score]: &[String; 3]| {
        format!("{file:<first$}  {class:<second$}  {score:>5}")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
