//! Validation between meta-steps, which selects the parameters that the run is for, and the test of these at the end.

use lyceum_common::ids::Split;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;

use super::message::{Action, Job};
use super::outcome::{Completed, Outcome};
use super::report::{Evaluation, Report, ReportKind};
use super::round::Round;
use super::snapshot::Best;
use super::step::is_multiple;
use super::{Phase, Run};

impl Run {
    /// How far the evaluation under way is; none in a meta-step, and when the run is over.
    #[must_use]
    pub fn evaluation(&self) -> Option<Evaluation> {
        let round = self.phase.round()?;
        let Job::Evaluation { split } = round.job else { return None };
        let episodes = round.sizes.episodes;
        let answered = episodes.saturating_sub(round.leases.unanswered());
        Some(Evaluation { split, answered, episodes })
    }

    /// Validation comes every so many meta-steps and after the last one, where it comes at all.
    pub(super) fn validation_is_due(&self) -> bool {
        let training = &self.config.training;
        let last = training.validate_every > 0 && self.step.0 == training.meta_steps;
        let now = is_multiple(self.step.0, training.validate_every) || last;
        now && self.step.0 > 0 && !self.validated && training.validation_episodes > 0
    }

    pub(super) fn complete_validation(&mut self, round: Round) {
        let root = round.into_root().expect("every range is done, so the tree is whole");
        let sums = root.reports;
        let report = self.report(ReportKind::Validation, self.step, &sums);
        self.outbox.push_back(Action::Report(report));
        let classifies = self.config.classifies();
        let is_best =
            || self.best.as_ref().is_none_or(|best| is_better(classifies, &sums, &best.sums));
        // Parameters that diverge on an episode are not what a run is for.
        if sums.are_finite() && is_best() {
            let parameters = self.parameters.clone();
            self.best = Some(Best { step: self.step, parameters, sums });
        }
        self.validated = true;
        self.save_if_due();
        self.begin();
    }

    pub(super) fn begin_test(&mut self) {
        let parameters = match &self.best {
            Some(best) => best.parameters.clone(),
            None => self.parameters.clone(),
        };
        self.outbox.push_back(Action::Publish(parameters.clone()));
        let episodes = self.config.training.test_episodes;
        if episodes == 0 {
            return self.complete(parameters, None);
        }
        let job = Job::Evaluation { split: Split::Test };
        let round = self.round(job, parameters.digest(), episodes);
        self.phase = Phase::Test { round, parameters };
    }

    pub(super) fn complete_test(&mut self, round: Round, parameters: MetaParameters) {
        let root = round.into_root().expect("every range is done, so the tree is whole");
        let report = self.report(ReportKind::Test, self.step, &root.reports);
        self.outbox.push_back(Action::Report(report));
        self.complete(parameters, Some(report));
    }

    fn complete(&mut self, parameters: MetaParameters, test: Option<Report>) {
        let (step, selected) = self.best.as_ref().map_or((self.step, false), |b| (b.step, true));
        self.finish(Outcome::Completed(Completed { parameters, step, selected, test }));
    }
}

/// More right where there are classes, and of as many less loss; else less loss. Of equals the earlier stays.
fn is_better(classifies: bool, sums: &ReportSums, best: &ReportSums) -> bool {
    let [accuracy, best_accuracy] = [sums, best].map(|sums| sums.mean_accuracy().mean);
    if classifies && accuracy != best_accuracy {
        accuracy > best_accuracy
    } else {
        sums.mean_loss().mean < best.mean_loss().mean
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::report::EpisodeReport;

    use super::*;

    #[test]
    fn the_better_one_is_more_right_and_of_as_many_the_one_of_less_loss() {
        let of = |accuracy, loss| ReportSums::of(&[EpisodeReport { loss, accuracy }; 3]);
        let best = of(0.75, 0.5);
        for (sums, classes, functions) in [
            (of(0.875, 0.75), true, false),
            (of(0.5, 0.25), false, true),
            (of(0.75, 0.25), true, true),
            (best, false, false),
        ] {
            assert_eq!(is_better(true, &sums, &best), classes, "{sums:?}");
            assert_eq!(is_better(false, &sums, &best), functions, "{sums:?}");
        }
    }
}
