//! `lyceum bench --profile`: where an episode's time goes, op by op.

use std::time::Duration;

use lyceum_worker::profile::Timing;
use serde::Serialize;

/// One op of one layer, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    workload: &'static str,
    batch: &'static str,
    program: &'static str,
    layer: usize,
    op: &'static str,
    /// Times that an episode runs it.
    runs: usize,
    /// Microseconds of an episode that it takes.
    microseconds: f64,
    /// Its part of all that is listed.
    share_of_time: f64,
    /// 10⁹ products and sums a second, border zeros not counted; none for an op without products.
    gflops: Option<f64>,
}

impl Row {
    pub(super) const HEADER: &'static str = "batch    program            layer  op                     runs         µs   share   GFLOP/s";

    pub(super) fn text(&self) -> String {
        let gflops = self.gflops.map_or(String::new(), |gflops| format!("{gflops:.1}"));
        format!(
            "{:<8} {:<18} {:>5}  {:<22} {:>4} {:>10.1} {:>6.1}% {:>9}",
            self.batch,
            self.program,
            self.layer,
            self.op,
            self.runs,
            self.microseconds,
            100.0 * self.share_of_time,
            gflops
        )
    }
}

/// The rows of a workload's timings, in the order that an episode runs them in.
pub(super) fn rows(workload: &'static str, timings: &[Timing]) -> Vec<Row> {
    let time = |timing: &Timing| timing.time * u32::try_from(timing.runs).unwrap_or(u32::MAX);
    let whole: Duration = timings.iter().map(time).sum();
    let row = |timing: &Timing| Row {
        workload,
        batch: timing.batch,
        program: timing.program,
        layer: timing.layer,
        op: timing.op,
        runs: timing.runs,
        microseconds: 1e6 * time(timing).as_secs_f64(),
        share_of_time: time(timing).as_secs_f64() / whole.as_secs_f64(),
        gflops: (timing.products > 0)
            .then(|| 2e-9 * timing.products as f64 / timing.time.as_secs_f64()),
    };
    timings.iter().map(row).collect()
}
