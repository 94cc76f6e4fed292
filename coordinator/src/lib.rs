//! Lyceum's coordinator: a run's state, and what joins it to workers, files and people.
//!
//! | module | holds |
//! | --- | --- |
//! | [`run`], [`meta_optimizer`] | the state machine: events and the time in, actions out |
//! | [`checkpoint`], [`metrics`], [`kept_evaluation`], [`run_folder`] | what is kept on disk |
//! | [`enterprise`] | all that it takes to serve a run, new or resumed |
//! | [`server`] | sockets and the services on them |
//! | [`observation`], [`pace`] | what whoever looks at a run is told, and how fast it goes |
//! | [`status`] | where a run is, and how to ask it from another process |
#![forbid(unsafe_code)]

pub mod checkpoint;
mod driver;
mod durable;
pub mod enterprise;
mod held_folder;
mod initialisation;
pub mod kept_evaluation;
mod listener;
pub mod meta_optimizer;
pub mod metrics;
pub mod observation;
pub mod pace;
mod prompt;
mod recorder;
mod roster;
pub mod run;
pub mod run_folder;
mod same_run;
pub mod server;
mod service;
pub mod status;
mod stopwatch;
