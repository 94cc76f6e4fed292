//! Runs that are over: what one came to is in its folder, and not computed again.

use std::path::Path;

use lyceum_common::config::{LearnerConfig, RunConfig};
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_coordinator::checkpoint::read_model;
use lyceum_coordinator::enterprise::{check_same, layout_of};
use lyceum_coordinator::metrics::{History, TestResult};
use lyceum_coordinator::run::Snapshot;
use lyceum_coordinator::run_folder::RunFolder;
use lyceum_worker::episodes::EpisodeSize;

use crate::output::tell;
use crate::place::{Places, open_run};
use crate::summary::Summary;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The digest of the parameters that it is for.
    pub(crate) digest: Digest,
    /// How many meta-steps they had seen, and whether validation selected them.
    pub(crate) step: MetaStep,
    pub(crate) selected: bool,
    /// The test; none where the configuration asks for no episodes.
    pub(crate) test: Option<TestResult>,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Training episodes a second; 0 where it is not known.
    pub(crate) episodes_per_second: f64,
}

/// Prints what a run came to that is over, and says so; false where it is not over.
pub(crate) fn print_if_over(places: &Places, run: &Path, json: bool) -> anyhow::Result<bool> {
    let (folder, config) = open_run(&places.runs, run)?;
    let Some(finished) = Finished::read(&folder, &config)? else { return Ok(false) };
    let path = folder.path();
    tell(&format!("{} is over: this is what it came to, and nothing is computed", path.display()));
    finished.summary(&config, path).print(json)?;
    Ok(true)
}

impl Finished {
    /// What a run's folder has of its end; none where something of it is still to be computed, or is lost.
    ///
    /// # Errors
    /// Where the configuration is another one than at the end.
    fn read(folder: &RunFolder, config: &RunConfig) -> anyhow::Result<Option<Self>> {
        let (training, layout) = (&config.training, layout_of(config)?);
        let Ok(model) = read_model(&folder.model(), &layout) else { return Ok(None) };
        let last = folder.checkpoint(MetaStep(training.meta_steps), &layout);
        let (Ok(last), Ok(History { seconds, test })) = (last, History::read(folder)) else {
            return Ok(None);
        };
        check_same(folder, &last, config, None)?;
        let Snapshot { step, parameters, best, validated, .. } = last.snapshot;
        let selected = best.is_some();
        let (step, parameters) =
            best.map_or((step, parameters), |best| (best.step, best.parameters));
        let is_over = (validated || training.validate_every == 0)
            && test.is_some()
            && parameters.digest() == model.digest();
        let digest = model.digest();
        let finished = Self { digest, step, selected, test, seconds, episodes_per_second: 0.0 };
        Ok(is_over.then_some(finished))
    }

    /// The table or object that it ends with.
    pub(crate) fn summary(&self, config: &RunConfig, folder: &Path) -> Summary {
        let summary = Summary {
            digest: self.digest.to_string(),
            accuracy: None,
            interval: None,
            episodes: 0,
            size: size_of(config),
            episode_list: None,
            loss: None,
            transductive: config.is_transductive(None),
            selected_step: Some(self.step.0),
            validated: Some(self.selected),
            meta_steps: Some(config.training.meta_steps),
            seconds: self.seconds,
            episodes_per_second: self.episodes_per_second,
            run: folder.display().to_string(),
        };
        match self.test {
            Some(test) => summary.with_test(test.episodes, test.loss, test.accuracy),
            None => summary,
        }
    }
}

/// The size of a test episode, which an optimizee has none of.
fn size_of(config: &RunConfig) -> Option<EpisodeSize> {
    let is_few_shot = !matches!(config.learner, LearnerConfig::LearnedOptimizer(_));
    is_few_shot.then(|| EpisodeSize::of_evaluation(config))
}
