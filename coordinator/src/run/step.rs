//! From the sum of a meta-step's gradients to the next meta-parameters.

use lyceum_common::parameters::MetaParameters;

use super::message::Action;
use super::outcome::RunError;
use super::report::{Progress, ReportKind};
use super::round::Round;
use super::{ReportSums, Run};
use crate::meta_optimizer::MeanGradient;

impl Run {
    pub(super) fn complete_step(&mut self, round: Round) {
        let (left, right) =
            round.into_addends().expect("every range is done, so the tree is whole");
        let sums = match &right {
            None => left.reports,
            Some(right) => left.reports.plus(right.reports),
        };
        let mut values = self.retired.take().unwrap_or_default();
        let gradient = MeanGradient {
            left: &left.gradient,
            right: right.as_ref().map(|right| &right.gradient[..]),
            share: 1.0 / sums.episodes as f32,
        };
        let is_finite =
            self.optimizer.apply(self.step, self.parameters.values(), gradient, &mut values);
        let gradients = std::iter::once(left).chain(right).map(|partial| partial.gradient);
        self.outbox.extend(gradients.map(Action::Reuse));
        if !is_finite {
            return self.fail(RunError::UpdateDiverged { step: self.step });
        }
        let layout = self.parameters.layout().clone();
        let parameters = MetaParameters::new(layout, values).expect("as many values as before");
        self.retired.put(std::mem::replace(&mut self.parameters, parameters));
        self.step = self.step.next();
        self.validated = false;
        self.unreported = self.unreported.plus(sums);
        self.report_progress(&sums);
        if !self.validation_is_due() {
            self.save_if_due();
        }
        self.begin();
    }

    fn report_progress(&mut self, sums: &ReportSums) {
        let report = self.report(ReportKind::Training, self.step, sums);
        self.outbox.push_back(Action::Progress(Progress {
            step: self.step,
            episodes: report.episodes,
            loss: report.loss.mean,
            accuracy: report.accuracy.map(|accuracy| accuracy.mean),
            workers: report.workers,
        }));
        let training = &self.config.training;
        if is_multiple(self.step.0, training.report_every) || self.step.0 == training.meta_steps {
            let sums = std::mem::take(&mut self.unreported);
            let report = self.report(ReportKind::Training, self.step, &sums);
            self.outbox.push_back(Action::Report(report));
        }
    }

    /// Saves where a checkpoint is due after the meta-steps that are complete: every so many, and at the end.
    pub(super) fn save_if_due(&mut self) {
        let training = &self.config.training;
        if is_multiple(self.step.0, training.checkpoint_every) || self.step.0 == training.meta_steps
        {
            self.outbox.push_back(Action::Save(self.snapshot()));
        }
    }
}

/// Whether it is time, every so many meta-steps; never where `every` is 0.
pub(super) fn is_multiple(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
