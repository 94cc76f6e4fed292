//! Safetensors files of f32 tensors with metadata.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lyceum_common::ids::Digest;
use lyceum_common::layout::Layout;
use lyceum_common::parameters::MetaParameters;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{CheckpointError, damaged, failed};
use crate::durable;
use crate::meta_optimizer::State;

/// The metadata's key of the checksum.
const CHECKSUM: &str = "checksum";

/// What a file's content comes to, in whatever order: the digest of its sorted lines, one a key (`metadata KEY DIGEST`) and
/// one a tensor (`tensor NAME SHAPE DIGEST`), each with the digest of its own bytes. The checksum itself has no line.
fn checksum<'a>(
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>,
) -> Digest {
    let metadata = metadata
        .filter(|(key, _)| *key != CHECKSUM)
        .map(|(key, value)| format!("metadata {key} {}", Digest::of(value.as_bytes())));
    let tensors = tensors
        .map(|(name, shape, bytes)| format!("tensor {name} {shape:?} {}", Digest::of(bytes)));
    let mut lines: Vec<_> = metadata.chain(tensors).collect();
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}

/// Tensors to be written.
#[derive(Default)]
pub(super) struct Tensors(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    pub(super) fn push(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((name, shape, bytes));
    }

    pub(super) fn push_parameters(&mut self, prefix: &str, parameters: &MetaParameters) {
        for entry in parameters.layout().entries() {
            let values = &parameters.values()[entry.range()];
            self.push(format!("{prefix}{}", entry.name), entry.shape.clone(), values);
        }
    }

    /// Writes them with metadata, and with a checksum over both.
    pub(super) fn write_with_checksum(
        self,
        path: &Path,
        mut metadata: Vec<(&str, String)>,
    ) -> Result<(), CheckpointError> {
        let keys = metadata.iter().map(|(key, value)| (*key, value.as_str()));
        let tensors = self.0.iter();
        let tensors = tensors.map(|(name, shape, bytes)| (&**name, &**shape, &**bytes));
        let checksum = checksum(keys, tensors);
        metadata.push((CHECKSUM, checksum.to_string()));
        self.write(path, metadata)
    }

    /// Writes them with metadata.
    pub(super) fn write(
        self,
        path: &Path,
        metadata: Vec<(&str, String)>,
    ) -> Result<(), CheckpointError> {
        let views = self.0.iter().map(|(name, shape, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        });
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let bytes = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| damaged(path, error))?;
        durable::write(path, &bytes).map_err(|source| failed(path, source))
    }
}

/// A file that was read.
pub(super) struct File<'p> {
    path: &'p Path,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
}

impl<'p> File<'p> {
    pub(super) fn read(path: &'p Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| failed(path, source))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(path, error))?;
        let metadata = metadata.metadata().iter().flatten();
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { path, bytes, metadata })
    }

    pub(super) fn key(&self, key: &str) -> Result<&str, CheckpointError> {
        let value = self.metadata.get(key).map(String::as_str);
        value.ok_or_else(|| damaged(self.path, format!("its metadata has no `{key}`")))
    }

    pub(super) fn parse<T>(&self, key: &str) -> Result<T, CheckpointError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let value = self.key(key)?.parse();
        value.map_err(|error| damaged(self.path, format!("its `{key}`: {error}")))
    }

    /// As [`Self::parse`], of a key that not every file has.
    pub(super) fn parse_if_there<T>(&self, key: &str) -> Result<Option<T>, CheckpointError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.metadata.contains_key(key).then(|| self.parse(key)).transpose()
    }

    pub(super) fn tensors(&self) -> Result<FileTensors<'_>, CheckpointError> {
        let tensors =
            SafeTensors::deserialize(&self.bytes).map_err(|error| damaged(self.path, error))?;
        Ok(FileTensors { path: self.path, tensors })
    }

    /// Compares what `tensors` and the metadata come to with the checksum.
    pub(super) fn verify_checksum(&self, tensors: &FileTensors<'_>) -> Result<(), CheckpointError> {
        let mut contents = Vec::new();
        for (name, tensor) in tensors.tensors.iter() {
            if tensor.dtype() != Dtype::F32 {
                return Err(damaged(self.path, format!("`{name}` is not F32")));
            }
            contents.push((name, tensor));
        }
        let contents = contents.iter().map(|(name, view)| (*name, view.shape(), view.data()));
        let keys = self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let (found, expected) = (checksum(keys, contents), self.parse::<Digest>(CHECKSUM)?);
        if found != expected {
            let problem = format!("its checksum is {found}, and it says {expected}");
            return Err(damaged(self.path, problem));
        }
        Ok(())
    }
}

/// The tensors of a file.
pub(super) struct FileTensors<'f> {
    path: &'f Path,
    tensors: SafeTensors<'f>,
}

impl FileTensors<'_> {
    /// The tensors `prefix` + name of a layout, and no others with this prefix.
    pub(super) fn parameters(
        &self,
        prefix: &str,
        layout: &Arc<Layout>,
        expected: Digest,
    ) -> Result<MetaParameters, CheckpointError> {
        let other = |problem| CheckpointError::OtherLayout { path: self.path.into(), problem };
        let mut values = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            let name = format!("{prefix}{}", entry.name);
            let tensor = self.tensors.tensor(&name);
            let tensor = tensor.map_err(|_| other(format!("it has no tensor `{name}`")))?;
            if tensor.shape() != entry.shape || tensor.dtype() != Dtype::F32 {
                let (found, expected) = (tensor.shape(), &entry.shape);
                let kind = tensor.dtype();
                return Err(other(format!(
                    "`{name}` is {kind:?} {found:?}, where the run has F32 {expected:?}"
                )));
            }
            values.extend(floats(tensor.data()));
        }
        let surplus = self.tensors.names().into_iter().filter(|name| {
            let own = name.strip_prefix(prefix).filter(|own| !own.contains('/'));
            own.is_some_and(|own| layout.get(own).is_none())
        });
        if let Some(name) = surplus.min() {
            return Err(other(format!("the run has no tensor `{name}`")));
        }
        let parameters = MetaParameters::new(layout.clone(), values)
            .map_err(|error| damaged(self.path, error))?;
        if parameters.digest() != expected {
            let found = parameters.digest();
            let problem = format!("its parameters' digest is {found}, and it says {expected}");
            return Err(damaged(self.path, problem));
        }
        Ok(parameters)
    }

    /// The meta-optimizer's tensors.
    pub(super) fn state(&self) -> State {
        let mine = self.tensors.iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix("optimizer/")?;
            Some((name.to_owned(), floats(tensor.data()).collect()))
        });
        mine.collect()
    }
}

/// A tensor's numbers.
pub(crate) fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}
