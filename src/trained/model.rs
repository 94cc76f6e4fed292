//! Which of a run's parameters are put to use, and where in the run they come from.

use std::fmt;

use anyhow::Context as _;
use lyceum_common::ids::{Digest, MetaStep};
use lyceum_common::parameters::MetaParameters;
use lyceum_coordinator::checkpoint::{Checkpoint, model_config, read_model};
use lyceum_coordinator::enterprise::{check_config, layout_of};
use serde::{Deserialize, Serialize};

use super::Trained;

/// Parameters of a run.
pub(crate) struct Model {
    pub(crate) parameters: MetaParameters,
    /// The configuration that they were trained with, as it is written beside them.
    pub(crate) config: String,
    /// The data pack that they were trained on; none where there is none, or no checkpoint that can be read tells.
    pub(crate) pack: Option<Digest>,
    pub(crate) origin: Origin,
}

impl Model {
    /// The parameters' digest, as it is printed.
    pub(crate) fn digest(&self) -> String {
        self.parameters.digest().to_string()
    }
}

/// Where in a run parameters come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// How many meta-steps they have seen; none where no checkpoint that can be read tells.
    #[serde(default)]
    meta_step: Option<u64>,
    /// The meta-steps of the whole run.
    meta_steps: u64,
    /// What they are to the run.
    model: Part,
    /// Whether validation selected them.
    validated: bool,
    /// How many meta-steps are complete, where the run is not over.
    #[serde(default)]
    unfinished_at: Option<u64>,
}

/// What parameters are to their run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// What the complete run is for.
    Final,
    /// The best so far by validation.
    BestSoFar,
    /// The last so far, where nothing was validated yet, or diverged.
    LastSoFar,
    /// Those of a checkpoint that was asked for.
    Checkpoint,
}

impl Origin {
    /// Whether they are what the complete run is for.
    pub(crate) fn is_final(&self) -> bool {
        self.model == Part::Final
    }

    /// The meta-step of the checkpoint that was asked for, if one was.
    pub(crate) fn checkpoint(&self) -> Option<u64> {
        self.meta_step.filter(|_| self.model == Part::Checkpoint)
    }

    /// Whether validation selected them.
    pub(crate) fn is_validated(&self) -> bool {
        self.validated
    }

    /// How many meta-steps are complete, where the run is not over.
    pub(crate) fn unfinished_at(&self) -> Option<u64> {
        self.unfinished_at
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meta_step {
            Some(step) => write!(f, "meta-step {step} of {}", self.meta_steps)?,
            None => write!(f, "a run of {} meta-steps", self.meta_steps)?,
        }
        f.write_str(match (self.model, self.validated) {
            (Part::Final, true) => ", the final model, the best by validation",
            (Part::Final, false) => ", the final model",
            (Part::BestSoFar, _) => ", the best so far by validation",
            (Part::LastSoFar, _) => ", the last so far",
            (Part::Checkpoint, _) => ", a checkpoint",
        })?;
        match self.unfinished_at {
            Some(at) => write!(f, "; the run is unfinished, at meta-step {at}"),
            None => Ok(()),
        }
    }
}

impl Trained {
    /// The parameters that are put to use: those after `step` meta-steps, where it is given, else those that a complete run
    /// is for, or the best so far of one that is not over.
    pub(crate) fn model(&self, step: Option<u64>) -> anyhow::Result<Model> {
        let none_yet = || format!("{}: no checkpoint yet", self.folder.path().display());
        self.find(step)?.with_context(none_yet)
    }

    /// As [`Trained::model`]; none where the run has no checkpoint yet. Refuses a configuration that is no longer the one that
    /// they were trained with: what they would come to with another is not what the run's folder says.
    pub(crate) fn find(&self, step: Option<u64>) -> anyhow::Result<Option<Model>> {
        let model = match step {
            Some(step) => {
                Some(self.kept(MetaStep(step)).with_context(|| format!("--step {step}"))?)
            }
            None if self.folder.is_over() => Some(self.last()?),
            None => self.so_far()?,
        };
        if let Some(model) = &model {
            check_config(&model.config, &self.own, &self.folder)?;
        }
        Ok(model)
    }

