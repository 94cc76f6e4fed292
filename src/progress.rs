//! What a person sees while a run goes on: a bar on a terminal, a line a report elsewhere. All on standard error.

mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lyceum_common::config::RunConfig;
use lyceum_common::ids::MetaStep;
use lyceum_coordinator::metrics::Timing;
use lyceum_coordinator::observation::{Observation, Observer};
use lyceum_coordinator::pace::Pace;
use lyceum_coordinator::run::{Evaluation, Report, ReportKind};

use crate::output::{say_above, tell};
use crate::words::{self, counted, duration, rate};
use view::{View, doing};

/// Columns of the bar itself.
const BAR: usize = 8;
/// How often the bar is drawn where nothing happens: what came too fast to be drawn is seen then.
const TURN: Duration = Duration::from_millis(500);

/// An observer that shows a run of `config`, from meta-step `begin` on.
pub(crate) fn observer(config: &RunConfig, begin: MetaStep) -> Observer {
    if std::io::stderr().is_terminal() { bar(config, begin) } else { lines(config, begin) }
}

fn bar(config: &RunConfig, begin: MetaStep) -> Observer {
    let mut view = View::new(config, begin);
    let bar = ProgressBar::with_draw_target(Some(view.filled().1), ProgressDrawTarget::stderr());
    // Whatever the terminal's width, it is one line.
    if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:{BAR}}} {{wide_msg}}")) {
        bar.set_style(style);
    }
    say_above(&bar);
    draw(&bar, &view);
    bar.enable_steady_tick(TURN);
    Box::new(move |observation| {
        view.see(&observation);
        if let Observation::Report(report, _) = &observation
            && report.kind != ReportKind::Training
        {
            bar.println(result(report));
        }
        draw(&bar, &view);
    })
}

fn draw(bar: &ProgressBar, view: &View) {
    let (position, length) = view.filled();
    bar.set_length(length);
    bar.set_position(position);
    bar.set_message(view.text());
}

fn lines(config: &RunConfig, begin: MetaStep) -> Observer {
    let mut pace = Pace::new(&config.training, begin);
    let mut workers: u64 = 0;
    Box::new(move |observation| {
        let trains = pace.evaluation().is_none();
        pace.see(&observation);
        match observation {
            Observation::Joined(worker, hello) => {
                workers += 1;
                let threads = counted(hello.threads, "thread", "threads");
                tell(&format!("{worker} joined: {} ({threads})", hello.name));
            }
            Observation::Left(worker) => {
                workers = workers.saturating_sub(1);
                let then = if workers == 0 { ": waiting for workers" } else { "" };
                tell(&format!("{worker} left{then}"));
            }
            Observation::Evaluation(evaluation) if trains => tell(&beginning(evaluation)),
            Observation::Report(report, timing) => tell(&line(&report, timing, pace.left())),
            Observation::Evaluation(_) | Observation::Progress(..) => {}
        }
    })
}

/// An evaluation that begins.
fn beginning(evaluation: Evaluation) -> String {
    format!(
        "{} on {}",
        doing(evaluation.split),
        counted(evaluation.episodes, "episode", "episodes")
    )
}

/// A report in one line, with how fast it goes, and how many seconds are left where that is known.
fn line(report: &Report, timing: Timing, left: Option<f64>) -> String {
    let mut parts = vec![
        result(report),
        format!("{} episodes/s", rate(timing.episodes_per_second)),
        counted(report.workers, "worker", "workers"),
    ];
    // At the end nothing is.
    let left = left.filter(|left| *left > 0.0);
    parts.extend(left.map(|left| format!("{} left", duration(left))));
    parts.join(" · ")
}

/// What a report is about, and what was found.
fn result(report: &Report) -> String {
    let accuracy = report.accuracy.map_or_else(String::new, |accuracy| {
        let half_width = accuracy.half_width().map(|half| format!(" ± {:.2}", 100.0 * half));
        let half_width = half_width.unwrap_or_default();
        format!(" · accuracy {:.2} %{half_width}", 100.0 * accuracy.mean)
    });
    format!(
        "{} at step {} · loss {}{accuracy}",
        report.kind.name(),
        report.step,
        words::loss(report.loss.mean)
    )
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::Split;
    use lyceum_common::report::Estimate;

    use super::*;

    #[test]
    fn a_line_says_how_long_it_takes_in_units_that_people_read() {
        let estimate = Estimate { mean: 0.5, interval: 0.1 };
        let mut report = Report {
            kind: ReportKind::Training,
            step: MetaStep(10),
            episodes: 40,
            loss: estimate,
            accuracy: Some(estimate),
            workers: 1,
        };
        let timing = Timing { seconds: 9.0, episodes_per_second: 0.314, wall_time: 0.0 };
        assert_eq!(
            line(&report, timing, Some(4320.0)),
            "training at step 10 · loss 0.5000 · accuracy 50.00 % ± 10.00 · 0.31 episodes/s · 1 worker · 1 h 12 min left"
        );
        report.accuracy = Some(Estimate { mean: 0.5, interval: f64::NAN });
        assert_eq!(result(&report), "training at step 10 · loss 0.5000 · accuracy 50.00 %");
        (report.accuracy, report.workers) = (None, 2);
        let expected = "training at step 10 · loss 0.5000 · 0.31 episodes/s · 2 workers";
        assert_eq!(line(&report, timing, None), expected, "no rate is known");
        assert_eq!(line(&report, timing, Some(0.0)), expected, "it is over");
        let test = Evaluation { split: Split::Test, answered: 0, episodes: 1000 };
        assert_eq!(beginning(test), "testing on 1000 episodes");
    }

    #[test]
    fn the_bars_template_is_one() {
        assert!(ProgressStyle::with_template(&format!("{{bar:{BAR}}} {{wide_msg}}")).is_ok());
    }
}
