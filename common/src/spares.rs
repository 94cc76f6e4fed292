//! Vectors for another use, so that buffers of the size of the meta-parameters are made once and not in every step: the
//! system hands memory out page by page, which takes longer than filling it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::wire::to_bytes;

/// Vectors of one length that nobody uses at the moment.
#[derive(Debug, Default)]
pub struct Spares(Mutex<Vec<Vec<f32>>>);

impl Spares {
    /// A vector of this length, whatever is in it; none where none is there.
    #[must_use]
    pub fn take(&self, length: usize) -> Option<Vec<f32>> {
        let spare = self.lock().pop();
        spare.filter(|vector| vector.len() == length)
    }

    /// Keeps a vector for another use.
    pub fn put(&self, vector: Vec<f32>) {
        if !vector.is_empty() {
            self.lock().push(vector);
        }
    }

    /// A vector's little-endian bytes, without a copy where that is what the machine has; the vector comes back when the
    /// last of them is sent.
    #[must_use]
    pub fn lend(self: &Arc<Self>, vector: Vec<f32>) -> Bytes {
        if cfg!(target_endian = "big") {
            let bytes = to_bytes(&vector);
            self.put(vector);
            return bytes;
        }
        Bytes::from_owner(Lent { vector, home: Arc::clone(self) })
    }

    /// A panic under the lock leaves the vectors whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<f32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    vector: Vec<f32>,
    home: Arc<Spares>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.vector)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.vector));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_was_lent_comes_back_with_the_last_of_its_bytes() {
        let spares = Arc::new(Spares::default());
        let vector = vec![1.0, -2.5];
        let place = vector.as_ptr();
        let mut bytes = spares.lend(vector);
        let first = bytes.split_to(4);
        assert_eq!(
            (&first[..], &bytes[..]),
            (&1f32.to_le_bytes()[..], &(-2.5f32).to_le_bytes()[..])
        );
        drop(bytes);
        assert_eq!(spares.take(2), None);
        drop(first);
        assert_eq!(spares.take(2).map(|vector| vector.as_ptr()), Some(place));
    }

    #[test]
    fn a_vector_of_another_length_is_not_given() {
        let spares = Spares::default();
        spares.put(vec![0.0; 3]);
        assert_eq!(spares.take(2), None);
    }
}
