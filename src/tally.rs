//! How long a run took since it was begun or gone on with here, and how fast it trained.

use lyceum_coordinator::observation::Observation;

/// The sums of what was observed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// In which somebody worked, evaluations included.
    pub(crate) seconds: f64,
    /// Of meta-steps, and their episodes.
    training_seconds: f64,
    training_episodes: f64,
}

impl Tally {
    pub(crate) fn take(&mut self, observation: &Observation) {
        match observation {
            Observation::Progress(progress, timing) => {
                let episodes = progress.episodes as f64;
                self.training_episodes += episodes;
                self.training_seconds += episodes / timing.episodes_per_second;
                self.seconds = timing.seconds;
            }
            Observation::Report(_, timing) => self.seconds = timing.seconds,
            Observation::Joined(..) | Observation::Left(_) | Observation::Evaluation(_) => {}
        }
    }

    /// Training episodes a second of training; 0 where there were none.
    pub(crate) fn episodes_per_second(&self) -> f64 {
        if self.training_seconds > 0.0 {
            self.training_episodes / self.training_seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::MetaStep;
    use lyceum_common::report::Estimate;
    use lyceum_coordinator::metrics::Timing;
    use lyceum_coordinator::run::{Progress, Report, ReportKind};

    use super::*;

    #[test]
    fn a_rate_is_of_training_alone() {
        let mut tally = Tally::default();
        assert_eq!((tally.seconds, tally.episodes_per_second()), (0.0, 0.0));
        let step = MetaStep(1);
        let progress = Progress { step, episodes: 8, loss: 0.5, accuracy: None, workers: 1 };
        for (seconds, episodes_per_second) in [(2.0, 4.0), (6.0, 2.0)] {
            let timing = Timing { seconds, episodes_per_second, wall_time: 0.0 };
            tally.take(&Observation::Progress(progress, timing));
        }
        let (kind, loss) = (ReportKind::Test, Estimate { mean: 0.5, interval: 0.1 });
        let test = Report { kind, step, episodes: 100, loss, accuracy: None, workers: 1 };
        let timing = Timing { seconds: 16.0, episodes_per_second: 10.0, wall_time: 0.0 };
        tally.take(&Observation::Report(test, timing));
        assert_eq!((tally.seconds, tally.episodes_per_second()), (16.0, 16.0 / 6.0));
    }
}
