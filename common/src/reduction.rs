//! The fixed tree that sums a meta-step's gradients, whoever computed them and in whatever order they come.
//!
//! Node (0, i) is episode i's gradient; node (l, k) is the sum of nodes (l − 1, 2k) and (l − 1, 2k + 1), an absent one
//! counting as absent. A worker sums the subtrees that lie wholly inside its range; the coordinator finishes the tree.

use std::collections::BTreeMap;

use multiversion::multiversion;

use crate::bfloat16::round_all;
use crate::config::Precision;
use crate::ids::EpisodeRange;
use crate::report::ReportSums;

/// A place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 at the leaves.
    pub level: u32,
    /// The position within the level.
    pub index: u64,
}

impl NodeId {
    /// The leaf of an episode.
    #[must_use]
    pub fn leaf(episode: u64) -> Self {
        Self { level: 0, index: episode }
    }

    fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index / 2 }
    }

    fn sibling(self) -> Self {
        Self { level: self.level, index: self.index ^ 1 }
    }

    /// The episodes below it, in a tree of `episodes` leaves.
    #[must_use]
    pub fn episodes(self, episodes: u64) -> EpisodeRange {
        let start = self.index << self.level;
        let end = (start + (1 << self.level)).min(episodes);
        EpisodeRange::new(start.min(episodes), end)
    }
}

/// The sum below a node: of gradients, and of what travels with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// Whose sum it is.
    pub node: NodeId,
    /// Σ gradient, in the layout's order; empty in an evaluation.
    pub gradient: Vec<f32>,
    /// Σ of the episodes' reports.
    pub reports: ReportSums,
}

/// Whether no value is infinite or not a number. Without a branch within a block, and in as wide vectors as the machine
/// has, so that it goes at memory's speed.
#[must_use]
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn are_finite(values: &[f32]) -> bool {
    let block = |values: &[f32]| values.iter().fold(true, |all, value| all & value.is_finite());
    values.chunks(1024).all(block)
}

/// Sums partials up the tree as they come.
///
/// The sum at every node is (left child) + (right child), so its bits do not depend on the order of arrival.
#[derive(Debug)]
pub struct Reduction {
    episodes: u64,
    range: EpisodeRange,
    /// Whether the root's children are merged: not where that is left to who takes the sum.
    to_root: bool,
    /// What the sum at every node is rounded to.
    sums: Precision,
    waiting: BTreeMap<NodeId, Partial>,
}

impl Reduction {
    /// A reduction over the subtrees of `range` in a meta-step of `episodes` episodes.
    #[must_use]
    pub fn new(episodes: u64, range: EpisodeRange) -> Self {
        let (to_root, sums) = (true, Precision::Float32);
        Self { episodes, range, to_root, sums, waiting: BTreeMap::new() }
    }

    /// The same with the sum at every node rounded, the gradient of an episode and the root's too: which does not depend on
    /// who sums what. So where it is rounded the root's children are merged.
    #[must_use]
    pub fn rounded_to(self, sums: Precision) -> Self {
        let to_root = self.to_root || sums == Precision::Bfloat16;
        Self { sums, to_root, ..self }
    }

    /// A reduction of a whole meta-step, down to the root.
    #[must_use]
    pub fn whole(episodes: u64) -> Self {
        Self::new(episodes, EpisodeRange::new(0, episodes))
    }

    /// A reduction of a whole meta-step that leaves the last sum undone: [`into_addends`](Self::into_addends) has both sides.
    #[must_use]
    pub fn below_root(episodes: u64) -> Self {
        Self { to_root: false, ..Self::whole(episodes) }
    }

    /// Takes a partial in and merges as far up as siblings are there. Returns the buffers that merging freed.
    pub fn add(&mut self, partial: Partial) -> Vec<Vec<f32>> {
        let mut freed = Vec::new();
        let mut partial = partial;
        while let Some(step) = self.climb(partial) {
            partial = step.0;
            freed.extend(step.1);
        }
        freed
    }

    /// One level up: the parent, where its other child is there or absent; else the partial is kept waiting.
    pub fn climb(&mut self, partial: Partial) -> Option<(Partial, Option<Vec<f32>>)> {
        let mut partial = partial;
        if partial.node.level == 0 {
            self.round(&mut partial);
        }
        let parent = partial.node.parent();
        let sibling = partial.node.sibling();
        let covered = parent.episodes(self.episodes);
        let inside = covered.start >= self.range.start && covered.end <= self.range.end;
        let at_root = partial.node.episodes(self.episodes).len() == self.episodes;
        let left_to_others = !self.to_root
            && covered.len() == self.episodes
            && !sibling.episodes(self.episodes).is_empty();
        if at_root || !inside || left_to_others {
            self.waiting.insert(partial.node, partial);
            return None;
        }
        if sibling.episodes(self.episodes).is_empty() {
            return Some((Partial { node: parent, ..partial }, None));
        }
        match self.waiting.remove(&sibling) {
            None => {
                self.waiting.insert(partial.node, partial);
                None
            }
            Some(other) => {
                let (left, right) =
                    if partial.node < other.node { (partial, other) } else { (other, partial) };
                let (mut merged, freed) = merge(left, right);
                self.round(&mut merged);
                Some((merged, Some(freed)))
            }
        }
    }

    fn round(&self, partial: &mut Partial) {
        if self.sums == Precision::Bfloat16 {
            round_all(&mut partial.gradient);
        }
    }

