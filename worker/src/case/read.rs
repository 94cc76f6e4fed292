//! Reading a case's pair of files, and turning it into what a learner takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lyceum_common::config::{InitialHead, LearnerConfig, NetworkConfig, Shape};
use lyceum_common::layout::{Layout, Role};
use lyceum_common::model::{ModelError, network_layout};
use safetensors::{Dtype, SafeTensors};

use super::description::Description;
use crate::episodes::{Batch, Episode};

/// A tensor of a case, in f64 whatever the file has: f32 and whole labels are exact in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its extents, outermost first.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Vec<f64>,
}

/// One episode from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The path, without an ending.
    pub path: PathBuf,
    /// The algorithm and its hyper-parameters.
    pub description: Description,
    /// The meta-parameters, by name.
    pub parameters: BTreeMap<String, Tensor>,
    /// The episode's tensors, by name.
    pub episode: BTreeMap<String, Tensor>,
    /// What another framework found; absent where the file does not say.
    pub expected: Option<Expected>,
}

/// What another framework found.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The loss that the meta-gradient is of.
    pub loss: f64,
    /// The query outputs.
    pub output: Tensor,
    /// The meta-gradient, by the parameters' names.
    pub meta_gradient: BTreeMap<String, Tensor>,
    /// The changes of batch norm's running statistics, by their names; where there are none, none are compared.
    pub changes: BTreeMap<String, Tensor>,
}

/// What this system found.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseResult {
    /// The loss that the meta-gradient is of: the query loss after adaptation.
    pub loss: f64,
    /// The query outputs after adaptation, `[queries, outputs]`.
    pub output: Vec<f32>,
    /// The meta-gradient, in the order of `layout`.
    pub meta_gradient: Vec<f32>,
    /// The names and shapes of the meta-gradient.
    pub layout: Layout,
    /// The changes of batch norm's running statistics, by their names.
    pub changes: BTreeMap<String, Vec<f32>>,
}

/// A case of a learner that adapts a network to a support set.
#[derive(Clone, Debug)]
pub struct FewShot {
    /// How it adapts.
    pub learner: LearnerConfig,
    /// What it adapts.
    pub network: NetworkConfig,
    /// The shape of an example.
    pub shape: Shape,
    /// Classes; none for regression.
    pub classes: Option<usize>,
    /// Names and shapes of the meta-parameters.
    pub layout: Layout,
    /// The meta-parameters, in the layout's order.
    pub parameters: Vec<f32>,
    /// The episode; images are channels last, labels one-hot.
    pub episode: Episode,
}

/// Why a case cannot be read or computed.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file cannot be read.
    #[error("{}: cannot read the file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The TOML file is none, or has keys or values that are not a case's.
    #[error("{}: {problem}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The safetensors file is none.
    #[error("{}: not a safetensors file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing, or is not what it must be.
    #[error("{}: tensor `{name}`: {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The network cannot read such examples.
    #[error("{}: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
}

