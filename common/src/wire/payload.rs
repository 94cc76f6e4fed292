//! Large payloads: vectors of f32, or of the bfloat16 that they were rounded to, as little-endian bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::{WireError, generated};
use crate::bfloat16;
use crate::config::Precision;
use crate::spares::Spares;

/// The most bytes that a chunk carries.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The little-endian bytes of numbers, copied.
#[must_use]
pub fn to_bytes(vector: &[f32]) -> Bytes {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Bytes of a number.
pub(super) fn width(precision: Precision) -> usize {
    match precision {
        Precision::Float32 => 4,
        Precision::Bfloat16 => 2,
    }
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
    precision: Precision,
    /// The first byte of a bfloat16 whose second is still to come.
    half: Option<u8>,
    spares: Arc<Spares>,
}

impl Assembly {
    /// An assembly of `count` vectors of `length` numbers, which come as `precision` has them, announced as `size` bytes.
    ///
    /// # Errors
    /// Where the announcement differs.
    pub fn new(
        (count, length): (usize, usize),
        (precision, size): (Precision, u64),
        field: &'static str,
        spares: Arc<Spares>,
    ) -> Result<Self, WireError> {
        let numbers = (count as u64).saturating_mul(length as u64);
        let expected = numbers.saturating_mul(width(precision) as u64);
        if size != expected {
            return Err(WireError::new(
                field,
                format!("{size} bytes announced where {expected} are expected"),
            ));
        }
        let vectors = Vec::new();
        Ok(Self { vectors, filled: 0, count, length, precision, half: None, spares })
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
        let numbers = self.filled / width(self.precision);
        self.vectors.last().map_or(&[], |vector| &vector[..numbers])
    }

    fn last_is_whole(&self) -> bool {
        self.vectors.is_empty() || self.filled == width(self.precision) * self.length
    }

    /// Fills the vector that is being filled, and returns the bytes beyond it.
    fn fill<'a>(&mut self, bytes: &'a [u8], seen: &mut impl FnMut(&[f32])) -> &'a [u8] {
        let (length, width) = (self.length, width(self.precision));
        if self.last_is_whole() {
            self.vectors.push(self.spares.take(length).unwrap_or_default());
            self.filled = 0;
        }
        let Some(vector) = self.vectors.last_mut() else { return &[] };
        let (here, rest) = bytes.split_at(bytes.len().min(width * length - self.filled));
        let end = self.filled + here.len();
        if width * vector.len() < end {
            let grown = end.div_ceil(width).max(2 * vector.len()).min(length);
            vector.resize(grown, 0.0);
        }
        let completed = self.filled / width..end / width;
        match self.precision {
            Precision::Float32 => {
                let place: &mut [u8] = bytemuck::cast_slice_mut(vector);
                place[self.filled..end].copy_from_slice(here);
                if cfg!(target_endian = "big") {
                    for number in &mut vector[completed.clone()] {
                        *number = f32::from_bits(number.to_bits().swap_bytes());
                    }
                }
            }
            Precision::Bfloat16 => widen(&mut self.half, here, &mut vector[completed.clone()]),
        }
        self.filled = end;
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

/// Makes `numbers` of the bytes of bfloat16s: of `half`, where a first byte was left over, and of `bytes`, whose last may be.
fn widen(half: &mut Option<u8>, bytes: &[u8], numbers: &mut [f32]) {
    let number = |first: u8, second: u8| bfloat16::widen(u16::from_le_bytes([first, second]));
    let mut numbers = numbers.iter_mut();
    let mut bytes = bytes;
    if let (Some(first), Some((&second, others))) = (*half, bytes.split_first()) {
        if let Some(place) = numbers.next() {
            *place = number(first, second);
        }
        (*half, bytes) = (None, others);
    }
    let pairs = bytes.chunks_exact(2);
    if let [first] = *pairs.remainder() {
        *half = Some(first);
    }
    for (place, pair) in numbers.zip(pairs) {
        *place = number(pair[0], pair[1]);
    }
}
