//! Episodes of a list: the place of an episode in its evaluation is its place in the list.

use std::sync::Arc;

use lyceum_common::ids::Split;
use lyceum_common::pack::Class;
use lyceum_common::seed::{OfEpisode, Seed};

use super::few_shot::Way;
use super::{Episode, EpisodeError, EpisodeList, EpisodeSize, EpisodeSource, FewShotSource};
use super::{ListProblem, ListedWay};

/// Gives a list's episodes, whatever it is asked for by seed: the episode with index i is the list's.
#[derive(Debug)]
pub struct ListedSource {
    data: FewShotSource,
    list: Arc<EpisodeList>,
}

impl ListedSource {
    /// The episodes of `list`, of the images that `data` draws from.
    ///
    /// # Errors
    /// Where the list is for other data, or names an image that is not there.
    pub fn new(data: FewShotSource, list: Arc<EpisodeList>) -> Result<Self, ListProblem> {
        let pack = data.pack();
        if pack.digest() != list.pack() {
            return Err(ListProblem::OtherPack { list: list.pack(), pack: pack.digest() });
        }
        let classes = pack.classes(list.split());
        check_classes(list.split(), list.classes(), classes)?;
        for (episode, ways) in list.episodes().iter().enumerate() {
            for (label, ListedWay { class, quarters, images }) in ways.iter().enumerate() {
                let there = classes.get(*class as usize).map_or(0, |class| class.images());
                let problem = if let Some(image) = images.iter().find(|&&image| image >= there) {
                    format!("way {label} has image {image} of the {there} of its class")
                } else if *quarters > 0 && !data.is_square() {
                    format!("way {label} turns images that are not square")
                } else {
                    continue;
                };
                return Err(ListProblem::Episode { episode, problem });
            }
        }
        Ok(Self { data, list })
    }

    /// The list.
    #[must_use]
    pub fn list(&self) -> &Arc<EpisodeList> {
        &self.list
    }
}

/// Whether a list's classes are those of its split, which it knows by their places.
fn check_classes(split: Split, listed: &[String], classes: &[Class]) -> Result<(), ListProblem> {
    let name = |at: usize| classes.get(at).map(Class::name);
    let differs = |&at: &usize| listed.get(at).map(String::as_str) != name(at);
    match (0..listed.len().max(classes.len())).find(differs) {
        None => Ok(()),
        Some(at) => {
            let (list, pack) = (listed.get(at).cloned(), name(at).map(str::to_owned));
            Err(ListProblem::OtherClasses { split, at, list, pack })
        }
    }
}

impl EpisodeSource for ListedSource {
    fn sample(&self, seed: Seed<OfEpisode>, _: Split, size: EpisodeSize, episode: &mut Episode) {
        episode.clear();
        let ways = &self.list.episodes()[seed.index().0 as usize];
        for (label, ListedWay { class, quarters, images }) in ways.iter().enumerate() {
            let way = Way { label, class: *class, quarters: *quarters, images };
            self.data.push(self.list.split(), size, way, episode);
        }
    }

    fn check(&self, split: Split, size: EpisodeSize) -> Result<(), EpisodeError> {
        if (split, size) == (self.list.split(), self.list.size()) {
            return Ok(());
        }
        Err(EpisodeError::Listed { split: self.list.split(), size: self.list.size() })
    }
}
