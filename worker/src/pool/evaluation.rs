//! Evaluations, episode by episode.

use std::sync::{Arc, mpsc};

use lyceum_common::assignment::Job;
use lyceum_common::ids::{EpisodeRange, Split};
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfRun, Seed};

use super::{Computation, ComputeError, Pool};

/// What an evaluation tells.
enum Told {
    Episode(u64, EpisodeReport),
    All(Result<(), ComputeError>),
}

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
        self.evaluate_telling(parameters, seed, split, episodes, |_| {})
    }

    /// As [`Pool::evaluate`]; `told` is called on this thread after every episode, with how many are done.
    ///
    /// # Errors
    /// Where the parameters do not fit, or a learner panics.
    pub fn evaluate_telling(
        &self,
        parameters: &Arc<Vec<f32>>,
        seed: Seed<OfRun>,
        split: Split,
        episodes: u64,
        mut told: impl FnMut(u64),
    ) -> Result<Vec<EpisodeReport>, ComputeError> {
        let computation = Computation {
            job: Job::Evaluation { split },
            parameters: Arc::clone(parameters),
            seed,
            episodes,
            range: EpisodeRange::new(0, episodes),
        };
        let (each, receiver) = mpsc::channel();
        let done = each.clone();
        // Where nobody listens any more, an episode has failed, and its error is what counts.
        let tell = move |episode, report| drop(each.send(Told::Episode(episode, report)));
        self.queue(computation, Some(Box::new(tell)), move |computed| {
            drop(done.send(Told::All(computed.map(drop))));
        });
        let mut reports = Vec::new();
        loop {
            match receiver.recv() {
                Ok(Told::Episode(episode, report)) => {
                    reports.push((episode, report));
                    told(reports.len() as u64);
                }
                Ok(Told::All(computed)) => break computed?,
                Err(mpsc::RecvError) => return Err(ComputeError::Abandoned),
            }
        }
        reports.sort_unstable_by_key(|(episode, _)| *episode);
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }
}
