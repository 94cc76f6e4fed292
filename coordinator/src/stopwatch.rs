//! How long things take: what reports have from a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::Timing;
use crate::run::{Report, ReportKind};

/// Measures what reports say of time. Time between a meta-step's end and the end before it counts as training, time
/// between that and an evaluation's end as the evaluation, and time in which no worker is there as nothing.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    /// Since when the work is that no lap has yet; none while nobody is there to do any.
    mark: Option<Instant>,
    /// Of the lap under way, what was worked before the last worker left.
    lap: Duration,
    /// All laps.
    total: Duration,
    /// Of the meta-steps since the last report of training, and their episodes: a run that goes on reports episodes, too,
    /// whose time an earlier process has seen.
    training: Duration,
    episodes: u64,
}

impl Stopwatch {
    /// There is a worker.
    pub(crate) fn work_begins(&mut self, now: Instant) {
        self.mark = self.mark.or(Some(now));
    }

    /// The last worker is gone.
    pub(crate) fn work_ends(&mut self, now: Instant) {
        if let Some(mark) = self.mark.take() {
            self.lap += now.saturating_duration_since(mark);
        }
    }

    /// A meta-step of so many episodes ends.
    pub(crate) fn step(&mut self, now: Instant, episodes: u64) -> Timing {
        let spent = self.lap(now);
        self.training += spent;
        self.episodes += episodes;
        self.timing(episodes, spent)
    }

    /// A report is made.
    pub(crate) fn report(&mut self, now: Instant, report: &Report) -> Timing {
        let (episodes, spent) = match report.kind {
            ReportKind::Training => {
                (std::mem::take(&mut self.episodes), std::mem::take(&mut self.training))
            }
            ReportKind::Validation | ReportKind::Test => (report.episodes, self.lap(now)),
        };
        self.timing(episodes, spent)
    }

    fn timing(&self, episodes: u64, spent: Duration) -> Timing {
        let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timing {
            seconds: self.total.as_secs_f64(),
            // A clock's resolution is finite: no rate is.
            episodes_per_second: episodes as f64 / spent.as_secs_f64().max(1e-9),
            wall_time: wall_time.as_secs_f64(),
        }
    }

    fn lap(&mut self, now: Instant) -> Duration {
        let mut spent = std::mem::take(&mut self.lap);
        if let Some(mark) = &mut self.mark {
            spent += now.saturating_duration_since(*mark);
            *mark = now;
        }
        self.total += spent;
        spent
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::MetaStep;
    use lyceum_common::report::Estimate;

    use super::*;

    fn report(kind: ReportKind, episodes: u64) -> Report {
        let loss = Estimate { mean: 0.5, interval: 0.1 };
        Report { kind, step: MetaStep(2), episodes, loss, accuracy: None, workers: 1 }
    }

    /// Seconds, and episodes a second.
    fn told(timing: Timing) -> (f64, f64) {
        (timing.seconds, timing.episodes_per_second)
    }

    #[test]
    fn neither_evaluations_nor_waiting_for_workers_are_training() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut stopwatch = Stopwatch::default();
        stopwatch.work_begins(at(100));
        assert_eq!(told(stopwatch.step(at(102), 8)), (2.0, 4.0));
        let validation = stopwatch.report(at(106), &report(ReportKind::Validation, 12));
        assert_eq!(told(validation), (6.0, 3.0));
        // The only worker leaves within the meta-step, and another goes on with it; a third one begins nothing.
        stopwatch.work_ends(at(107));
        stopwatch.work_begins(at(500));
        stopwatch.work_begins(at(501));
        assert_eq!(told(stopwatch.step(at(503), 8)), (10.0, 2.0));
        let training = stopwatch.report(at(503), &report(ReportKind::Training, 16));
        assert_eq!(told(training), (10.0, 16.0 / 6.0));

        // What was reported is not counted again.
        stopwatch.step(at(509), 12);
        let training = stopwatch.report(at(509), &report(ReportKind::Training, 12));
        assert_eq!(told(training), (16.0, 2.0));
        let test = stopwatch.report(at(521), &report(ReportKind::Test, 12));
        assert_eq!(told(test), (28.0, 1.0));
    }

    #[test]
    fn a_run_that_goes_on_has_the_rate_of_the_episodes_that_it_computed() {
        let begin = Instant::now();
        let mut stopwatch = Stopwatch::default();
        stopwatch.work_begins(begin);
        let end = begin + Duration::from_secs(2);
        stopwatch.step(end, 8);
        // Nine meta-steps of the report's ten were an earlier process's.
        let training = stopwatch.report(end, &report(ReportKind::Training, 80));
        assert_eq!(told(training), (2.0, 4.0));
    }
}
