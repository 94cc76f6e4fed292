//! As many multiplications with an addition as the machine does: what benchmarks are a share of.

use super::lanes::{LANES, Lanes};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Independent sums: enough to hide the latency of a fused multiply-add on two ports, few enough for the registers.
const SUMS: usize = 6;

/// Does `rounds` rounds of fused multiply-adds on registers alone. Returns how many were done, lane by lane, and a
/// number that depends on all of them.
#[must_use]
pub fn multiply_adds(instruction_set: InstructionSet, rounds: usize) -> (usize, f32) {
    f32::dispatch(instruction_set, Peak { rounds })
}

struct Peak {
    rounds: usize,
}

impl Kernel<f32> for Peak {
    type Output = (usize, f32);

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = f32>>(self) -> (usize, f32) {
        // Wide registers take twice as many sums.
        if L::REGISTERS > 2 * SUMS {
            // SAFETY: the caller has the instructions.
            unsafe { spin::<L, { 2 * SUMS }>(self.rounds) }
        } else {
            // SAFETY: likewise.
            unsafe { spin::<L, SUMS>(self.rounds) }
        }
    }
}

#[inline(always)]
unsafe fn spin<L: Lanes<Scalar = f32>, const N: usize>(rounds: usize) -> (usize, f32) {
    // SAFETY: the caller has the instructions.
    unsafe {
        let factor = L::splat(0.999_999);
        let mut sums = [L::splat(1.0); N];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = factor.mul_add(*sum, factor);
            }
        }
        let mut total = 0.0;
        for sum in sums {
            total += sum.sum();
        }
        (rounds * N * LANES, total)
    }
}
