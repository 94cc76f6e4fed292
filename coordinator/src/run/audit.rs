//! Which assignments are computed twice, and whether two answers are the same bits.

use lyceum_common::ids::{Digest, Split};
use lyceum_common::reduction::Partial;

use super::message::Job;

/// Whether the range of `job` that starts at `start` is audited, so that a `share` of all ranges is: a function of these
/// alone.
pub(super) fn is_chosen(share: f64, job: Job, start: u64) -> bool {
    if share <= 0.0 {
        return false;
    }
    let (kind, number) = match job {
        Job::Gradient { step } => (0, step.0),
        Job::Evaluation { split } => match split {
            Split::Train => (1, 0),
            Split::Validation => (1, 1),
            Split::Test => (1, 2),
        },
    };
    let mut bytes = [0; 24];
    for (place, value) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([kind, number, start]) {
        *place = u64::to_le_bytes(value);
    }
    let [b0, b1, b2, b3, ..] = Digest::of(&bytes).0;
    f64::from(u32::from_le_bytes([b0, b1, b2, b3])) < share * (1u64 << 32) as f64
}

/// A digest of all bits of an answer.
pub(super) fn fingerprint(partials: &[Partial]) -> Digest {
    let mut bytes = Vec::new();
    for partial in partials {
        bytes.extend_from_slice(&partial.node.level.to_le_bytes());
        bytes.extend_from_slice(&partial.node.index.to_le_bytes());
        bytes.extend(partial.gradient.iter().flat_map(|value| value.to_le_bytes()));
        let sums = partial.reports;
        bytes.extend_from_slice(&sums.episodes.to_le_bytes());
        for sum in [sums.loss, sums.loss_squared, sums.accuracy, sums.accuracy_squared] {
            // Machines differ in the sign of what is no number.
            let sum = if sum.is_nan() { f64::NAN } else { sum };
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lyceum_common::ids::MetaStep;
    use lyceum_common::reduction::NodeId;
    use lyceum_common::report::ReportSums;

    #[test]
    fn the_share_that_is_chosen_is_the_share_asked_for() {
        let chosen = |share| {
            let job = |step| Job::Gradient { step: MetaStep(step) };
            let of_step = |step| (0..8).filter(move |&start| is_chosen(share, job(step), start));
            (0..1000).map(|step| of_step(step).count()).sum::<usize>()
        };
        assert_eq!([chosen(0.0), chosen(1.0)], [0, 8000]);
        assert!((1800..2200).contains(&chosen(0.25)), "{}", chosen(0.25));
    }

    #[test]
    fn a_fingerprint_sees_a_single_bit() {
        let answer = |value: f32| {
            let reports = ReportSums::default();
            fingerprint(&[Partial { node: NodeId::leaf(3), gradient: vec![1.0, value], reports }])
        };
        assert_eq!(answer(0.5), answer(0.5));
        assert_ne!(answer(0.0), answer(-0.0));
    }
}
