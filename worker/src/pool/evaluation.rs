//! Evaluations, episode by episode.

use std::sync::{Arc, mpsc};

use lyceum_common::assignment::Job;
use lyceum_common::ids::{EpisodeRange, Split};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfRun, Seed};

use super::{Computation, ComputeError, Pool};

impl Pool {
    /// Evaluates `parameters` on the first `episodes` episodes of `split`, those that a run of this seed evaluates on, and
    /// tells how each of them went.
    ///
    /// Blocks until it is done.
    ///
    /// # Errors
    /// Where the parameters do not fit, or a learner panics.
    pub fn evaluate(
        &self,
        parameters: &Arc<Vec<f32>>,
        seed: Seed<OfRun>,
        split: Split,
        episodes: u64,
    ) -> Result<Vec<EpisodeReport>, ComputeError> {
        let (sender, receiver) = mpsc::channel();
        for episode in 0..episodes {
            let computation = Computation {
                job: Job::Evaluation { split },
                parameters: Arc::clone(parameters),
                seed,
                episodes,
                range: EpisodeRange::new(episode, episode + 1),
            };
            let sender = sender.clone();
            // Where nobody listens any more, an episode has failed, and its error is what counts.
            self.submit(computation, move |computed| drop(sender.send((episode, computed))));
        }
        drop(sender);
        let mut reports = Vec::new();
        for (episode, computed) in receiver {
            let sums = computed?.into_iter().map(|partial| partial.reports);
            reports.extend(
                sums.map(|sums| {
                    (episode, EpisodeReport { loss: sums.loss, accuracy: sums.accuracy })
                }),
            );
        }
        if reports.len() as u64 != episodes {
            return Err(ComputeError::Abandoned);
        }
        reports.sort_unstable_by_key(|(episode, _)| *episode);
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }
}
