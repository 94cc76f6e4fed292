//! The meta-parameters: a flat vector, its layout, and the digest that names this version of it.

use std::sync::Arc;

use crate::ids::Digest;
use crate::layout::Layout;

/// A version of the meta-parameters. Immutable: a new version is a new value with a digest of its own.
#[derive(Clone, Debug)]
pub struct MetaParameters {
    layout: Arc<Layout>,
    values: Arc<[f32]>,
    digest: Digest,
}

/// Why values do not fit a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the layout holds {expected} numbers, and {found} were given")]
pub struct LengthMismatch {
    /// The layout's length.
    pub expected: usize,
    /// The length given.
    pub found: usize,
}

impl MetaParameters {
    /// Names `values` as a version.
    ///
    /// # Errors
    /// Where the layout has another length.
    pub fn new(layout: Arc<Layout>, values: impl Into<Arc<[f32]>>) -> Result<Self, LengthMismatch> {
        let values = values.into();
        if values.len() != layout.len() {
            return Err(LengthMismatch { expected: layout.len(), found: values.len() });
        }
        let digest = digest(&layout, &values);
        Ok(Self { layout, values, digest })
    }

    /// Names and shapes.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The numbers, in the layout's order.
    #[must_use]
    pub fn values(&self) -> &Arc<[f32]> {
        &self.values
    }

    /// BLAKE3 over the layout and the numbers' little-endian bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

fn digest(layout: &Layout, values: &[f32]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    layout.hash_into(&mut hasher);
    let mut bytes = [0; 4096];
    for chunk in values.chunks(bytes.len() / 4) {
        for (place, value) in bytes.chunks_exact_mut(4).zip(chunk) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        hasher.update(&bytes[..4 * chunk.len()]);
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Initialisation, Role};

    fn layout(name: &str, shape: &[usize]) -> Arc<Layout> {
        let mut layout = Layout::new();
        layout.push(name, shape, Role::Trained, Initialisation::Constant(0.0));
        Arc::new(layout)
    }

    #[test]
    fn the_digest_names_layout_and_bits() {
        let of = |layout, values: [f32; 2]| MetaParameters::new(layout, values).unwrap().digest();
        let digest = of(layout("a", &[2]), [0.0, 1.0]);
        assert_eq!(digest, of(layout("a", &[2]), [0.0, 1.0]));
        assert_ne!(digest, of(layout("b", &[2]), [0.0, 1.0]));
        assert_ne!(digest, of(layout("a", &[2, 1]), [0.0, 1.0]));
        assert_ne!(digest, of(layout("a", &[2]), [-0.0, 1.0]));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let error = MetaParameters::new(layout("a", &[2]), [0.0]).unwrap_err();
        assert_eq!(error, LengthMismatch { expected: 2, found: 1 });
    }
}
