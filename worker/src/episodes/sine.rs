//! A sine in f64 whose bits are the same on every machine, without a branch, so that the compiler computes several at once.

use std::f64::consts::FRAC_1_PI;

/// The first 33 bits of π, which many whole multiples of are exact, and the rest.
const PI_HIGH: f64 = f64::from_bits(0x4009_21fb_5440_0000);
const PI_LOW: f64 = 1.215_420_101_301_238_4e-10;

/// What a number below 2⁵¹ is rounded by, when this is added: to whole numbers, whose parity is then the lowest bit.
const ROUNDS: f64 = 6_755_399_441_055_744.0;

/// Beyond this multiples of [`PI_HIGH`] are not exact.
const LIMIT: f64 = 1e6;

/// sin x, correct to the last place of f64 or so; where x is next to a multiple of π, to 10⁻²⁵.
pub(super) fn sine(x: f64) -> f64 {
    if x.abs() <= LIMIT { of_moderate(x) } else { libm::sin(x) }
}

/// `out = amplitude · sin(x − phase)`, in f64 from the f32 values, and rounded.
pub(super) fn wave(amplitude: f32, phase: f32, x: &[f32], out: &mut Vec<f32>) {
    let (amplitude, phase) = (f64::from(amplitude), f64::from(phase));
    let far = x.iter().fold(0.0_f32, |far, x| far.max(x.abs()));
    if f64::from(far) + phase.abs() <= LIMIT {
        out.extend(x.iter().map(|&x| (amplitude * of_moderate(f64::from(x) - phase)) as f32));
    } else {
        out.extend(x.iter().map(|&x| (amplitude * sine(f64::from(x) - phase)) as f32));
    }
}

/// With x = n π + r and |r| ≤ π/2, (−1)ⁿ sin r by its series, up to r²¹.
#[inline(always)]
fn of_moderate(x: f64) -> f64 {
    let rounded = x * FRAC_1_PI + ROUNDS;
    let n = rounded - ROUNDS;
    let r = (x - n * PI_HIGH) - n * PI_LOW;
    let z = r * r;
    let mut series = SERIES[0];
    for coefficient in &SERIES[1..] {
        series = series * z + coefficient;
    }
    let sine = r + r * (z * series);
    f64::from_bits(sine.to_bits() ^ (rounded.to_bits() << 63))
}

/// ± 1 / k! for k = 21, 19, …, 3.
const SERIES: [f64; 10] = {
    let mut series = [0.0; 10];
    let mut i = 0;
    while i < 10 {
        let k = 21 - 2 * i;
        let (mut factorial, mut j) = (1.0, 2);
        while j <= k {
            factorial *= j as f64;
            j += 1;
        }
        series[i] = if k % 4 == 3 { -1.0 / factorial } else { 1.0 / factorial };
        i += 1;
    }
    series
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many numbers of f64 lie between the two.
    fn places(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_is_right_to_the_last_place_or_so(x in -20.0_f64..20.0, far in -2e6_f64..2e6) {
            let off = (sine(x) - libm::sin(x)).abs();
            prop_assert!(places(sine(x), libm::sin(x)) <= 2 || off < 1e-25, "{x}");
            prop_assert!((sine(far) - libm::sin(far)).abs() <= 4e-16, "{far}");
        }

        #[test]
        fn a_wave_is_its_points(points in proptest::collection::vec(-1e7_f32..1e7, 1..9), phase in 0.0_f32..4.0) {
            for points in [points.clone(), points.iter().map(|x| x / 1e6).collect()] {
                let mut found = Vec::new();
                wave(1.5, phase, &points, &mut found);
                for (&x, &y) in points.iter().zip(&found) {
                    prop_assert_eq!(y, (1.5 * sine(f64::from(x) - f64::from(phase))) as f32);
                }
            }
        }
    }

    #[test]
    fn it_is_odd_and_right_at_the_quarters_of_a_turn() {
        use std::f64::consts::{FRAC_PI_2, PI};
        assert_eq!(sine(0.0), 0.0);
        assert_eq!((sine(FRAC_PI_2), sine(-FRAC_PI_2)), (1.0, -1.0));
        assert!((sine(PI) - libm::sin(PI)).abs() < 1e-25);
        assert_eq!(sine(-1.25), -sine(1.25));
    }
}
