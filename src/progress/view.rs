//! What stands beside the bar: within what 80 columns leave, the more important first to stay.

use lyceum_common::config::RunConfig;
use lyceum_common::ids::{MetaStep, Split};
use lyceum_coordinator::observation::Observation;
use lyceum_coordinator::pace::Pace;
use lyceum_coordinator::run::Progress;

use crate::words::{self, counted, duration, rate};

/// How much of the last loss, and of the last accuracy, a new one replaces.
const SMOOTHING: f64 = 0.05;
/// Columns that a terminal of 80 has beside the bar.
const ROOM: usize = 80 - super::BAR - 1;

/// A run as it is seen beside its bar.
#[derive(Debug)]
pub(super) struct View {
    pace: Pace,
    /// Whether more accuracy is better, and not less loss.
    classifies: bool,
    workers: u64,
    loss: Option<f64>,
    accuracy: Option<f64>,
}

/// A part of the line.
struct Part {
    text: String,
    /// What is more is left out sooner; 0 never.
    spare: u8,
}

impl View {
    pub(super) fn new(config: &RunConfig, begin: MetaStep) -> Self {
        Self {
            pace: Pace::new(&config.training, begin),
            classifies: config.classifies(),
            workers: 0,
            loss: None,
            accuracy: None,
        }
    }

    pub(super) fn see(&mut self, observation: &Observation) {
        self.pace.see(observation);
        match observation {
            Observation::Joined(..) => self.workers += 1,
            Observation::Left(_) => self.workers = self.workers.saturating_sub(1),
            Observation::Progress(progress, _) => self.smooth(progress),
            Observation::Evaluation(_) | Observation::Report(..) => {}
        }
    }

    /// How full the bar is, and how full it gets: it is the training's, and at the end the test's.
    pub(super) fn filled(&self) -> (u64, u64) {
        match self.pace.evaluation() {
            Some(it) if it.split == Split::Test => (it.answered, it.episodes),
            _ => self.pace.steps(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut parts = vec![Part::new(0, self.phase())];
        if self.workers == 0 {
            parts.push(Part::new(0, "waiting for workers".to_owned()));
            return fitted(parts);
        }
        if self.pace.evaluation().is_none() {
            parts.extend(self.measures());
            let rate = self.pace.rate().map(|it| format!("{} episodes/s", rate(it)));
            parts.extend(rate.map(|rate| Part::new(1, rate)));
        }
        if self.workers > 1 {
            parts.push(Part::new(2, counted(self.workers, "worker", "workers")));
        }
        let left = self.pace.left().map(|left| format!("{} left", duration(left)));
        parts.extend(left.map(|left| Part::new(0, left)));
        fitted(parts)
    }

    /// What the run is doing, and how far it is with that.
    fn phase(&self) -> String {
        match self.pace.evaluation() {
            Some(it) => format!("{} {}/{}", doing(it.split), it.answered, it.episodes),
            None => {
                let (step, steps) = self.pace.steps();
                format!("training {step}/{steps}")
            }
        }
    }

    /// Loss and accuracy: the one that is not to get better can be spared.
    fn measures(&self) -> impl Iterator<Item = Part> {
        let (of_loss, of_accuracy) = if self.classifies { (3, 0) } else { (0, 3) };
        let loss = self.loss.map(|loss| Part::new(of_loss, format!("loss {}", words::loss(loss))));
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let accuracy = self.accuracy.map(|share| Part::new(of_accuracy, percent(share)));
        loss.into_iter().chain(accuracy)
    }

    fn smooth(&mut self, progress: &Progress) {
        let mix =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old + SMOOTHING * (new - old)));
        self.loss = mix(self.loss, progress.loss);
        if let Some(accuracy) = progress.accuracy {
            self.accuracy = mix(self.accuracy, accuracy);
        }
    }
}

impl Part {
    fn new(spare: u8, text: String) -> Self {
        Self { text, spare }
    }
}

/// What an evaluation is called while it is under way.
pub(super) fn doing(split: Split) -> &'static str {
    match split {
        Split::Test => "testing",
        Split::Validation | Split::Train => "validating",
    }
}