impl Case {
    /// Reads `PATH.toml` and `PATH.safetensors`; an ending of either is taken off `path` first.
    ///
    /// # Errors
    /// Where a file is missing or is not a case's.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        let stem = match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml" | "safetensors") => path.with_extension(""),
            _ => path.to_owned(),
        };
        let description = read_description(&with_ending(&stem, "toml"))?;
        let file = with_ending(&stem, "safetensors");
        let bytes = std::fs::read(&file)
            .map_err(|source| CaseError::Read { path: file.clone(), source })?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|source| CaseError::Format { path: file.clone(), source })?;
        let mut sections = Sections::default();
        for (name, view) in tensors.iter() {
            let values = numbers(view.dtype(), view.data()).ok_or_else(|| {
                tensor_error(&file, name, format!("{} is not read here", view.dtype()))
            })?;
            sections.add(name, Tensor { shape: view.shape().to_vec(), values });
        }
        let expected = sections.expected(&file)?;
        if let Some(name) = sections.rest.keys().next() {
            let problem = "is none of params/…, episode/…, expect/loss, expect/output, expect/meta_gradient/… and expect/change/…";
            return Err(tensor_error(&file, name, problem.to_owned()));
        }
        Ok(Self {
            path: stem,
            description,
            parameters: sections.parameters,
            episode: sections.episode,
            expected,
        })
    }

    /// The case as one of a learner that adapts a network to a support set.
    ///
    /// # Errors
    /// Where its algorithm is another one, or a key or tensor is missing or of another shape.
    pub fn few_shot(&self) -> Result<FewShot, CaseError> {
        let described = |error| self.described(error);
        let learner = self.description.learner().map_err(described)?;
        let (network, shape) = self.description.network().map_err(described)?;
        let has_prototypes = matches!(
            &learner,
            LearnerConfig::Maml(maml) if maml.initial_head == InitialHead::Prototypes
        );
        if has_prototypes && !matches!(network, NetworkConfig::Conv4(_)) {
            let problem = "prototypes are means of what an encoder makes: use conv4".to_owned();
            return Err(described(("network", problem)));
        }
        let classes = self.description.classes().map_err(described)?;
        if classes.is_none() && (learner.is_metric() || has_prototypes) {
            let problem =
                format!("{} compares classes, and mse has none", self.description.algorithm);
            return Err(described(("loss", problem)));
        }
        let head = learner.head(classes.unwrap_or(1));
        let network_layout = network_layout(&network, shape, head)
            .map_err(|source| CaseError::Model { path: with_ending(&self.path, "toml"), source })?;
        let layout = learner.layout(&network_layout);
        let parameters = self.flat(&layout)?;
        let known = ["support.x", "support.y", "query.x", "query.y"];
        if let Some(name) = self.episode.keys().find(|name| !known.contains(&name.as_str())) {
            let problem = format!("is none of an episode's, which are {}", known.join(", "));
            return Err(self.tensor_error(&format!("episode/{name}"), problem));
        }
        let episode = Episode {
            support: self.batch("support", shape, classes)?,
            query: self.batch("query", shape, classes)?,
        };
        let ways = classes.unwrap_or(1);
        let examples = episode.support.targets.len() / ways;
        if !examples.is_multiple_of(ways) {
            let problem = format!("has {examples} labels, which are not as many of {ways} classes");
            return Err(self.tensor_error("episode/support.y", problem));
        }
        if learner.is_metric() || has_prototypes {
            self.require_class_major("support", &episode.support, ways)?;
        }
        Ok(FewShot { learner, network, shape, classes, layout, parameters, episode })
    }

    pub(super) fn flat(&self, layout: &Layout) -> Result<Vec<f32>, CaseError> {
        let mut flat = Vec::new();
        for entry in layout.entries() {
            let name = format!("params/{}", entry.name);
            let Some(tensor) = self.parameters.get(&entry.name) else {
                if entry.role == Role::Buffer {
                    // No episode's meta-gradient depends on running values, so files may leave them out.
                    flat.resize(entry.range().end, 0.0);
                    continue;
                }
                return Err(self.tensor_error(&name, "is missing".to_owned()));
            };
            if tensor.shape != entry.shape {
                let problem =
                    format!("has shape {:?}, and {:?} is needed", tensor.shape, entry.shape);
                return Err(self.tensor_error(&name, problem));
            }
            flat.extend(tensor.values.iter().map(|&value| value as f32));
        }
        if let Some(name) = self.parameters.keys().find(|name| layout.get(name).is_none()) {
            return Err(self.tensor_error(
                &format!("params/{name}"),
                "is no parameter of this network".to_owned(),
            ));
        }
        Ok(flat)
    }

    /// The examples and targets of `side`: images channels last, labels one-hot.
    fn batch(&self, side: &str, shape: Shape, classes: Option<usize>) -> Result<Batch, CaseError> {
        let tensor = |axis: &str| {
            let name = format!("{side}.{axis}");
            let found = self.episode.get(&name);
            found.ok_or_else(|| {
                self.tensor_error(&format!("episode/{name}"), "is missing".to_owned())
            })
        };
        let (x, y) = (tensor("x")?, tensor("y")?);
        let count = y.shape.first().copied().unwrap_or(0);
        if count == 0 {
            let problem = "holds no label, where one of every example is needed".to_owned();
            return Err(self.tensor_error(&format!("episode/{side}.y"), problem));
        }
        let example = match shape {
            Shape::Image { height, width, channels } => vec![channels, height, width],
            Shape::Vector { length } => vec![length],
        };
        let wanted: Vec<usize> = [count].into_iter().chain(example).collect();
        if x.shape != wanted {
            let problem = format!("has shape {:?}, and {wanted:?} is needed", x.shape);
            return Err(self.tensor_error(&format!("episode/{side}.x"), problem));
        }
        let targets = match classes {
            _ if y.values.len() != count => None,
            Some(classes) => one_hot(&y.values, classes),
            None => Some(y.values.iter().map(|&value| value as f32).collect()),
        };
        let targets = targets.ok_or_else(|| {
            self.tensor_error(
                &format!("episode/{side}.y"),
                "has other labels or values than the case's".to_owned(),
            )
        })?;
        Ok(Batch { inputs: channels_last(&x.values, shape), targets })
    }

    /// Metric learners, and prototypes, find a class's support examples by their places.
    fn require_class_major(
        &self,
        side: &str,
        batch: &Batch,
        classes: usize,
    ) -> Result<(), CaseError> {
        let count = batch.targets.len() / classes;
        let shots = count / classes;
        let in_order = |(i, target): (usize, &[f32])| target.get(i / shots.max(1)) == Some(&1.0);
        if count == shots * classes && batch.targets.chunks_exact(classes).enumerate().all(in_order)
        {
            return Ok(());
        }
        let problem = format!(
            "must hold as many labels of each of the {classes} classes, those of class 0 first, then 1, and so on"
        );
        Err(self.tensor_error(&format!("episode/{side}.y"), problem))
    }

    /// The case's description has a key that is wrong.
    pub(super) fn described(&self, (key, problem): (&str, String)) -> CaseError {
        CaseError::Description {
            path: with_ending(&self.path, "toml"),
            problem: format!("{key}: {problem}"),
        }
    }

    pub(super) fn tensor_error(&self, name: &str, problem: String) -> CaseError {
        tensor_error(&with_ending(&self.path, "safetensors"), name, problem)
    }
}

