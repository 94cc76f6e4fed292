//! The meta-parameters: a flat vector, its layout, and the digest that names this version of it.

use std::sync::Arc;

use bytes::Bytes;
use ndarray::{ArrayViewD, IxDyn};

use crate::ids::Digest;
use crate::layout::Layout;
use crate::wire::to_bytes;

/// Bytes from which it pays to hash on several threads.
const MANY: usize = 1 << 20;
/// Bytes that are hashed at once as they come: a whole subtree of BLAKE3's, whose leaves go side by side through the widest
/// vectors, where parts of any length end in leaves that go one by one, and take several times as long.
const BLOCK: usize = 1 << 16;

/// A version of the meta-parameters. Immutable: a new version is a new value with a digest of its own.
#[derive(Clone, Debug)]
pub struct MetaParameters {
    layout: Arc<Layout>,
    values: Arc<Vec<f32>>,
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
    pub fn new(layout: Arc<Layout>, values: impl Into<Vec<f32>>) -> Result<Self, LengthMismatch> {
        let values = values.into();
        let digester = Digester::new(&layout);
        Self::digested(layout, values, digester)
    }

    /// Names `values` as a version, by the hash of `digester`, which may have been fed the first of them.
    ///
    /// # Errors
    /// Where the layout has another length.
    pub fn digested(
        layout: Arc<Layout>,
        values: Vec<f32>,
        digester: Digester,
    ) -> Result<Self, LengthMismatch> {
        // What is too short has no digest.
        check_length(&layout, &values)?;
        let digest = digester.finish(&values);
        Self::named(layout, values, digest)
    }

    /// `values` as the version of this digest, which whoever says so is believed.
    ///
    /// # Errors
    /// Where the layout has another length.
    pub fn named(
        layout: Arc<Layout>,
        values: Vec<f32>,
        digest: Digest,
    ) -> Result<Self, LengthMismatch> {
        check_length(&layout, &values)?;
        Ok(Self { layout, values: Arc::new(values), digest })
    }

    /// Names and shapes.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The numbers, in the layout's order.
    #[must_use]
    pub fn values(&self) -> &Arc<Vec<f32>> {
        &self.values
    }

    /// The tensor of this name, in its own shape; none where the layout has no such entry.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<ArrayViewD<'_, f32>> {
        let entry = self.layout.get(name)?;
        let numbers = &self.values[entry.range()];
        let tensor = ArrayViewD::from_shape(IxDyn(&entry.shape), numbers);
        Some(tensor.expect("an entry is as long as its shape says"))
    }

    /// BLAKE3 over the layout and the numbers' little-endian bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The numbers' little-endian bytes, without a copy where that is what the machine has.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if cfg!(target_endian = "big") {
            return to_bytes(&self.values);
        }
        Bytes::from_owner(Shared(Arc::clone(&self.values)))
    }
}

fn check_length(layout: &Layout, values: &[f32]) -> Result<(), LengthMismatch> {
    let (expected, found) = (layout.len(), values.len());
    if expected == found { Ok(()) } else { Err(LengthMismatch { expected, found }) }
}

