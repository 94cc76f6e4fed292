//! What the episodes that a learner computes at once report.

use lyceum_common::report::EpisodeReport;

use crate::kernels::LANES;

/// A report for each of the episodes that are computed side by side; of one alone, the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reports([EpisodeReport; LANES]);

impl Reports {
    /// Of up to sixteen episodes.
    pub(crate) fn of(reports: impl Iterator<Item = EpisodeReport>) -> Self {
        let mut of = [EpisodeReport::default(); LANES];
        for (of, report) in of.iter_mut().zip(reports) {
            *of = report;
        }
        Self(of)
    }

    /// The same, of which the losses are `share` of these.
    pub(crate) fn of_share(mut self, share: f64) -> Self {
        for report in &mut self.0 {
            report.loss *= share;
        }
        self
    }

    /// Adds `share` of each loss of others, among losses of the same query sets.
    pub(crate) fn add_loss(&mut self, share: f64, others: &Self) {
        for (report, other) in self.0.iter_mut().zip(&others.0) {
            report.loss += share * other.loss;
        }
    }

    /// The report of an episode that is computed alone.
    pub(crate) fn alone(self) -> EpisodeReport {
        self.0[0]
    }

    /// The report of the episode in `lane`.
    pub(crate) fn lane(&self, lane: usize) -> EpisodeReport {
        self.0[lane]
    }
}

impl From<EpisodeReport> for Reports {
    fn from(report: EpisodeReport) -> Self {
        Self::of(std::iter::once(report))
    }
}
