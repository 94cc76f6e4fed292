//! What the kernels' tests share.

use lyceum_common::seed::Seed;

/// `count` numbers around zero.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut generator = Seed::of_run(seed).initialisation();
    (0..count).map(|_| generator.uniform(-2.0, 2.0)).collect()
}

/// Equal to the bit.
pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
