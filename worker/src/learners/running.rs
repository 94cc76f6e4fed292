//! Batch norm's running statistics (Ioffe and Szegedy 2015): carried along with the meta-parameters, moved by what each
//! episode's batch adds, and taken in evaluation, so that no query example sees another.
//!
//! For every batch norm, in the program's order, there are its channels' running means and then their variances. Their
//! "gradient" is their change, so they go up the reduction's tree as gradients do, and are the same bits whoever
//! computed them: of a meta-batch it is the mean change that counts.

use crate::kernels::Real;
use crate::kernels::statistics::EPSILON;

/// The batch's share in the new running statistics: PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// The change of `running` by a batch of these (μ, r), each taken over so many numbers: 0.1 (batch − running). As in
/// PyTorch, the running variance is the unbiased one.
pub(super) fn change<'b, T: Real>(
    batch: impl Iterator<Item = (&'b [T], usize)>,
    running: &[T],
    out: &mut [T],
) {
    let momentum = T::from_f64(MOMENTUM);
    let (mut running, mut out) = (running, out);
    for (statistics, rows) in batch {
        let (here, later) = running.split_at(statistics.len());
        let (changes, rest) = std::mem::take(&mut out).split_at_mut(statistics.len());
        (running, out) = (later, rest);
        let channels = statistics.len() / 2;
        let unbiased = T::from_f64(rows as f64 / (rows.max(2) - 1) as f64);
        for c in 0..channels {
            let (mean, r) = (statistics[c], statistics[channels + c]);
            let variance = (T::ONE / (r * r) - T::from_f64(EPSILON)) * unbiased;
            changes[c] = momentum * (mean - here[c]);
            changes[channels + c] = momentum * (variance - here[channels + c]);
        }
    }
}

/// The (μ, r) that running statistics stand for, `out` being as long.
pub(super) fn statistics<'r, T: Real>(running: impl Iterator<Item = &'r [T]>, out: &mut [T]) {
    let mut out = out;
    for running in running {
        let (here, rest) = std::mem::take(&mut out).split_at_mut(running.len());
        out = rest;
        let channels = running.len() / 2;
        here[..channels].copy_from_slice(&running[..channels]);
        for (r, &variance) in here[channels..].iter_mut().zip(&running[channels..]) {
            *r = T::ONE / (variance + T::from_f64(EPSILON)).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 2 and 3: mean 2, variance 2/3, and 1 with n − 1.
    #[test]
    fn a_batch_moves_them_by_a_tenth_of_the_way_as_in_pytorch() {
        let batch = [2.0, 1.0 / (2.0_f64 / 3.0 + EPSILON).sqrt()];
        let mut changes = [f64::NAN; 2];
        change([(&batch[..], 3)].into_iter(), &[0.5, 3.0], &mut changes);
        assert!(
            (changes[0] - 0.15).abs() < 1e-12 && (changes[1] + 0.2).abs() < 1e-12,
            "{changes:?}"
        );

        let mut given = [f64::NAN; 4];
        statistics([&[2.0, 0.25 - EPSILON][..], &[-1.0, 4.0 - EPSILON]].into_iter(), &mut given);
        assert!(
            given.iter().zip([2.0, 2.0, -1.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-12),
            "{given:?}"
        );
    }
}
