//! Lyceum's coordinator.
#![forbid(unsafe_code)]
