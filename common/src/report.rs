//! What episodes report beside their gradient, and how it is summed up.

/// What one episode reports: sums travel with the gradient up the tree of the reduction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EpisodeReport {
    /// The query loss after adaptation.
    pub loss: f64,
    /// The share of query examples labelled right, in 0..=1; zero for regression.
    pub accuracy: f64,
}

/// Sums over episodes, from which means and intervals follow. Sums are f64 and go up the same tree as the gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportSums {
    /// How many episodes.
    pub episodes: u64,
    /// Σ loss.
    pub loss: f64,
    /// Σ loss².
    pub loss_squared: f64,
    /// Σ accuracy.
    pub accuracy: f64,
    /// Σ accuracy².
    pub accuracy_squared: f64,
}

impl From<EpisodeReport> for ReportSums {
    fn from(report: EpisodeReport) -> Self {
        let EpisodeReport { loss, accuracy } = report;
        Self {
            episodes: 1,
            loss,
            loss_squared: loss * loss,
            accuracy,
            accuracy_squared: accuracy * accuracy,
        }
    }
}

impl ReportSums {
    /// The sums over the episodes of a whole evaluation, by the reduction's tree: the bits are those of the farm.
    #[must_use]
    pub fn of(reports: &[EpisodeReport]) -> Self {
        match reports {
            [] => Self::default(),
            [report] => (*report).into(),
            _ => {
                let (left, right) = reports.split_at(reports.len().next_power_of_two() / 2);
                Self::of(left).plus(Self::of(right))
            }
        }
    }

    /// The sums of `self` and `other` together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            episodes: self.episodes + other.episodes,
            loss: self.loss + other.loss,
            loss_squared: self.loss_squared + other.loss_squared,
            accuracy: self.accuracy + other.accuracy,
            accuracy_squared: self.accuracy_squared + other.accuracy_squared,
        }
    }

    /// Whether every sum is: no episode diverged.
    #[must_use]
    pub fn are_finite(&self) -> bool {
        let &Self { episodes: _, loss, loss_squared, accuracy, accuracy_squared } = self;
        [loss, loss_squared, accuracy, accuracy_squared].into_iter().all(f64::is_finite)
    }

    /// The loss's mean over episodes.
    #[must_use]
    pub fn mean_loss(&self) -> Estimate {
        Estimate::of(self.episodes, self.loss, self.loss_squared)
    }

    /// The accuracy's mean over episodes.
    #[must_use]
    pub fn mean_accuracy(&self) -> Estimate {
        Estimate::of(self.episodes, self.accuracy, self.accuracy_squared)
    }
}

/// How many of these episodes diverged: their loss is infinite, or not a number.
#[must_use]
pub fn diverged(reports: &[EpisodeReport]) -> u64 {
    reports.iter().filter(|report| !report.loss.is_finite()).count() as u64
}

/// A mean over episodes and the half-width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean; NaN over no episodes.
    pub mean: f64,
    /// 1.96 standard errors, the standard deviation taken with n − 1; NaN for fewer than two episodes, and where a value or
    /// its square is infinite or NaN.
    pub interval: f64,
}

impl Estimate {
    /// The mean of losses for a comparison: what diverged, whose mean may be no number, is above all others.
    #[must_use]
    pub fn mean_or_infinite(self) -> f64 {
        if self.mean.is_finite() { self.mean } else { f64::INFINITY }
    }

    /// The interval's half-width, where it has one.
    #[must_use]
    pub fn half_width(self) -> Option<f64> {
        self.interval.is_finite().then_some(self.interval)
    }

    fn of(episodes: u64, sum: f64, sum_of_squares: f64) -> Self {
        let n = episodes as f64;
        let mean = sum / n;
        // Infinity minus itself is NaN, and so is zero over zero, which `max` below would take for zero: an interval of nothing.
        if episodes < 2 || !(mean.is_finite() && sum_of_squares.is_finite()) {
            return Self { mean, interval: f64::NAN };
        }
        let variance = ((sum_of_squares - sum * mean) / (n - 1.0)).max(0.0);
        Self { mean, interval: 1.96 * (variance / n).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduction::{NodeId, Partial, Reduction};
    use proptest::prelude::*;

    #[test]
    fn means_and_intervals_of_a_known_sample() {
        let sums = [0.0, 1.0, 1.0, 1.0]
            .map(|accuracy| ReportSums::from(EpisodeReport { loss: 2.0, accuracy }))
            .into_iter()
            .reduce(ReportSums::plus)
            .unwrap();
        let accuracy = sums.mean_accuracy();
        assert!((accuracy.mean - 0.75).abs() < 1e-12);
        assert!((accuracy.interval - 1.96 * 0.25).abs() < 1e-12);
        assert_eq!(sums.mean_loss(), Estimate { mean: 2.0, interval: 0.0 });
        assert_eq!(sums.mean_loss().half_width(), Some(0.0));
    }

    #[test]
    fn what_diverged_has_no_interval_and_is_counted() {
        let of = |losses: [f64; 3]| losses.map(|loss| EpisodeReport { loss, accuracy: 0.5 });
        for (losses, expected) in [
            ([1.0, 2.0, 3.0], 0),
            ([1.0, f64::INFINITY, 3.0], 1),
            ([f64::NAN, f64::NEG_INFINITY, 3.0], 2),
        ] {
            let reports = of(losses);
            assert_eq!(diverged(&reports), expected);
            let sums = ReportSums::of(&reports);
            assert_eq!(sums.mean_loss().half_width().is_some(), expected == 0, "{losses:?}");
            assert_eq!(sums.are_finite(), expected == 0, "{losses:?}");
            assert_eq!(sums.mean_accuracy(), Estimate { mean: 0.5, interval: 0.0 });
        }
        // Squares overflow before what is squared does.
        assert_eq!(ReportSums::of(&of([1e200, 2e200, 3e200])).mean_loss().half_width(), None);
    }

    #[test]
    fn one_episode_has_a_mean_and_no_interval() {
        let one = ReportSums::from(EpisodeReport { loss: 2.0, accuracy: 0.5 });
        for (estimate, mean) in [(one.mean_loss(), 2.0), (one.mean_accuracy(), 0.5)] {
            assert_eq!((estimate.mean, estimate.half_width()), (mean, None));
        }
        assert_eq!(ReportSums::default().mean_loss().half_width(), None);
    }

    proptest! {
        #[test]
        fn the_sums_of_all_reports_are_the_reductions(losses in prop::collection::vec(0.0..9.0, 1..70)) {
            let reports: Vec<_> = losses.iter().map(|&loss| EpisodeReport { loss, accuracy: 1.0 / loss }).collect();
            let mut reduction = Reduction::whole(reports.len() as u64);
            for (index, &report) in reports.iter().enumerate() {
                let node = NodeId::leaf(index as u64);
                reduction.add(Partial { node, gradient: Vec::new(), reports: report.into() });
            }
            prop_assert_eq!(ReportSums::of(&reports), reduction.into_root().unwrap().reports);
        }
    }
}
