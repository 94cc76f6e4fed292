//! Splits of classes at random.

use crate::ids::Split;
use crate::seed::Seed;

/// The split of each of `count` classes: the first `train` of a random order train, the next `validation` validate, the
/// rest tests. The order is that of `choose(count, count)` of the seed's class-split stream.
pub(super) fn at_random(count: usize, train: usize, validation: usize, seed: u64) -> Vec<Split> {
    let mut order = vec![0; count];
    Seed::of_run(seed).class_split().choose(count as u32, &mut order);
    let mut splits = vec![Split::Test; count];
    for (place, class) in order.into_iter().enumerate() {
        splits[class as usize] = match place {
            place if place < train => Split::Train,
            place if place < train + validation => Split::Validation,
            _ => Split::Test,
        };
    }
    splits
}

/// How many of `count` classes train and validate, where these shares validate and test. Shares are rounded to the nearest
/// class; a share above zero is at least one class, as long as there are enough.
pub(super) fn sizes(count: usize, held_out: [f64; 2]) -> (usize, usize) {
    let part = |share: f64| {
        let part = libm::round(share * count as f64) as usize;
        if share > 0.0 { part.max(1) } else { 0 }
    };
    let test = part(held_out[1]).min(count);
    let validation = part(held_out[0]).min(count - test);
    (count - test - validation, validation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_classes() {
        assert_eq!(sizes(345, [0.1, 0.2]), (241, 35));
        assert_eq!(sizes(10, [0.0, 1.0]), (0, 0));
        assert_eq!(sizes(3, [0.1, 0.1]), (1, 1));
        assert_eq!(sizes(1, [0.1, 0.2]), (0, 0));
    }

    #[test]
    fn a_random_split_is_its_seeds_and_has_the_sizes_asked_for() {
        let splits = at_random(50, 30, 5, 1);
        let count = |split| splits.iter().filter(|&&other| other == split).count();
        assert_eq!(Split::ALL.map(count), [30, 5, 15]);
        assert_eq!(splits, at_random(50, 30, 5, 1));
        assert_ne!(splits, at_random(50, 30, 5, 2));
    }
}
