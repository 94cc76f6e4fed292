//! SIMD and nothing else. An algorithm is written once, over a trait of sixteen lanes, as a [`Kernel`]; which
//! instruction set runs it is chosen at run time. All instruction sets agree to the bit.
//!
//! | file | holds |
//! | --- | --- |
//! | `lanes`, `real` | the trait of sixteen lanes, and that of the numbers in them |
//! | `portable`, `x86_64`, `aarch64` | its implementations |
//! | `instruction_set` | choosing one, and running a kernel with it |
//! | `gather`, `product`, `outer` | convolutions and matrix products, and their gradients by the weights |
//! | `winograd` | convolutions of stride one with fewer products |
//! | `bfloat16` | numbers rounded for such products, and sums of products of pairs of them |
//! | `prefetch`, `pages` | asking for numbers ahead of time, and for large pages; waiting for what went past the caches |
//! | `places`, `formula`, `sweep` | a formula swept over the places of a batch, or over the windows that are pooled |
//! | `statistics`, `normalisation` | batch norm with ReLU and max pool, backward and tangents |
//! | `channels` | sums over rows |
//! | `transpose` | weights as the input's gradient reads them |
//! | `lane_product`, `lstm`, `log_and_sign` | products whose batch is the lanes; LSTM cells; a gradient as their input |
//! | `side_by_side`, `lane_tree` | products of sixteen problems, one in each lane; sums over them |
//! | `pointwise`, `transcendental`, `softmax` | the rest |
//! | `scratch` | room that a thread computes in |
//! | `samples`, `peak` | fixed calls, to time and to count; what the processor multiplies and adds at best |
//!
//! This is the one folder with `unsafe`: behind safe functions that check lengths once.
#![expect(
    unsafe_code,
    reason = "vector instructions and unchecked tiles; every block says why it is sound"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "a tile's rows and columns are counted as in its formula, and to a constant, so that its sums stay in registers"
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod bfloat16;
mod channels;
mod formula;
mod gather;
mod instruction_set;
mod lane_product;
mod lane_tree;
mod lanes;
mod log_and_sign;
mod lstm;
pub(crate) mod normalisation;
mod outer;
mod pages;
mod peak;
mod places;
pub(crate) mod pointwise;
mod portable;
mod prefetch;
mod product;
mod real;
mod samples;
mod scratch;
mod side_by_side;
mod softmax;
pub(crate) mod statistics;
mod sweep;
#[cfg(test)]
pub(crate) mod test_support;
mod transcendental;
mod transpose;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) use channels::sum_rows;
pub(crate) use gather::{Blocks, Gather, GatherRow, Group, Tap, offset, panels};
pub use instruction_set::{InstructionSet, Kernel, UnknownInstructionSet};
pub(crate) use lane_product::{lane_product, lane_weight_gradient, sum_lanes};
pub(crate) use lane_tree::{spread_over_lanes, sum_lanes_as_tree};
pub(crate) use lanes::LANES;
pub(crate) use log_and_sign::LogAndSign;
pub(crate) use lstm::{CellValues, Kept, lstm_cell, lstm_cell_backward};
pub(crate) use outer::{Outer, add_outer_product, outer_product};
pub(crate) use pages::{LARGE_PAGE, prefer_large_pages, streamed};
pub use peak::multiply_adds;
pub(crate) use places::{Grid, Places, Pool};
pub(crate) use prefetch::{Ahead, prefetch};
pub(crate) use product::product;
pub use real::Real;
pub use samples::Sample;
pub(crate) use side_by_side::{Gate, Origin, Outcome, SideBySide, side_by_side};
pub(crate) use softmax::{log_sum_exp, softmax};
pub(crate) use statistics::SomeRows;
pub(crate) use transpose::transpose_taps;
pub(crate) use winograd::{
    Filters, Winograd, filter_gradient, transform_filters, winograd_gradient, winograd_product,
};
