//! Whether the data at hand is what a model was trained on: nothing else is the run's own, nor has published figures.

use lyceum_common::pack::Pack;
use lyceum_coordinator::kept_evaluation::Protocol;

use super::{Model, Trained};
use crate::output::tell;

impl Trained {
    /// What the data is called where it is another one than the model was trained on: as it is `named`, or else by its pack.
    /// Under another name, or at another place, the same data is still the run's own.
    pub(crate) fn other_data(
        &self,
        model: &Model,
        pack: Option<&Pack>,
        named: Option<&str>,
    ) -> Option<String> {
        let known = model.pack.zip(pack.map(Pack::digest));
        // Turned or not, images are one pack, and their classes are others.
        let same_turns = self.config.data.rotations() == self.own.data.rotations();
        if known.is_some_and(|(trained_on, here)| trained_on == here) && same_turns {
            return None;
        }
        if pack.is_none() && self.config.data == self.own.data {
            return None;
        }
        if let Some(name) = named {
            return Some(name.to_owned());
        }
        let (trained_on, here) = known.filter(|(trained_on, here)| trained_on != here)?;
        tell(&format!(
            "{}: was trained on the data pack {trained_on}, and this is {here}: kept and reported as another data set",
            self.folder.path().display()
        ));
        Some(format!("pack {:.12}", here.to_string()))
    }

    /// What episodes of classes are, and what their data is called, where `other_data` names it if it is another one than in
    /// training.
    pub(crate) fn protocol<'a>(&self, other_data: Option<&'a str>) -> (Protocol, &'a str) {
        match other_data {
            Some(name) => (Protocol::CrossDomain, name),
            None => (Protocol::Episodes, self.own.data.kind()),
        }
    }
}
