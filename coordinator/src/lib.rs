//! Lyceum's coordinator.
#![forbid(unsafe_code)]

pub mod meta_optimizer;
pub mod run;