    /// The partials that no further merging can join: for a whole meta-step that is complete, the root alone.
    #[must_use]
    pub fn into_partials(self) -> Vec<Partial> {
        self.waiting.into_values().collect()
    }

    /// The whole sum, where every episode is in it.
    #[must_use]
    pub fn into_root(self) -> Option<Partial> {
        let (left, right) = self.into_addends()?;
        Some(match right {
            None => left,
            Some(right) => merge(left, right).0,
        })
    }

    /// The two sides of the last sum, the left one first, or the whole sum alone; where every episode is in it.
    #[must_use]
    pub fn into_addends(self) -> Option<(Partial, Option<Partial>)> {
        let episodes = self.episodes;
        let mut partials = self.into_partials().into_iter();
        let (left, right) = (partials.next()?, partials.next());
        let all = left.node.episodes(episodes).len()
            + right.as_ref().map_or(0, |right| right.node.episodes(episodes).len());
        let are_siblings = right.as_ref().is_none_or(|right| right.node == left.node.sibling());
        (partials.next().is_none() && are_siblings && all == episodes).then_some((left, right))
    }
}

/// `left + right` in the left one's buffer, and the right one's buffer for another use.
fn merge(left: Partial, right: Partial) -> (Partial, Vec<f32>) {
    assert!(
        left.node.index.is_multiple_of(2) && right.node == left.node.sibling(),
        "only siblings merge"
    );
    assert_eq!(left.gradient.len(), right.gradient.len(), "siblings are of one layout");
    let mut gradient = left.gradient;
    for (sum, addend) in gradient.iter_mut().zip(&right.gradient) {
        *sum += addend;
    }
    let reports = left.reports.plus(right.reports);
    (Partial { node: left.node.parent(), gradient, reports }, right.gradient)
}

/// The nodes that a worker returns for `range`: the roots of the maximal subtrees wholly inside it, left to right.
#[must_use]
pub fn subtrees(episodes: u64, range: EpisodeRange) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let (mut at, end) = (range.start.0, range.end.0.min(episodes));
    while at < end {
        let mut node = NodeId::leaf(at);
        while node.episodes(episodes).len() < episodes {
            let parent = node.parent().episodes(episodes);
            if parent.start.0 != at || parent.end.0 > end {
                break;
            }
            node = node.parent();
        }
        at = node.episodes(episodes).end.0;
        nodes.push(node);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EpisodeReport;
    use proptest::prelude::*;

    fn leaf(episode: u64) -> Partial {
        let value = (episode as f32 + 0.1).sin() * 1e3;
        let report = EpisodeReport { loss: f64::from(value), accuracy: 0.5 };
        Partial {
            node: NodeId::leaf(episode),
            gradient: vec![value, -value / 3.0],
            reports: report.into(),
        }
    }

    fn sum_in_order(
        episodes: u64,
        order: impl IntoIterator<Item = u64>,
        sums: Precision,
    ) -> Partial {
        let mut reduction = Reduction::whole(episodes).rounded_to(sums);
        for episode in order {
            reduction.add(leaf(episode));
        }
        reduction.into_root().expect("all episodes were added")
    }

    proptest! {
        #[test]
        fn the_sum_depends_neither_on_order_nor_on_ranges(
            (order, cuts) in (1u64..70).prop_flat_map(|n| (
                Just((0..n).collect::<Vec<_>>()).prop_shuffle(),
                proptest::collection::btree_set(0..=n, 0..6),
            )),
            rounded: bool,
        ) {
            let sums = if rounded { Precision::Bfloat16 } else { Precision::Float32 };
            let episodes = order.len() as u64;
            let expected = sum_in_order(episodes, 0..episodes, sums);
            prop_assert_eq!(&sum_in_order(episodes, order.iter().copied(), sums), &expected);
            let mut again = expected.gradient.clone();
            round_all(&mut again);
            prop_assert_eq!(again == expected.gradient, rounded, "what travels is what was rounded");

            let mut whole = Reduction::whole(episodes).rounded_to(sums);
            let bounds: Vec<u64> = [0].into_iter().chain(cuts).chain([episodes]).collect();
            for pair in bounds.windows(2).rev() {
                let range = EpisodeRange::new(pair[0], pair[1]);
                let mut part = Reduction::new(episodes, range).rounded_to(sums);
                for &episode in order.iter().filter(|episode| range.indices().contains(episode)) {
                    part.add(leaf(episode));
                }
                let partials = part.into_partials();
                let nodes: std::collections::BTreeSet<_> = partials.iter().map(|partial| partial.node).collect();
                prop_assert_eq!(nodes, subtrees(episodes, range).into_iter().collect());
                for partial in partials {
                    whole.add(partial);
                }
            }
            let root = whole.into_root();
            prop_assert_eq!(root.as_ref(), Some(&expected));

            let mut below = Reduction::below_root(episodes).rounded_to(sums);
            for &episode in &order {
                below.add(leaf(episode));
            }
            let (left, right) = below.into_addends().unwrap();
            prop_assert_eq!(right.is_some(), episodes > 1 && !rounded);
            let sum = right.map_or(left.clone(), |right| merge(left, right).0);
            prop_assert_eq!(&sum, &expected);
        }
    }

    #[test]
    fn a_missing_episode_leaves_no_root() {
        let mut reduction = Reduction::whole(3);
        reduction.add(leaf(0));
        reduction.add(leaf(2));
        assert_eq!(reduction.into_root(), None);
    }
}
