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