/// [n, channels, rows, columns] → [n, rows, columns, channels]; vectors as they are.
fn channels_last(values: &[f64], shape: Shape) -> Vec<f32> {
    let Shape::Image { height, width, channels } = shape else {
        return values.iter().map(|&value| value as f32).collect();
    };
    let pixels = height * width;
    let image = |image: &[f64]| -> Vec<f32> {
        (0..pixels)
            .flat_map(|pixel| (0..channels).map(move |channel| (pixel, channel)))
            .map(|(pixel, channel)| image[channel * pixels + pixel] as f32)
            .collect()
    };
    values.chunks_exact((pixels * channels).max(1)).flat_map(image).collect()
}

pub(super) fn one_hot(labels: &[f64], classes: usize) -> Option<Vec<f32>> {
    let mut targets = vec![0.0; labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes.max(1)).zip(labels) {
        let label = (label >= 0.0 && label.fract() == 0.0).then_some(label as usize)?;
        *row.get_mut(label)? = 1.0;
    }
    Some(targets)
}

fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn tensor_error(path: &Path, name: &str, problem: String) -> CaseError {
    CaseError::Tensor { path: path.to_owned(), name: name.to_owned(), problem }
}

fn read_description(path: &Path) -> Result<Description, CaseError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CaseError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| CaseError::Description {
        path: path.to_owned(),
        problem: error.to_string().trim_end().to_owned(),
    })
}

/// Little-endian numbers as f64, where the type is one that cases have.
fn numbers(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    fn all<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)).collect()
    }
    Some(match dtype {
        Dtype::F32 => all(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
        Dtype::F64 => all(data, f64::from_le_bytes),
        Dtype::I32 => all(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
        Dtype::I64 => all(data, |bytes| i64::from_le_bytes(bytes) as f64),
        Dtype::U8 => all(data, |[byte]| f64::from(byte)),
        _ => return None,
    })
}

/// The tensors of a file by what stands before their name.
#[derive(Default)]
struct Sections {
    parameters: BTreeMap<String, Tensor>,
    episode: BTreeMap<String, Tensor>,
    meta_gradient: BTreeMap<String, Tensor>,
    changes: BTreeMap<String, Tensor>,
    rest: BTreeMap<String, Tensor>,
}

impl Sections {
    fn add(&mut self, name: &str, tensor: Tensor) {
        let sections = [
            ("params/", &mut self.parameters),
            ("episode/", &mut self.episode),
            ("expect/meta_gradient/", &mut self.meta_gradient),
            ("expect/change/", &mut self.changes),
        ];
        for (prefix, section) in sections {
            if let Some(name) = name.strip_prefix(prefix) {
                section.insert(name.to_owned(), tensor);
                return;
            }
        }
        self.rest.insert(name.to_owned(), tensor);
    }

    /// All of the expectations or none.
    fn expected(&mut self, file: &Path) -> Result<Option<Expected>, CaseError> {
        let loss = self.rest.remove("expect/loss");
        let output = self.rest.remove("expect/output");
        let tensors = self.meta_gradient.len() + self.changes.len();
        if loss.is_none() && output.is_none() && tensors == 0 {
            return Ok(None);
        }
        let missing = |name: &str| {
            tensor_error(file, name, "is missing, where other expectations are there".to_owned())
        };
        let loss = loss.ok_or_else(|| missing("expect/loss"))?;
        let &[loss] = loss.values.as_slice() else {
            return Err(tensor_error(
                file,
                "expect/loss",
                format!("holds {} numbers, and one is needed", loss.values.len()),
            ));
        };
        let output = output.ok_or_else(|| missing("expect/output"))?;
        let meta_gradient = std::mem::take(&mut self.meta_gradient);
        let changes = std::mem::take(&mut self.changes);
        Ok(Some(Expected { loss, output, meta_gradient, changes }))
    }
}
