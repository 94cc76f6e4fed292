//! Submissions on the wire: a header, then the gradients as chunks.

use std::sync::Arc;

use crate::assignment::{Assignment, Job};
use crate::config::Precision;
use crate::reduction::{NodeId, Partial, are_finite};
use crate::report::ReportSums;

use crate::spares::Spares;

use super::payload::width;
use super::{Assembly, WireError, generated};

/// The most partials that an answer to an evaluation can have, which carry no gradients: those of the largest range.
const EVALUATION_PARTIALS: usize = most_partials(u64::MAX);
/// Levels and places beyond these are beyond every tree.
const LEVELS: u32 = 50;

/// The most partials that a range of a tree of so many leaves can have: the root, or two a level below it.
const fn most_partials(episodes: u64) -> usize {
    let levels = match episodes.saturating_sub(1).checked_ilog2() {
        Some(level) => level as usize + 1,
        None => 0,
    };
    2 * levels + 1
}

/// A worker's answer to an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// What it answers.
    pub assignment: Assignment,
    /// The sums of the range's subtrees, left to right.
    pub partials: Vec<Partial>,
}

impl Submission {
    /// The header, which the gradients follow as a payload, one after the other, as `precision` has them.
    #[must_use]
    pub fn header(&self, precision: Precision) -> generated::Submission {
        let numbers: usize = self.partials.iter().map(|partial| partial.gradient.len()).sum();
        let partials = self.partials.iter().map(|partial| generated::Partial {
            level: partial.node.level,
            index: partial.node.index,
            reports: Some(partial.reports.into()),
        });
        generated::Submission {
            assignment: Some(self.assignment.into()),
            partials: partials.collect(),
            size: (width(precision) * numbers) as u64,
        }
    }
}

/// The header of a submission whose payload is still to come.
#[derive(Debug)]
pub struct SubmissionHeader {
    assignment: Assignment,
    nodes: Vec<(NodeId, ReportSums)>,
    gradients: Assembly,
    finite: bool,
}

impl SubmissionHeader {
    /// A submission by a worker of a run with `parameters` meta-parameters and `meta_batch` episodes a meta-step, whose
    /// gradients come as `precision` has them and go to vectors of `spares`: no more of them than such a meta-step's ranges
    /// have, whatever is announced.
    ///
    /// # Errors
    /// Where a field makes no sense.
    pub fn new(
        submission: generated::Submission,
        (parameters, precision): (usize, Precision),
        meta_batch: u64,
        spares: Arc<Spares>,
    ) -> Result<Self, WireError> {
        let generated::Submission { assignment, partials, size } = submission;
        let assignment: Assignment =
            assignment.ok_or_else(|| WireError::missing("submission.assignment"))?.try_into()?;
        let (most, length) = match assignment.job {
            Job::Gradient { .. } => (most_partials(meta_batch), parameters),
            Job::Evaluation { .. } => (EVALUATION_PARTIALS, 0),
        };
        if partials.len() > most {
            let problem = format!("{} of them, and no range has more than {most}", partials.len());
            return Err(WireError::new("submission.partials", problem));
        }
        let shape = (partials.len(), length);
        let gradients = Assembly::new(shape, (precision, size), "submission.size", spares)?;
        let nodes = partials.into_iter().map(node).collect::<Result<_, _>>()?;
        Ok(Self { assignment, nodes, gradients, finite: true })
    }

    /// Whether the payload is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gradients.is_complete()
    }

    /// Takes the next bytes of the payload in.
    ///
    /// # Errors
    /// Where they are more than was announced.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let finite = &mut self.finite;
        self.gradients.add(bytes, |numbers| *finite &= are_finite(numbers))
    }

    /// Whether no number of the gradients that has come is infinite or not a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.finite
    }

    /// The submission.
    ///
    /// # Errors
    /// Where the payload is not complete.
    pub fn finish(self) -> Result<Submission, WireError> {
        let gradients = self.gradients.finish()?;
        let partials = self.nodes.into_iter().zip(gradients);
        let partials =
            partials.map(|((node, reports), gradient)| Partial { node, gradient, reports });
        Ok(Submission { assignment: self.assignment, partials: partials.collect() })
    }
}

fn node(partial: generated::Partial) -> Result<(NodeId, ReportSums), WireError> {
    let generated::Partial { level, index, reports } = partial;
    if level > LEVELS || index > (1 << LEVELS) >> level {
        let problem = format!("({level}, {index}) is beyond every tree");
        return Err(WireError::new("submission.partials.index", problem));
    }
    let reports = reports.ok_or_else(|| WireError::missing("submission.partials.reports"))?;
    Ok((NodeId { level, index }, reports.into()))
}

impl From<ReportSums> for generated::Reports {
    fn from(sums: ReportSums) -> Self {
        let ReportSums { episodes, loss, loss_squared, accuracy, accuracy_squared } = sums;
        Self { episodes, loss, loss_squared, accuracy, accuracy_squared }
    }
}

impl From<generated::Reports> for ReportSums {
    fn from(reports: generated::Reports) -> Self {
        let generated::Reports { episodes, loss, loss_squared, accuracy, accuracy_squared } =
            reports;
        Self { episodes, loss, loss_squared, accuracy, accuracy_squared }
    }
}
