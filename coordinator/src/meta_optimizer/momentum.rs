//! Momentum, as PyTorch's SGD has it.

/// b ← μ b + g, and b is the update. The rate comes behind it and is not part of what is kept.
#[inline(always)]
pub(super) fn update(momentum: f32, update: &mut [f32], trace: &mut [f32]) {
    for (g, b) in update.iter_mut().zip(trace) {
        *b = momentum * *b + *g;
        *g = *b;
    }
}
