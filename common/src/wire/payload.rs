//! Large payloads: vectors of f32 as little-endian bytes, in chunks.

use bytes::Bytes;

use super::{WireError, generated};

/// The most bytes that a chunk carries.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The bytes of `vectors`, one after the other.
#[must_use]
pub fn to_bytes<'a>(vectors: impl IntoIterator<Item = &'a [f32]> + Clone) -> Bytes {
    let numbers: usize = vectors.clone().into_iter().map(<[f32]>::len).sum();
    let mut bytes = Vec::with_capacity(4 * numbers);
    for vector in vectors {
        let start = bytes.len();
        bytes.resize(start + 4 * vector.len(), 0);
        for (place, value) in bytes[start..].chunks_exact_mut(4).zip(vector) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes.into()
}

/// Cuts a payload into chunks, without a copy.
pub fn chunks(payload: Bytes) -> impl Iterator<Item = generated::Chunk> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        (!rest.is_empty())
            .then(|| generated::Chunk { data: rest.split_to(CHUNK_BYTES.min(rest.len())) })
    })
}

/// Takes the chunks of a payload in and makes vectors of them: `count` vectors of `length` numbers.
///
/// Memory is taken as bytes come, so that a peer cannot claim more than it sends.
#[derive(Debug)]
pub struct Assembly {
    vectors: Vec<Vec<f32>>,
    count: usize,
    length: usize,
    /// The first bytes of a number that a chunk's end has cut.
    cut: Vec<u8>,
}

impl Assembly {
    /// An assembly of `count` vectors of `length` numbers, announced as `size` bytes.
    ///
    /// # Errors
    /// Where the announcement differs.
    pub fn new(
        count: usize,
        length: usize,
        size: u64,
        field: &'static str,
    ) -> Result<Self, WireError> {
        let expected = (count as u64).saturating_mul(length as u64).saturating_mul(4);
        if size != expected {
            return Err(WireError::new(
                field,
                format!("{size} bytes announced where {expected} are expected"),
            ));
        }
        Ok(Self { vectors: Vec::new(), count, length, cut: Vec::with_capacity(4) })
    }

    /// Whether all has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.length == 0
            || (self.vectors.len() == self.count
                && self.vectors.last().is_none_or(|last| last.len() == self.length))
    }

    /// Takes the next chunk in.
    ///
    /// # Errors
    /// Where it is empty, too long, or more than was announced.
    pub fn add(&mut self, chunk: &generated::Chunk) -> Result<(), WireError> {
        let mut bytes = &chunk.data[..];
        if bytes.is_empty() || bytes.len() > CHUNK_BYTES {
            let problem = format!("{} bytes, and 1 to {CHUNK_BYTES} are allowed", bytes.len());
            return Err(WireError::new("chunk.data", problem));
        }
        while !bytes.is_empty() {
            if self.is_complete() {
                return Err(WireError::new("chunk.data", "more bytes than were announced"));
            }
            bytes = self.fill(bytes);
        }
        Ok(())
    }

    /// Fills the vector that is being filled, and returns the bytes beyond it.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let length = self.length;
        if self.vectors.last().is_none_or(|last| last.len() == length) {
            self.vectors.push(Vec::with_capacity(length.min(CHUNK_BYTES)));
        }
        let Some(vector) = self.vectors.last_mut() else { return &[] };
        let mut bytes = bytes;
        if !self.cut.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(4 - self.cut.len()));
            self.cut.extend_from_slice(head);
            bytes = rest;
            let Ok(number) = <[u8; 4]>::try_from(&self.cut[..]) else { return bytes };
            vector.push(f32::from_le_bytes(number));
            self.cut.clear();
        }
        let whole = (bytes.len() / 4).min(length - vector.len());
        let (numbers, rest) = bytes.split_at(4 * whole);
        let (numbers, _) = numbers.as_chunks::<4>();
        vector.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
        if vector.len() == length {
            return rest;
        }
        self.cut.extend_from_slice(rest);
        &[]
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
