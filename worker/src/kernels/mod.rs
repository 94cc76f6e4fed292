//! SIMD and nothing else. An algorithm is written once, over a trait of sixteen lanes, as a [`Kernel`]; which
//! instruction set runs it is chosen at run time. All instruction sets agree to the bit.
//!
//! | file | holds |
//! | --- | --- |
//! | `lanes` | the trait of sixteen lanes |
//! | `portable`, `x86_64`, `aarch64` | its implementations |
//! | `instruction_set` | choosing one, and running a kernel with it |
//! | `gather`, `product`, `outer` | convolutions and matrix products, and their gradients by the weights |
//! | `channels` | maps and sums over `[rows, channels]` |
//! | `normalisation` | batch norm and ReLU, backward and tangents |
//! | `lane_product`, `lstm` | products whose batch is the lanes; LSTM cells |
//! | `pooling`, `pointwise`, `transcendental`, `softmax` | the rest |
//!
//! This is the one folder with `unsafe`: behind safe functions that check lengths once.
#![expect(
    unsafe_code,
    reason = "vector instructions and unchecked tiles; every block says why it is sound"
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod channels;
mod gather;
mod instruction_set;
mod lane_product;
mod lanes;
mod lstm;
pub(crate) mod normalisation;
mod outer;
mod peak;
pub(crate) mod pointwise;
mod pooling;
mod portable;
mod product;
mod real;
mod softmax;
#[cfg(test)]
pub(crate) mod test_support;
mod transcendental;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) use channels::{Grid, sum_rows};
pub(crate) use gather::{Gather, GatherRow, Group, Tap, offset};
pub use instruction_set::{InstructionSet, Kernel, UnknownInstructionSet};
pub(crate) use lane_product::{lane_gates, lane_product, lane_weight_gradient, sum_lanes};
pub(crate) use lanes::LANES;
pub(crate) use lstm::{CellValues, LogAndSign, lstm_cell, lstm_cell_backward};
pub(crate) use outer::{Outer, outer_product};
pub use peak::multiply_adds;
pub(crate) use pooling::{Pool, max_pool, max_pool_scatter, max_pool_select};
pub(crate) use product::product;
pub use real::Real;
pub(crate) use softmax::{log_sum_exp, softmax};
