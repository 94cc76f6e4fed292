//! Sums over long vectors, in a stated order.

use crate::kernels::Real;

/// How many partial sums a sum is made of.
const PARTS: usize = 16;

/// Σ term(aᵢ, bᵢ): sixteen partial sums, added up by halves.
pub(crate) fn sum_of_pairs<T: Real>(a: &[T], b: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::ZERO; PARTS];
    for (a, b) in a.chunks(PARTS).zip(b.chunks(PARTS)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = *sum + term(a, b);
        }
    }
    let mut half = PARTS / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] = sums[i] + sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

/// a · b.
pub(crate) fn inner_product<T: Real>(a: &[T], b: &[T]) -> T {
    sum_of_pairs(a, b, |a, b| a * b)
}
