//! What Lyceum's coordinator and workers must agree on.
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | a run's configuration, as plain data |
//! | [`ids`] | names of steps, episodes, workers, digests |
//! | [`seed`] | randomness as a value, keyed by (run, step, episode, purpose) |
//! | [`layout`], [`parameters`] | the flat meta-parameters, their names and shapes, their digest |
//! | [`model`] | which parameters a network and a learner have |
//! | [`reduction`], [`report`], [`bfloat16`] | the fixed tree of sums, what travels up it, and what it may be rounded to |
//! | [`spares`] | vectors for another use |
//! | [`statistics`] | Student's t: whether two runs differ |
//! | [`assignment`], [`abreast`] | what a worker is given to compute, and how much of it at once |
//! | [`data`], [`pack`] | data sets, and the one file that each is made into |
//! | [`wire`] | the protocol between coordinator and workers |
//! | [`whole_file`] | files that are there whole or not at all |
#![forbid(unsafe_code)]

pub mod abreast;
pub mod assignment;
pub mod bfloat16;
pub mod config;
pub mod data;
pub mod ids;
pub mod layout;
pub mod model;
pub mod pack;
pub mod parameters;
pub mod reduction;
pub mod report;
pub mod seed;
pub mod spares;
pub mod statistics;
pub mod whole_file;
pub mod wire;
