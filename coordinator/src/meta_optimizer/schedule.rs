//! The rate, and how it changes over the meta-steps.

use lyceum_common::config::Schedule;
use lyceum_common::ids::MetaStep;

use super::power;

/// The rate of each meta-step.
#[derive(Debug)]
pub(super) struct Rate {
    rate: f32,
    schedule: Schedule,
    meta_steps: u64,
}

impl Rate {
    pub(super) fn new(rate: f32, schedule: Schedule, meta_steps: u64) -> Self {
        Self { rate, schedule, meta_steps }
    }

    /// The rate of a meta-step, counted from 0: the configured one at the first, the schedule's `to` at the last.
    pub(super) fn at(&self, step: MetaStep) -> f32 {
        let from = f64::from(self.rate);
        let last = self.meta_steps.saturating_sub(1).max(1);
        let way = step.0.min(last) as f64 / last as f64;
        let rate = match self.schedule {
            Schedule::Constant => return self.rate,
            Schedule::Linear { to } => (1.0 - way) * from + way * f64::from(to),
            Schedule::Cosine { to } => {
                let to = f64::from(to);
                to + (from - to) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * way))
            }
            Schedule::Step { every, factor } => {
                from * power(f64::from(factor), step.0.checked_div(every).unwrap_or(0))
            }
        };
        rate as f32
    }
}
