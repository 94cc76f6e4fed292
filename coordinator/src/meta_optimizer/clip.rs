//! Clipping of the mean meta-gradient.

/// What g is multiplied by so that ‖g‖ is the limit: limit / ‖g‖ where ‖g‖ is above it. PyTorch divides by ‖g‖ + 10⁻⁶,
/// which this does not.
pub(super) fn norm_scale(gradient: &[f32], limit: f32) -> Option<f32> {
    let (norm, limit) = (norm(gradient), f64::from(limit));
    (norm > limit).then(|| (limit / norm) as f32)
}

/// u ← scale · u
#[inline(always)]
pub(super) fn scale(update: &mut [f32], scale: f32) {
    for u in update {
        *u *= scale;
    }
}

/// g ← min(max(g, −limit), limit), element by element; what is not a number stays so.
#[inline(always)]
pub(super) fn to_value(update: &mut [f32], limit: f32) {
    for g in update {
        *g = g.clamp(-limit, limit);
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
