//! The farm over loopback gRPC, mostly with a learning problem that takes no time: whoever works, however often they come and
//! go, the bits are the same.

mod foreign;
mod learners;
mod refusals;
mod rejoining;
mod same_bits;
mod scripted;
mod seen;
mod status;
mod stub;
mod support;