/// The parts in one line, without those that there is no room for.
fn fitted(mut parts: Vec<Part>) -> String {
    loop {
        let texts: Vec<_> = parts.iter().map(|part| part.text.as_str()).collect();
        let line = texts.join(" · ");
        let spare = parts.iter().map(|part| part.spare).max().filter(|spare| *spare > 0);
        match spare {
            Some(spare) if line.chars().count() > ROOM => {
                parts.retain(|part| part.spare < spare);
            }
            _ => return line,
        }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::WorkerId;
    use lyceum_common::report::Estimate;
    use lyceum_common::wire::Hello;
    use lyceum_coordinator::metrics::Timing;
    use lyceum_coordinator::run::{Evaluation, Progress, Report, ReportKind};

    use super::*;

    /// Of 100 meta-steps of 4 episodes, validated every 40 and at the end on 20.
    fn config() -> RunConfig {
        let changes = [
            "training.meta_steps=100",
            "training.meta_batch=4",
            "training.validate_every=40",
            "training.validation_episodes=20",
            "training.test_episodes=50",
        ];
        let changes = changes.map(str::to_owned);
        lyceum_common::config::load("glyphs-maml", &changes).unwrap()
    }

    fn timing(episodes_per_second: f64) -> Timing {
        Timing { seconds: 1.0, episodes_per_second, wall_time: 0.0 }
    }

    /// The end of a meta-step.
    fn step(step: u64, episodes_per_second: f64) -> Observation {
        let (step, accuracy) = (MetaStep(step), Some(0.875));
        let progress = Progress { step, episodes: 4, loss: 0.5, accuracy, workers: 1 };
        Observation::Progress(progress, timing(episodes_per_second))
    }

    /// An evaluation under way.
    fn evaluation(split: Split, answered: u64) -> Observation {
        let episodes = if split == Split::Test { 50 } else { 20 };
        Observation::Evaluation(Evaluation { split, answered, episodes })
    }

    /// The end of an evaluation.
    fn report(kind: ReportKind, episodes_per_second: f64) -> Observation {
        let (step, episodes) = (MetaStep(40), if kind == ReportKind::Test { 50 } else { 20 });
        let loss = Estimate { mean: 0.5, interval: 0.1 };
        let report = Report { kind, step, episodes, loss, accuracy: None, workers: 1 };
        Observation::Report(report, timing(episodes_per_second))
    }

    fn joined(worker: u64) -> Observation {
        let hello = Hello { name: "w".into(), threads: 1, instruction_set: "portable".into() };
        Observation::Joined(WorkerId(worker), hello)
    }

    #[test]
    fn a_bar_says_what_goes_on() {
        let mut view = View::new(&config(), MetaStep(0));
        assert_eq!(view.text(), "training 0/100 · waiting for workers");
        view.see(&joined(1));
        assert_eq!(view.text(), "training 0/100", "no rate is known");
        view.see(&step(40, 8.0));
        let training = "training 40/100 · loss 0.5000 · 87.5 % · 8.0 episodes/s · 44 s left";
        assert_eq!(view.text(), training);
        assert_eq!(view.filled(), (40, 100));
        view.see(&evaluation(Split::Validation, 15));
        assert_eq!(view.text(), "validating 15/20 · 42 s left");
        assert_eq!(view.filled(), (40, 100), "the training's");
        view.see(&report(ReportKind::Validation, 10.0));
        assert!(view.text().starts_with("training 40/100 · loss"), "{}", view.text());
        view.see(&step(100, 8.0));
        view.see(&evaluation(Split::Test, 10));
        assert_eq!(view.text(), "testing 10/50 · 4 s left");
        assert_eq!(view.filled(), (10, 50), "the test's");
        view.see(&Observation::Left(WorkerId(1)));
        assert_eq!(view.text(), "testing 10/50 · waiting for workers");
    }

    #[test]
    fn what_there_is_no_room_for_is_left_out() {
        let mut config = config();
        config.training.meta_steps = 60_000;
        let mut view = View::new(&config, MetaStep(12_000));
        view.see(&joined(1));
        view.see(&joined(2));
        view.see(&step(12_345, 20.0));
        let few = "training 12345/60000 · 87.5 % · 20 episodes/s · 2 workers · 2 h 59 min left";
        assert!(few.chars().count() > ROOM);
        let fewer = few.replace(" · 2 workers", "");
        assert_eq!(view.text(), fewer);
        config.training.meta_steps = 1000;
        let mut view = View::new(&config, MetaStep(0));
        view.see(&joined(1));
        view.see(&joined(2));
        view.see(&step(123, 200.0));
        let all = "training 123/1000 · 87.5 % · 200 episodes/s · 2 workers · 20 s left";
        assert_eq!(view.text(), all, "the loss is the first to go");
    }
}
