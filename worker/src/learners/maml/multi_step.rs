//! The multi-step loss (Antoniou et al. 2019, section 4): Σₖ vₖ L(φₖ), k = 1 … K, on the query set.

use lyceum_common::config::MultiStepLoss;
use lyceum_common::ids::MetaStep;

/// vₖ at a meta-step t of T, with K inner steps: (1 − t/T) / K for k < K, and the rest for the last. Where there is no
/// such loss, the last one's is all.
pub(super) fn share(
    config: Option<MultiStepLoss>,
    (k, steps): (usize, usize),
    meta_step: MetaStep,
) -> f64 {
    let left = config.map_or(0.0, |multi| 1.0 - meta_step.0 as f64 / multi.meta_steps as f64);
    let each = left.max(0.0) / steps as f64;
    if k == steps {
        1.0 - each * (steps - 1) as f64
    } else if k > 0 {
        each
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_begin_alike_and_end_with_the_last_step_alone() {
        let config = Some(MultiStepLoss { meta_steps: 100 });
        let shares = |config, step| [0, 1, 2, 3, 4].map(|k| share(config, (k, 4), MetaStep(step)));
        assert_eq!(shares(config, 0), [0.0, 0.25, 0.25, 0.25, 0.25]);
        assert_eq!(shares(config, 50), [0.0, 0.125, 0.125, 0.125, 0.625]);
        for (config, step) in [(config, 100), (config, 1000), (None, 0)] {
            assert_eq!(shares(config, step), [0.0, 0.0, 0.0, 0.0, 1.0]);
        }
    }
}
