//! Lyceum's worker: kernels, layers, networks, learners, episodes; and the service that farms them.
#![deny(unsafe_code)]

pub mod episodes;
pub mod work;
