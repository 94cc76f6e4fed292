//! How long things take: what reports have from a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::Timing;
use crate::run::{Report, ReportKind};

/// Measures what reports say of time. Time between a meta-step's end and the end before it counts as training, time
/// between that and an evaluation's end as the evaluation.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    begin: Instant,
    mark: Instant,
    training: Duration,
}

impl Stopwatch {
    pub(crate) fn start(now: Instant) -> Self {
        Self { begin: now, mark: now, training: Duration::ZERO }
    }

    /// Work begins only now, with the first worker.
    pub(crate) fn work_begins(&mut self, now: Instant) {
        self.mark = now;
    }

    /// A meta-step ends.
    pub(crate) fn step(&mut self, now: Instant) {
        let spent = self.lap(now);
        self.training += spent;
    }

    /// A report is made.
    pub(crate) fn report(&mut self, now: Instant, report: &Report) -> Timing {
        let spent = match report.kind {
            ReportKind::Training => std::mem::take(&mut self.training),
            ReportKind::Validation | ReportKind::Test => self.lap(now),
        };
        let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timing {
            seconds: (now - self.begin).as_secs_f64(),
            // A clock's resolution is finite: no rate is.
            episodes_per_second: report.episodes as f64 / spent.as_secs_f64().max(1e-9),
            wall_time: wall_time.as_secs_f64(),
        }
    }

    fn lap(&mut self, now: Instant) -> Duration {
        let spent = now.saturating_duration_since(self.mark);
        self.mark = now;
        spent
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::MetaStep;
    use lyceum_common::report::Estimate;

    use super::*;

    #[test]
    fn neither_evaluations_nor_waiting_for_the_first_worker_are_training() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let report = |kind| Report {
            kind,
            step: MetaStep(2),
            episodes: 12,
            loss: Estimate { mean: 0.5, interval: 0.1 },
            accuracy: None,
            workers: 1,
        };
        let mut stopwatch = Stopwatch::start(begin);
        stopwatch.work_begins(at(100));
        stopwatch.step(at(102));
        let validation = stopwatch.report(at(106), &report(ReportKind::Validation));
        stopwatch.step(at(107));
        let training = stopwatch.report(at(107), &report(ReportKind::Training));
        // Four seconds of evaluation, and two and one of training.
        let rates = [validation, training].map(|timing| timing.episodes_per_second);
        assert_eq!(rates, [3.0, 4.0]);
        assert_eq!([validation, training].map(|timing| timing.seconds), [106.0, 107.0]);

        // What was reported is not counted again.
        stopwatch.step(at(113));
        let training = stopwatch.report(at(113), &report(ReportKind::Training));
        assert_eq!(training.episodes_per_second, 2.0);
        let test = stopwatch.report(at(125), &report(ReportKind::Test));
        assert_eq!(test.episodes_per_second, 1.0);
    }
}