struct Shared(Arc<Vec<f32>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// The digest of a version whose numbers come one after the other.
#[derive(Clone, Debug)]
pub struct Digester {
    hasher: blake3::Hasher,
    /// Bytes of the layout, which are hashed first.
    layout: usize,
    /// Bytes of the numbers that are hashed.
    hashed: usize,
}

impl Digester {
    /// A digest of numbers of this layout, of which none has come yet.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let mut hasher = blake3::Hasher::new();
        layout.hash_into(&mut hasher);
        let layout = hasher.count() as usize;
        Self { hasher, layout, hashed: 0 }
    }

    /// Takes in what has come: `values` are all numbers from the first one on, whether they were there before or not. What
    /// is not a whole block yet waits for the next call.
    pub fn advance(&mut self, values: &[f32]) {
        let block_of = |bytes: usize| (self.layout + bytes) / BLOCK;
        let (from, to) = (block_of(self.hashed), block_of(size_of_val(values)));
        if from == to {
            return;
        }
        // The layout's bytes are of no round number: the first block has fewer of the numbers.
        let end_of = |block: usize| block * BLOCK - self.layout;
        let (first, last) = (end_of(from + 1), end_of(to));
        self.hash(values, first);
        self.hash(values, last);
    }

    /// The digest of layout and `values`, of which [`advance`](Self::advance) may have taken in the first ones.
    fn finish(mut self, values: &[f32]) -> Digest {
        self.advance(values);
        self.hash(values, size_of_val(values));
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Hashes the numbers' little-endian bytes up to `end`.
    fn hash(&mut self, values: &[f32], end: usize) {
        let numbers = &values[self.hashed / 4..end.div_ceil(4)];
        let range = self.hashed % 4..self.hashed % 4 + end - self.hashed;
        self.hashed = end;
        if cfg!(target_endian = "big") {
            self.hasher.update(&to_bytes(numbers)[range]);
        } else if range.len() < MANY {
            self.hasher.update(&bytemuck::cast_slice(numbers)[range]);
        } else {
            self.hasher.update_rayon(&bytemuck::cast_slice(numbers)[range]);
        }
    }
}

/// Versions that are no longer needed, or soon will not be: their memory serves for the next.
#[derive(Debug, Default)]
pub struct Retired(Vec<MetaParameters>);

impl Retired {
    /// Versions that may wait until nobody else holds them.
    const WAITING: usize = 3;

    /// Keeps a version whose memory may be used once nobody else holds it.
    pub fn put(&mut self, version: MetaParameters) {
        if self.0.len() == Self::WAITING {
            self.0.remove(0);
        }
        self.0.push(version);
    }

    /// The memory of a version that nobody else holds, whatever is in it.
    pub fn take(&mut self) -> Option<Vec<f32>> {
        let free = self.0.iter().position(|version| Arc::strong_count(&version.values) == 1)?;
        Arc::into_inner(self.0.swap_remove(free).values)
    }
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
    fn a_tensor_is_found_by_its_name_and_has_its_shape() {
        let mut layout = Layout::new();
        for (name, shape) in [("a", &[1][..]), ("b", &[2, 3]), ("c", &[])] {
            layout.push(name, shape, Role::Trained, Initialisation::Constant(0.0));
        }
        let values: Vec<f32> = (0..8u8).map(f32::from).collect();
        let version = MetaParameters::new(Arc::new(layout), values).unwrap();
        let tensor = version.tensor("b").unwrap();
        assert_eq!(tensor.shape(), [2, 3]);
        // Rows one behind the other.
        assert_eq!((tensor[[0, 2]], tensor[[1, 0]]), (3.0, 4.0));
        assert_eq!(version.tensor("c").unwrap().first(), Some(&7.0));
        assert!(version.tensor("d").is_none());
    }

    #[test]
    fn a_digest_of_parts_is_that_of_the_whole() {
        // A name of every length that numbers may be out of step with blocks by, and one that fills a block on its own.
        for name in ["a", "ab", "abc", "abcd", &"a".repeat(BLOCK)] {
            let values: Vec<f32> = (0..MANY).map(|i| i as f32).collect();
            let layout = layout(name, &[values.len()]);
            let mut hasher = blake3::Hasher::new();
            layout.hash_into(&mut hasher);
            let plain = hasher.update(&to_bytes(&values)).finalize();
            for step in [1, 777, 77_777, MANY] {
                let mut digester = Digester::new(&layout);
                (0..MANY).step_by(step).for_each(|come| digester.advance(&values[..come]));
                let parts = MetaParameters::digested(Arc::clone(&layout), values.clone(), digester);
                assert_eq!(parts.unwrap().digest().0, *plain.as_bytes());
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_numbers() {
        let version = MetaParameters::new(layout("a", &[2]), [0.0, 1.0]).unwrap();
        assert_eq!(version.to_bytes(), [0f32.to_le_bytes(), 1f32.to_le_bytes()].concat());
    }

    #[test]
    fn memory_is_used_again_once_nobody_holds_it() {
        let version = MetaParameters::new(layout("a", &[1]), [0.5]).unwrap();
        let mut retired = Retired::default();
        retired.put(version.clone());
        assert_eq!(retired.take(), None);
        let bytes = version.to_bytes();
        drop(version);
        assert_eq!(retired.take(), None, "it is being sent");
        drop(bytes);
        assert_eq!(retired.take(), Some(vec![0.5]));
    }

    #[test]
    fn a_wrong_length_is_refused() {
        let error = MetaParameters::new(layout("a", &[2]), [0.0]).unwrap_err();
        assert_eq!(error, LengthMismatch { expected: 2, found: 1 });
    }
}
