//! The parameters in parts, which threads update on their own.

use std::ops::Range;

use lyceum_common::reduction::are_finite;
use multiversion::multiversion;

use super::Step;

/// Numbers of a part: what a thread reads and writes of one fits its second-level cache.
const PART: usize = 1 << 15;
/// Numbers of a block: its update stays in the first-level cache from the mean to the sum.
const BLOCK: usize = 1024;

/// A mean of gradients that is not computed yet: (left + right) · share.
#[derive(Clone, Copy, Debug)]
pub struct MeanGradient<'a> {
    /// The sum of the gradients, or the left side of it.
    pub left: &'a [f32],
    /// The right side.
    pub right: Option<&'a [f32]>,
    /// One over their number.
    pub share: f32,
}

impl<'a> MeanGradient<'a> {
    /// A mean that is computed.
    #[must_use]
    pub fn of(mean: &'a [f32]) -> Self {
        Self { left: mean, right: None, share: 1.0 }
    }

    pub(super) fn has_length(&self, length: usize) -> bool {
        self.left.len() == length && self.right.is_none_or(|right| right.len() == length)
    }

    /// The numbers of a range, one after the other.
    pub(super) fn numbers(&self, range: Range<usize>) -> impl Iterator<Item = f32> {
        let Self { left, right, share } = *self;
        let sum = move |i: usize| right.map_or(left[i], |right| left[i] + right[i]);
        range.map(move |i| sum(i) * share)
    }

    fn range(&self, range: Range<usize>) -> Self {
        let right = self.right.map(|right| &right[range.clone()]);
        Self { left: &self.left[range], right, share: self.share }
    }

    /// Writes the mean.
    #[inline(always)]
    fn write(&self, mean: &mut [f32]) {
        match self.right {
            None => {
                for (mean, left) in mean.iter_mut().zip(self.left) {
                    *mean = left * self.share;
                }
            }
            Some(right) => {
                for ((mean, left), right) in mean.iter_mut().zip(self.left).zip(right) {
                    *mean = (left + right) * self.share;
                }
            }
        }
    }
}

/// A part of an entry.
pub(super) struct Part<'a> {
    trained: bool,
    theta: &'a [f32],
    gradient: MeanGradient<'a>,
    moved: &'a mut [f32],
    /// Empty where the rule keeps no such tensor, or the entry is not trained.
    state: [&'a mut [f32]; 2],
}

/// Cuts all entries into parts. The state is of the trained entries alone.
pub(super) fn parts<'a>(
    entries: &[(Range<usize>, bool)],
    theta: &'a [f32],
    gradient: MeanGradient<'a>,
    mut moved: &'a mut [f32],
    mut state: [&'a mut [f32]; 2],
) -> Vec<Part<'a>> {
    let mut parts = Vec::with_capacity(entries.len() + theta.len() / PART);
    for &(ref entry, trained) in entries {
        for start in entry.clone().step_by(PART) {
            let range = start..entry.end.min(start + PART);
            let of_state = if trained { range.len() } else { 0 };
            parts.push(Part {
                trained,
                theta: &theta[range.clone()],
                gradient: gradient.range(range.clone()),
                moved: take(&mut moved, range.len()),
                state: state.each_mut().map(|tensor| take(tensor, of_state)),
            });
        }
    }
    parts
}

/// Takes the first `length` numbers off, or what there is.
fn take<'a>(rest: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let all = std::mem::take(rest);
    let (taken, left) = all.split_at_mut(length.min(all.len()));
    *rest = left;
    taken
}

/// Moves a part's parameters; returns whether they are finite.
///
/// It is compiled for every width of vectors that a machine may have, with all that is inlined into it. No operation is of
/// more than one number, and none is fused with another, so that the bits are the same.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(super) fn update(part: &mut Part<'_>, step: Step) -> bool {
    let mut update = [0.0; BLOCK];
    let mut finite = true;
    for start in (0..part.theta.len()).step_by(BLOCK) {
        let range = start..part.theta.len().min(start + BLOCK);
        let update = &mut update[..range.len()];
        let theta = &part.theta[range.clone()];
        part.gradient.range(range.clone()).write(update);
        if part.trained {
            let [first, second] = &mut part.state;
            step.update(theta, update, [block(first, &range), block(second, &range)]);
        }
        let moved = &mut part.moved[range];
        for ((moved, theta), change) in moved.iter_mut().zip(theta).zip(&*update) {
            *moved = theta + change;
        }
        finite &= are_finite(moved);
    }
    finite
}

/// A block of a tensor of the state; empty where there is none.
fn block<'a>(tensor: &'a mut [f32], range: &Range<usize>) -> &'a mut [f32] {
    if tensor.is_empty() { tensor } else { &mut tensor[range.clone()] }
}
