//! Clipping of the mean meta-gradient.

use lyceum_common::ids::MetaStep;

use super::Transform;

/// g ← g · limit / ‖g‖ where ‖g‖ is above the limit. PyTorch divides by ‖g‖ + 10⁻⁶, which this does not.
#[derive(Debug)]
pub(super) struct ClipByGlobalNorm {
    pub(super) limit: f32,
}

impl Transform for ClipByGlobalNorm {
    fn update(&mut self, _: MetaStep, _: &[f32], update: &mut [f32]) {
        let norm = norm(update);
        if norm > f64::from(self.limit) {
            let scale = (f64::from(self.limit) / norm) as f32;
            for g in update {
                *g *= scale;
            }
        }
    }
}

/// g ← min(max(g, −limit), limit), element by element.
#[derive(Debug)]
pub(super) struct ClipByValue {
    pub(super) limit: f32,
}

impl Transform for ClipByValue {
    fn update(&mut self, _: MetaStep, _: &[f32], update: &mut [f32]) {
        for g in update {
            *g = g.max(-self.limit).min(self.limit);
        }
    }
}

/// Lanes of the norm's sum: element i goes to lane i mod 8, whatever the machine's vectors are.
const LANES: usize = 8;

/// The Euclidean norm, summed in f64 in a fixed order: within lanes first, then lane by lane.
pub(super) fn norm(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(value) * f64::from(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(value) * f64::from(value);
    }
    lanes.iter().fold(0.0, |sum, lane| sum + lane).sqrt()
}