    /// Those after `step` meta-steps, of which a checkpoint is kept.
    fn kept(&self, step: MetaStep) -> anyhow::Result<Model> {
        let layout = layout_of(&self.config)?;
        let Checkpoint { snapshot, config, pack } = self.folder.checkpoint(step, &layout)?;
        let newest = self.folder.kept_checkpoints()?.last().map(|step| step.0);
        let origin = Origin {
            meta_step: Some(step.0),
            meta_steps: self.own.training.meta_steps,
            model: Part::Checkpoint,
            validated: false,
            unfinished_at: newest.filter(|_| !self.folder.is_over()),
        };
        Ok(Model { parameters: snapshot.parameters, config, pack, origin })
    }

    /// Those that the complete run is for. Which meta-step they are from, the last checkpoint knows: where it is gone, they
    /// are as good without.
    fn last(&self) -> anyhow::Result<Model> {
        let (path, layout) = (self.folder.model(), layout_of(&self.config)?);
        let parameters = read_model(&path, &layout)?;
        let config = model_config(&path)?.unwrap_or_else(|| self.folder.config().to_owned());
        let checkpoint = self.folder.latest(&layout).ok().flatten();
        let meta_step = checkpoint.as_ref().and_then(|Checkpoint { snapshot, .. }| {
            let best = snapshot.best.as_ref().map(|best| (best.step, &best.parameters));
            let (step, found) = best.unwrap_or((snapshot.step, &snapshot.parameters));
            (found.digest() == parameters.digest()).then_some(step.0)
        });
        let training = &self.own.training;
        // Where every validation diverged, none selected anything.
        let selected = checkpoint.as_ref().map(|last| last.snapshot.best.is_some());
        let origin = Origin {
            meta_step,
            meta_steps: training.meta_steps,
            model: Part::Final,
            validated: selected.unwrap_or(training.validate_every > 0),
            unfinished_at: None,
        };
        let pack = checkpoint.and_then(|checkpoint| checkpoint.pack);
        Ok(Model { parameters, config, pack, origin })
    }

    /// The best so far of a run that is not over, or the last where it has validated nothing yet.
    fn so_far(&self) -> anyhow::Result<Option<Model>> {
        let checkpoint = self.folder.latest(&layout_of(&self.config)?)?;
        Ok(checkpoint.map(|Checkpoint { snapshot, config, pack }| {
            let at = snapshot.step;
            let (model, step, parameters) = match snapshot.best {
                Some(best) => (Part::BestSoFar, best.step, best.parameters),
                None => (Part::LastSoFar, at, snapshot.parameters),
            };
            let origin = Origin {
                meta_step: Some(step.0),
                meta_steps: self.own.training.meta_steps,
                model,
                validated: model == Part::BestSoFar,
                unfinished_at: Some(at.0),
            };
            Model { parameters, config, pack, origin }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_says_which_meta_step_of_how_many_and_whether_the_run_is_over() {
        let origin = |meta_step, model, validated, unfinished_at| Origin {
            meta_step,
            meta_steps: 600,
            model,
            validated,
            unfinished_at,
        };
        for (origin, text, checkpoint) in [
            (
                origin(Some(400), Part::Final, true, None),
                "meta-step 400 of 600, the final model, the best by validation",
                None,
            ),
            (
                origin(Some(600), Part::Final, false, None),
                "meta-step 600 of 600, the final model",
                None,
            ),
            (
                origin(None, Part::Final, false, None),
                "a run of 600 meta-steps, the final model",
                None,
            ),
            (
                origin(Some(200), Part::BestSoFar, true, Some(350)),
                "meta-step 200 of 600, the best so far by validation; the run is unfinished, at meta-step 350",
                None,
            ),
            (
                origin(Some(50), Part::Checkpoint, false, None),
                "meta-step 50 of 600, a checkpoint",
                Some(50),
            ),
        ] {
            assert_eq!(origin.to_string(), text);
            assert_eq!(
                (origin.checkpoint(), origin.is_final()),
                (checkpoint, text.contains("final"))
            );
            let json = serde_json::to_string(&origin).unwrap();
            assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), origin, "{json}");
        }
    }
}
