//! Cases: one episode with its meta-parameters, and where they are known its meta-gradient, in files that any framework
//! writes: `NAME.toml` and `NAME.safetensors`.
//!
//! | tensor | what |
//! | --- | --- |
//! | `params/<name>` | the meta-parameters, under PyTorch's names |
//! | `episode/…` | the episode; images are [n, channels, rows, columns], labels whole numbers in class-major order |
//! | `expect/loss`, `expect/output` | the query loss, the query outputs |
//! | `expect/meta_gradient/<name>` | d loss / d params; for Reptile, params − adapted params |
//! | `expect/change/<name>` | how much batch norm's running statistics change, where that is to be compared as well |
//!
//! The TOML file is flat: the algorithm and its hyper-parameters.

mod compare;
mod compute;
mod description;
mod learned_optimizer;
mod read;

pub use compare::{Comparison, Tolerance};
pub use compute::compute;
pub use description::{ALGORITHMS, Description, Hidden};
pub use read::{Case, CaseError, CaseResult, Expected, FewShot, Tensor};
