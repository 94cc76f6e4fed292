//! How fast a run goes, and how long it has still to go.

use lyceum_common::config::TrainingConfig;
use lyceum_common::ids::{MetaStep, Split};

use crate::metrics::Timing;
use crate::observation::Observation;
use crate::run::{Evaluation, ReportKind};

/// Seconds of work after which what was before counts half.
const MEMORY: f64 = 30.0;

/// How far a run is, and how fast it went there.
#[derive(Debug)]
pub struct Pace {
    plan: TrainingConfig,
    /// Meta-steps that are complete.
    step: u64,
    /// The evaluation under way.
    evaluation: Option<Evaluation>,
    /// Whether the validation after these meta-steps, and the test, are still to begin.
    validation_waits: bool,
    test_waits: bool,
    training: Rate,
    evaluating: Rate,
}

/// Episodes and their seconds, of which those of long ago count less.
#[derive(Debug, Default)]
struct Rate {
    episodes: f64,
    seconds: f64,
}

impl Pace {
    /// That of a run which goes on from meta-step `begin`.
    #[must_use]
    pub fn new(plan: &TrainingConfig, begin: MetaStep) -> Self {
        Self {
            plan: plan.clone(),
            step: begin.0,
            evaluation: None,
            validation_waits: false,
            test_waits: true,
            training: Rate::default(),
            evaluating: Rate::default(),
        }
    }

    /// Takes in what happened.
    pub fn see(&mut self, observation: &Observation) {
        match observation {
            Observation::Progress(progress, timing) => {
                self.step = progress.step.0;
                self.validation_waits = self.is_validated();
                self.training.take(progress.episodes, *timing);
            }
            Observation::Evaluation(evaluation) => {
                self.validation_waits = false;
                self.test_waits = evaluation.split != Split::Test;
                self.evaluation = Some(*evaluation);
            }
            Observation::Report(report, timing) if report.kind != ReportKind::Training => {
                self.evaluation = None;
                self.evaluating.take(report.episodes, *timing);
            }
            Observation::Report(..) | Observation::Joined(..) | Observation::Left(_) => {}
        }
    }

    /// How many meta-steps are complete, and how many there are to be.
    #[must_use]
    pub fn steps(&self) -> (u64, u64) {
        (self.step, self.plan.meta_steps)
    }

    /// The evaluation under way; none in training.
    #[must_use]
    pub fn evaluation(&self) -> Option<Evaluation> {
        self.evaluation
    }

    /// Training episodes a second, of late; none before there were any.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.training.per_second()
    }

    /// Seconds until the run is over; none before a rate is known. Episodes of validation and test are taken to need as long
    /// as in the evaluations so far, or before there was one, as in training.
    #[must_use]
    pub fn left(&self) -> Option<f64> {
        let steps = self.plan.meta_steps.saturating_sub(self.step);
        let training = steps as f64 * self.plan.meta_batch as f64;
        let evaluating = self.evaluating.per_second().or(self.rate());
        Some(seconds(training, self.rate())? + seconds(self.to_evaluate(), evaluating)?)
    }

    /// Episodes of validation and test that are still to be computed.
    fn to_evaluate(&self) -> f64 {
        let under_way = self.evaluation.map_or(0, |it| it.episodes.saturating_sub(it.answered));
        let validations = self.validations_after() + u64::from(self.validation_waits);
        let test = if self.test_waits { self.plan.test_episodes } else { 0 };
        under_way as f64 + validations as f64 * self.plan.validation_episodes as f64 + test as f64
    }

    /// Whether a validation comes after the meta-steps that are complete.
    fn is_validated(&self) -> bool {
        let TrainingConfig { validate_every, meta_steps, .. } = self.plan;
        validate_every > 0 && (self.step.is_multiple_of(validate_every) || self.step == meta_steps)
    }

    /// Validations after the meta-steps that are not complete: every so many, and after the last one.
    fn validations_after(&self) -> u64 {
        let TrainingConfig { validate_every, meta_steps, .. } = self.plan;
        if validate_every == 0 || self.step >= meta_steps {
            return 0;
        }
        meta_steps.div_ceil(validate_every) - self.step / validate_every
    }
}

impl Rate {
    fn take(&mut self, episodes: u64, timing: Timing) {
        let episodes = episodes as f64;
        let seconds = episodes / timing.episodes_per_second;
        let kept = MEMORY / (MEMORY + seconds);
        self.episodes = kept * self.episodes + episodes;
        self.seconds = kept * self.seconds + seconds;
    }

    fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.episodes / self.seconds)
    }
}

/// The time of so many episodes: none of it where there are none, whatever the rate.
fn seconds(episodes: f64, rate: Option<f64>) -> Option<f64> {
    if episodes > 0.0 { rate.map(|rate| episodes / rate) } else { Some(0.0) }
}

#[cfg(test)]
mod tests {
    use lyceum_common::report::Estimate;

    use crate::run::{Progress, Report};

    use super::*;

    /// Of 100 meta-steps of 4 episodes, validated every 40 and at the end on 20.
    fn config() -> lyceum_common::config::RunConfig {
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

    #[test]
    fn what_is_left_is_training_validation_and_test() {
        let mut pace = Pace::new(&config().training, MetaStep(0));
        let mut left = |observation: Observation| {
            pace.see(&observation);
            pace.left()
        };
        assert_eq!(left(evaluation(Split::Validation, 0)), None, "nothing tells how fast it goes");

        // 61 meta-steps, validations after 40, 80 and 100, and the test, all at two episodes a second.
        let mut pace = Pace::new(&config().training, MetaStep(38));
        let mut left = |observation: Observation| {
            pace.see(&observation);
            pace.left()
        };
        assert_eq!(left(step(39, 2.0)), Some((61 * 4 + 3 * 20 + 50) as f64 / 2.0));
        assert_eq!(left(step(40, 2.0)), Some((60 * 4 + 3 * 20 + 50) as f64 / 2.0));
        let evaluating = left(evaluation(Split::Validation, 15));
        assert_eq!(evaluating, Some((60 * 4 + 5 + 2 * 20 + 50) as f64 / 2.0));
        // Evaluation has a rate of its own from here on.
        let validated = left(report(ReportKind::Validation, 10.0));
        assert_eq!(validated, Some((60 * 4) as f64 / 2.0 + (2 * 20 + 50) as f64 / 10.0));
        assert_eq!(left(step(100, 2.0)), Some((20 + 50) as f64 / 10.0));
        assert_eq!(left(evaluation(Split::Validation, 20)), Some(50.0 / 10.0));
        assert_eq!(left(report(ReportKind::Validation, 10.0)), Some(50.0 / 10.0));
        assert_eq!(left(evaluation(Split::Test, 40)), Some(10.0 / 10.0));
        assert_eq!(left(report(ReportKind::Test, 10.0)), Some(0.0));
    }

    #[test]
    fn a_rate_is_that_of_the_last_half_minute_or_so() {
        let mut pace = Pace::new(&config().training, MetaStep(0));
        assert_eq!(pace.rate(), None);
        pace.see(&step(1, 4.0));
        assert_eq!(pace.rate(), Some(4.0));
        for number in 2..=100 {
            pace.see(&step(number, 1.0));
        }
        let rate = pace.rate().unwrap();
        assert!((rate - 1.0).abs() < 1e-3, "{rate}");
        // One meta-step does not make it another.
        pace.see(&step(101, 8.0));
        let rate = pace.rate().unwrap();
        assert!(rate < 1.2, "{rate}");
    }
}
