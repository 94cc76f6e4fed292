//! Lyceum's worker: kernels, layers, networks, learners, episodes; and the service that farms them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`kernels`] | SIMD and nothing else; the one place with `unsafe` |
//! | `ops`, `layers`, `networks` | programs of primitives, interpreted for values and for tangents |
//! | `objective`, `trajectory` | a loss of flat parameters, its gradient and Hessian-vector product; an inner loop's path |
//! | `learners` | what is meta-learned and how it adapts, a file each |
//! | [`episodes`] | where episodes come from |
//! | [`work`] | the seam to the farm: (meta-parameters, seed) → meta-gradient |
//! | [`pool`] | the threads that compute: ranges in, sums out |
//! | `reports` | what episodes computed at once report |
//! | [`profile`] | where an episode's time goes |
//! | [`session`] | a worker's life with a coordinator |
//! | [`adapt`] | a trained model at work: labelled examples in, predictions out |
//! | [`comparison`] | a learned optimizer against hand-made ones |
//! | [`case`] | one episode from a file, to compare with other frameworks |
#![deny(unsafe_code)]

pub mod adapt;
pub mod case;
pub mod comparison;
pub mod episodes;
pub mod kernels;
mod layers;
mod learners;
mod networks;
mod objective;
mod ops;
pub mod pool;
pub mod profile;
mod reports;
pub mod session;
mod trajectory;
pub mod work;
