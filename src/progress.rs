//! What a person sees while a run goes on: a bar on a terminal, a line a report elsewhere. All on standard error.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lyceum_common::config::RunConfig;
use lyceum_common::ids::MetaStep;
use lyceum_coordinator::observation::{Observation, Observer};
use lyceum_coordinator::run::{Progress, Report};

use crate::output::tell;

/// How much of the last rate a new one replaces.
const SMOOTHING: f64 = 0.05;

/// An observer that shows a run of `config`, from meta-step `begin` on.
pub(crate) fn observer(config: &RunConfig, begin: MetaStep) -> Observer {
    if std::io::stderr().is_terminal() {
        bar(config, begin)
    } else {
        lines(config.training.meta_steps, begin)
    }
}

fn bar(config: &RunConfig, begin: MetaStep) -> Observer {
    let bar = ProgressBar::with_draw_target(
        Some(config.training.meta_steps),
        ProgressDrawTarget::stderr(),
    );
    let template = "{bar:30} {pos}/{len} {msg} · {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(begin.0);
    bar.reset_eta();
    let mut smooth = Smooth::default();
    Box::new(move |observation| match observation {
        Observation::Progress(progress, _) => {
            bar.set_position(progress.step.0);
            smooth.take(&progress);
            let rate = bar.per_sec() * progress.episodes as f64;
            bar.set_message(format!(
                "{} · {rate:.0} episodes/s · {} workers",
                smooth.text(),
                progress.workers
            ));
        }
        Observation::Report(report, _)
            if report.kind != lyceum_coordinator::run::ReportKind::Training =>
        {
            bar.println(line(&report));
        }
        Observation::Report(..) | Observation::Joined(..) | Observation::Left(_) => {}
    })
}

fn lines(steps: u64, begin: MetaStep) -> Observer {
    Box::new(move |observation| match observation {
        Observation::Joined(worker, hello) => {
            tell(&format!("{worker} joined: {} ({} threads)", hello.name, hello.threads));
        }
        Observation::Left(worker) => tell(&format!("{worker} left")),
        Observation::Report(report, timing) => {
            // The clock begins with the process, which may have resumed the run.
            let taken = report.step.0.saturating_sub(begin.0).max(1);
            let left = steps.saturating_sub(report.step.0) as f64 * timing.seconds / taken as f64;
            tell(&format!(
                "{} · {:.0} episodes/s · {} workers · {left:.0} s left",
                line(&report),
                timing.episodes_per_second,
                report.workers
            ));
        }
        Observation::Progress(..) => {}
    })
}

/// One report in one line.
fn line(report: &Report) -> String {
    let accuracy = report.accuracy.map_or_else(String::new, |accuracy| {
        format!(" · accuracy {:.2} % ± {:.2}", 100.0 * accuracy.mean, 100.0 * accuracy.interval)
    });
    format!(
        "{} at step {} · loss {:.4}{accuracy}",
        report.kind.name(),
        report.step,
        report.loss.mean
    )
}

/// Loss and accuracy, smoothed over meta-steps.
#[derive(Default)]
struct Smooth {
    loss: Option<f64>,
    accuracy: Option<f64>,
}

impl Smooth {
    fn take(&mut self, progress: &Progress) {
        let mix =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old + SMOOTHING * (new - old)));
        self.loss = mix(self.loss, progress.loss);
        if let Some(accuracy) = progress.accuracy {
            self.accuracy = mix(self.accuracy, accuracy);
        }
    }

    fn text(&self) -> String {
        let loss = format!("loss {:.4}", self.loss.unwrap_or(f64::NAN));
        self.accuracy
            .map_or(loss.clone(), |accuracy| format!("{loss} · accuracy {:.1} %", 100.0 * accuracy))
    }
}
