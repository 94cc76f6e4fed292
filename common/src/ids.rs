//! Names of things that must not be confused: steps, episodes, workers, digests.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The number of a meta-step: how many updates of the meta-parameters came before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetaStep(pub u64);

impl MetaStep {
    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for MetaStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an episode within its meta-step (or within an evaluation), from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpisodeIndex(pub u64);

/// A half-open range of episode indices of one meta-step: what an assignment is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpisodeRange {
    /// The first episode.
    pub start: EpisodeIndex,
    /// One past the last episode.
    pub end: EpisodeIndex,
}

impl EpisodeRange {
    /// The range `start..end`; empty where `end <= start`.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Self {
        Self { start: EpisodeIndex(start), end: EpisodeIndex(end) }
    }

    /// The indices as plain numbers.
    #[must_use]
    pub fn indices(self) -> Range<u64> {
        self.start.0..self.end.0
    }

    /// How many episodes it holds.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for EpisodeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start.0, self.end.0)
    }
}

/// A worker's name within a coordinator's life: given when it joins, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker-{}", self.0)
    }
}

/// The part of the classes (or of the functions) that an episode is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Training classes.
    Train,
    /// Validation classes.
    Validation,
    /// Test classes.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// Bytes that are hashed before other threads have come to it.
const SOON_HASHED: usize = 1 << 20;

/// A BLAKE3 digest: names a version of the meta-parameters, or a data pack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`; of many, on all cores.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        if bytes.len() < SOON_HASHED {
            hasher.update(bytes);
        } else {
            hasher.update_rayon(bytes);
        }
        hasher.finalize().into()
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct ParseDigestError;

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| ParseDigestError)?;
        Ok(Self(*hash.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"lyceum");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("lyceum".parse::<Digest>(), Err(ParseDigestError));
    }

    #[test]
    fn a_reversed_range_is_empty() {
        assert!(EpisodeRange::new(3, 1).is_empty());
        assert_eq!(EpisodeRange::new(1, 4).len(), 3);
    }
}
