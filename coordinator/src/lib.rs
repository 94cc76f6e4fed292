//! Lyceum's coordinator.
#![forbid(unsafe_code)]

pub mod checkpoint;
mod durable;
pub mod meta_optimizer;
pub mod metrics;
pub mod run;
pub mod run_folder;
