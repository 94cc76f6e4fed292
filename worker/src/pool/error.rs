//! What can go wrong in a pool.

/// Why a computation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// A defect in a learner or a kernel, not in the input.
    #[error("computing episode {episode} panicked: {message}")]
    Panicked {
        /// The episode's index.
        episode: u64,
        /// What the panic said.
        message: String,
    },
    /// A thread could not set its workspace up.
    #[error("a compute thread panicked while it was set up: {0}")]
    Setup(String),
    /// The parameters don't fit the learner.
    #[error("the learner has {expected} meta-parameters, and {found} were given")]
    WrongLength {
        /// The learner's number of meta-parameters.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The computation was abandoned, or the pool is going away.
    #[error("the computation was abandoned")]
    Abandoned,
}
