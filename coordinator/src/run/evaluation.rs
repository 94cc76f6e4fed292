//! Validation between meta-steps, which selects the parameters that the run is for, and the test of these at the end.

use lyceum_common::ids::Split;
use lyceum_common::parameters::MetaParameters;
use lyceum_common::report::ReportSums;

use super::message::{Action, Job};
use super::outcome::{Completed, Outcome};
use super::report::{Report, ReportKind};
use super::round::Round;
use super::snapshot::Best;
use super::step::is_multiple;
use super::{Phase, Run};

impl Run {
    /// Validation comes every so many meta-steps and after the last one, where it comes at all.
    pub(super) fn validation_is_due(&self) -> bool {
        let training = &self.config.training;
        let last = training.validate_every > 0 && self.step.0 == training.meta_steps;
        let now = is_multiple(self.step.0, training.validate_every) || last;
        now && self.step.0 > 0 && !self.validated && training.validation_episodes > 0
    }

    pub(super) fn complete_validation(&mut self, round: Round) {
        let Some(root) = round.into_root() else { return };
        let sums = root.reports;
        let report = self.report(ReportKind::Validation, self.step, &sums);
        self.outbox.push_back(Action::Report(report));
        if self.best.as_ref().is_none_or(|best| self.is_better(&sums, &best.sums)) {
            let parameters = self.parameters.clone();
            self.best = Some(Best { step: self.step, parameters, sums });
        }
        self.validated = true;
        self.save_if_due();
        self.begin();
    }

    /// More right where there are classes, else less loss. Of equals the earlier stays.
    fn is_better(&self, sums: &ReportSums, best: &ReportSums) -> bool {
        if self.config.is_judged_by_accuracy() {
            sums.mean_accuracy().mean > best.mean_accuracy().mean
        } else {
            sums.mean_loss().mean < best.mean_loss().mean
        }
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
        let round = Round::new(job, parameters.digest(), episodes, self.abreast);
        self.phase = Phase::Test { round, parameters };
    }

    pub(super) fn complete_test(&mut self, round: Round, parameters: MetaParameters) {
        let Some(root) = round.into_root() else { return };
        let report = self.report(ReportKind::Test, self.step, &root.reports);
        self.outbox.push_back(Action::Report(report));
        self.complete(parameters, Some(report));
    }

    fn complete(&mut self, parameters: MetaParameters, test: Option<Report>) {
        let (step, selected) = self.best.as_ref().map_or((self.step, false), |b| (b.step, true));
        self.finish(Outcome::Completed(Completed { parameters, step, selected, test }));
    }
}
