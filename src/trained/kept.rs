//! Whether a result is kept. Where it is not, that is said after it was printed: it may have taken long to compute.

use std::path::PathBuf;

use anyhow::Context as _;

/// The place that a result is kept in, or why it is in none.
#[derive(Debug)]
pub(crate) struct Kept(anyhow::Result<PathBuf>);

impl Kept {
    /// As the keeping of it went.
    pub(crate) fn of<E: Into<anyhow::Error>>(kept: Result<PathBuf, E>) -> Self {
        Self(kept.map_err(Into::into))
    }

    /// The place, where it has one.
    pub(crate) fn place(&self) -> Option<String> {
        self.0.as_ref().ok().map(|place| place.display().to_string())
    }

    /// Ends with why it is not kept, if it is not: for when it was printed.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        self.0.map(drop).context("what is printed was not kept")
    }
}
