//! Large payloads: vectors of f32 as little-endian bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::{WireError, generated};
use crate::spares::Spares;

/// The most bytes that a chunk carries.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The little-endian bytes of numbers, copied.
#[must_use]
pub fn to_bytes(vector: &[f32]) -> Bytes {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Cuts a payload into chunks, without a copy.
pub fn chunks(payload: Bytes) -> impl Iterator<Item = generated::Chunk> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        (!rest.is_empty())
            .then(|| generated::Chunk { data: rest.split_to(CHUNK_BYTES.min(rest.len())) })
    })
}

/// Takes the bytes of a payload in as they come and makes vectors of them: `count` vectors of `length` numbers.
///
/// Memory is taken from what is there, or as bytes come, so that a peer cannot claim more than it sends.
#[derive(Debug)]
pub struct Assembly {
    /// All but the last are whole.
    vectors: Vec<Vec<f32>>,
    /// Bytes that the last one has.
    filled: usize,
    count: usize,
    length: usize,
    spares: Arc<Spares>,
}

impl Assembly {
    /// An assembly of `count` vectors of `length` numbers, announced as `size` bytes.
    ///
    /// # Errors
    /// Where the announcement differs.
    pub fn new(
        (count, length): (usize, usize),
        size: u64,
        field: &'static str,
        spares: Arc<Spares>,
    ) -> Result<Self, WireError> {
        let expected = (count as u64).saturating_mul(length as u64).saturating_mul(4);
        if size != expected {
            return Err(WireError::new(
                field,
                format!("{size} bytes announced where {expected} are expected"),
            ));
        }
        Ok(Self { vectors: Vec::new(), filled: 0, count, length, spares })
    }

    /// Whether all has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.length == 0 || (self.vectors.len() == self.count && self.last_is_whole())
    }

    /// Takes the next bytes in; `seen` is called with the numbers that they complete, in order, while they are in the
    /// processor's cache.
    ///
    /// # Errors
    /// Where they are more than was announced.
    pub fn add(&mut self, bytes: &[u8], mut seen: impl FnMut(&[f32])) -> Result<(), WireError> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if self.is_complete() {
                return Err(WireError::new("chunk.data", "more bytes than were announced"));
            }
            bytes = self.fill(bytes, &mut seen);
        }
        Ok(())
    }

    /// The numbers that have come of the vector that is being filled, or was filled last.
    #[must_use]
    pub fn last(&self) -> &[f32] {
        self.vectors.last().map_or(&[], |vector| &vector[..self.filled / 4])
    }

    fn last_is_whole(&self) -> bool {
        self.vectors.is_empty() || self.filled == 4 * self.length
    }

    /// Fills the vector that is being filled, and returns the bytes beyond it.
    fn fill<'a>(&mut self, bytes: &'a [u8], seen: &mut impl FnMut(&[f32])) -> &'a [u8] {
        let length = self.length;
        if self.last_is_whole() {
            self.vectors.push(self.spares.take(length).unwrap_or_default());
            self.filled = 0;
        }
        let Some(vector) = self.vectors.last_mut() else { return &[] };
        let (here, rest) = bytes.split_at(bytes.len().min(4 * length - self.filled));
        let end = self.filled + here.len();
        if 4 * vector.len() < end {
            let grown = end.div_ceil(4).max(2 * vector.len()).min(length);
            vector.resize(grown, 0.0);
        }
        let place: &mut [u8] = bytemuck::cast_slice_mut(vector);
        place[self.filled..end].copy_from_slice(here);
        let completed = self.filled / 4..end / 4;
        self.filled = end;
        if cfg!(target_endian = "big") {
            for number in &mut vector[completed.clone()] {
                *number = f32::from_bits(number.to_bits().swap_bytes());
            }
        }
        seen(&vector[completed]);
        rest
    }

    /// The vectors.
    ///
    /// # Errors
    /// Where bytes are missing.
    pub fn finish(self) -> Result<Vec<Vec<f32>>, WireError> {
        if !self.is_complete() {
            return Err(WireError::new("chunk", "missing: the payload is not complete"));
        }
        let mut vectors = self.vectors;
        vectors.resize(self.count, Vec::new());
        Ok(vectors)
    }
}
