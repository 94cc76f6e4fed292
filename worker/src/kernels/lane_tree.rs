//! From one problem to sixteen side by side and back: a number spread over the lanes, and the sum over them in the order
//! of the reduction's tree.

use std::ops::Range;

use super::lanes::{LANES, Lanes, store};
use super::real::Real;
use super::{InstructionSet, Kernel};

/// Every number of `x`, in all of sixteen lanes.
pub(crate) fn spread_over_lanes<T: Real>(instruction_set: InstructionSet, x: &[T], out: &mut [T]) {
    assert_eq!(x.len() * LANES, out.len(), "a vector for every number");
    T::dispatch(instruction_set, Spread { x, out });
}

struct Spread<'a, T> {
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        for (&x, out) in self.x.iter().zip(self.out.chunks_exact_mut(LANES)) {
            // SAFETY: a chunk has sixteen numbers, and the caller has the instructions.
            unsafe { L::splat(x).store(out.as_mut_ptr()) };
        }
    }
}

/// For every vector, the sum over `lanes`: of neighbours, then of neighbouring sums, up to one. With episode i in lane
/// i mod 16, that is what [`Reduction`](lyceum_common::reduction::Reduction) makes of the episodes below a node.
pub(crate) fn sum_lanes_as_tree<T: Real>(
    instruction_set: InstructionSet,
    lanes: Range<usize>,
    vectors: &[T],
    out: &mut [T],
) {
    assert_eq!(vectors.len(), out.len() * LANES, "a sum for every vector");
    assert!(!lanes.is_empty() && lanes.end <= LANES, "some of the lanes");
    T::dispatch(instruction_set, SumTree { lanes, vectors, out });
}

struct SumTree<'a, T> {
    lanes: Range<usize>,
    vectors: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for SumTree<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let mut takes_part = [T::ZERO; LANES];
        takes_part[self.lanes].fill(T::ONE);
        let whole = self.out.len() / LANES * LANES;
        let vectors = self.vectors.as_ptr();
        // SAFETY: there is a vector for each sum, and the caller has the instructions.
        unsafe {
            let takes_part = L::load(takes_part.as_ptr());
            let mut at = 0;
            while at < whole {
                let sums = sum_block::<L>(vectors.add(at * LANES), takes_part);
                sums.store(self.out.as_mut_ptr().add(at));
                at += LANES;
            }
            let rest = self.out.len() - whole;
            if rest > 0 {
                let mut last = [T::ZERO; LANES * LANES];
                last[..rest * LANES].copy_from_slice(&self.vectors[whole * LANES..]);
                let sums = sum_block::<L>(last.as_ptr(), takes_part);
                store(sums, self.out.as_mut_ptr().add(whole), rest);
            }
        }
    }
}

/// The sums of sixteen vectors.
#[inline(always)]
unsafe fn sum_block<L: Lanes>(vectors: *const L::Scalar, takes_part: L) -> L {
    // SAFETY: the caller gives sixteen vectors.
    unsafe {
        let zero = L::splat(L::Scalar::ZERO);
        // What adds nothing to any number, negative zero among them.
        let nothing = L::splat(-L::Scalar::ZERO);
        let mut rows = [nothing; LANES];
        for i in 0..LANES {
            rows[i] = takes_part.if_greater(zero, L::load(vectors.add(i * LANES)), nothing);
        }
        let lanes = L::transpose(rows);
        let (mut twos, mut fours, mut eights) = ([zero; 8], [zero; 4], [zero; 2]);
        for i in 0..8 {
            twos[i] = lanes[2 * i].add(lanes[2 * i + 1]);
        }
        for i in 0..4 {
            fours[i] = twos[2 * i].add(twos[2 * i + 1]);
        }
        for i in 0..2 {
            eights[i] = fours[2 * i].add(fours[2 * i + 1]);
        }
        eights[0].add(eights[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use lyceum_common::ids::EpisodeRange;
    use lyceum_common::reduction::NodeId;
    use lyceum_common::reduction::{Partial, Reduction, subtrees};
    use lyceum_common::report::ReportSums;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_at_a_node_is_the_reductions_on_every_instruction_set(
            episodes in 1u64..40, start in 0u64..40, length in 1u64..17, count in 1usize..40, seed: u64,
        ) {
            let start = start % episodes;
            let end = episodes.min(start + length).min(start / 16 * 16 + 16);
            let range = EpisodeRange::new(start, end);
            let gradients = numbers(seed, count * LANES);
            let mut reduction = Reduction::new(episodes, range);
            for episode in range.indices() {
                let lane = episode as usize % LANES;
                let gradient = gradients.iter().skip(lane).step_by(LANES).copied().collect();
                let node = NodeId::leaf(episode);
                reduction.add(Partial { node, gradient, reports: ReportSums::default() });
            }
            let expected = reduction.into_partials();
            prop_assert_eq!(expected.len(), subtrees(episodes, range).len());
            for Partial { node, gradient, .. } in expected {
                let below = node.episodes(episodes);
                let first = below.start.0 as usize % LANES;
                for set in InstructionSet::available() {
                    let mut out = vec![f32::NAN; count];
                    sum_lanes_as_tree(set, first..first + below.len() as usize, &gradients, &mut out);
                    prop_assert!(same_bits(&out, &gradient), "{set}");
                }
            }
        }
    }

    #[test]
    fn a_number_goes_to_every_lane() {
        for set in InstructionSet::available() {
            let mut out = [f32::NAN; 3 * LANES];
            spread_over_lanes(set, &[1.0, -2.0, 3.0], &mut out);
            assert!(
                out.chunks(LANES).zip([1.0, -2.0, 3.0]).all(|(v, x)| v.iter().all(|&v| v == x))
            );
        }
    }
}
