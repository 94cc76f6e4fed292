//! Batch norm with the batch's own statistics (Ioffe and Szegedy 2015), and the ReLU and the max pool behind it.
//!
//! x is `[rows, channels]`, M its rows; all else is by channel: statistics are (μ, r) with r = 1/√(σ² + ε), from
//! `statistics.rs`, affine is (γ, β), and sums are (∂γ, ∂β). With x̂ = (x − μ) r and z = ∂y where y > 0, else 0:
//!
//! ```text
//! y  = max(0, γ x̂ + β)                                forward
//! ∂γ = Σ z x̂       ∂β = Σ z                           sums
//! ∂x = γ r (z − (∂β + x̂ ∂γ) / M)                      input
//! ```
//!
//! Behind a max pool y is that of a window's largest, and z is zero at the others. Each of the three steps has its
//! tangent beside it: the derivative along (ẋ, γ̇, β̇, ∂ẏ), written with a dot.

use super::InstructionSet;
use super::formula::{Formula, Pair, Writes, formula};
use super::lanes::Lanes;
use super::places::Places;
use super::real::Real;
use super::sweep::{Totals, sweep};

/// `value` where the normalised output `x · scale + shift` is above zero, else zero.
#[inline(always)]
unsafe fn where_active<L: Lanes>(value: L, x: L, scale: L, shift: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        let zero = L::splat(L::Scalar::ZERO);
        shift.mul_add(x, scale).if_greater(zero, value, zero)
    }
}

/// γ r and β − μ γ r: the normalisation as one multiplication and addition.
#[inline(always)]
unsafe fn scale_and_shift<L: Lanes>([mean, r]: [L; 2], [gamma, beta]: [L; 2]) -> [L; 2] {
    // SAFETY: the caller's.
    unsafe {
        let scale = gamma.mul(r);
        [scale, beta.sub(mean.mul(scale))]
    }
}

// ---------------------------------------------------------------- forward

formula! { Normalise { statistics, affine } Pooled,
    constants: 2 { scale_and_shift(statistics, affine) },
    at: |[x], [], c| {
        let zero = L::splat(T::ZERO);
        (zero.max(c[1].mul_add(x, c[0])), [zero; 2])
    }
}

/// y = max(0, γ x̂ + β).
pub(crate) fn normalise<T: Real>(
    instruction_set: InstructionSet,
    places: Places,
    [x, statistics, affine]: [&[T]; 3],
    out: &mut [T],
) {
    let [statistics, affine] = [statistics, affine].map(|both| Pair::new(both, places));
    let formula = Normalise { statistics, affine };
    sweep(instruction_set, places, &formula, ([x], []), out, Totals::None);
}

formula! { NormaliseTangent { statistics, affine, statistics_dot, affine_dot } Pooled,
    constants: 5 {
        let ([mean, r], [gamma, _]) = (statistics, affine);
        let ([mean_dot, r_dot], [gamma_dot, beta_dot]) = (statistics_dot, affine_dot);
        let [scale, shift] = scale_and_shift(statistics, affine);
        let slope = gamma_dot.mul(r).add(gamma.mul(r_dot));
        [scale, shift, mean, slope, beta_dot.sub(scale.mul(mean_dot))]
    },
    at: |[x, x_dot], [], c| {
        let [scale, shift, mean, slope, constant] = *c;
        let y_dot = constant.mul_add(x_dot, scale).mul_add(x.sub(mean), slope);
        (where_active(y_dot, x, scale, shift), [L::splat(T::ZERO); 2])
    }
}

/// ẏ = γ̇ x̂ + γ x̂̇ + β̇ where y > 0, else 0; with x̂̇ = r (ẋ − μ̇) + (x − μ) ṙ.
pub(crate) fn normalise_tangent<T: Real>(
    instruction_set: InstructionSet,
    places: Places,
    [x, statistics, affine]: [&[T]; 3],
    [x_dot, statistics_dot, affine_dot]: [&[T]; 3],
    out: &mut [T],
) {
    let [statistics, affine, statistics_dot, affine_dot] =
        [statistics, affine, statistics_dot, affine_dot].map(|both| Pair::new(both, places));
    let formula = NormaliseTangent { statistics, affine, statistics_dot, affine_dot };
    sweep(instruction_set, places, &formula, ([x, x_dot], []), out, Totals::None);
}

// ---------------------------------------------------------------- backward: sums

formula! { Sums { statistics, affine } Nothing,
    constants: 4 {
        let [scale, shift] = scale_and_shift(statistics, affine);
        [scale, shift, statistics[0], statistics[1]]
    },
    at: |[x], [dy], c| {
        let [scale, shift, mean, r] = *c;
        let z = where_active(dy, x, scale, shift);
        (z, [z.mul(x.sub(mean).mul(r)), z])
    }
}

/// (∂γ, ∂β) = (Σ z x̂, Σ z), or added to those of other places that `out` holds.
pub(crate) fn sums<T: Real>(
    instruction_set: InstructionSet,
    (places, adds): (Places, bool),
    [x, statistics, affine, dy]: [&[T]; 4],
    out: &mut [T],
) {
    let [statistics, affine] = [statistics, affine].map(|both| Pair::new(both, places));
    let sums = out.split_at_mut(places.channels());
    let sums = <[&mut [T]; 2]>::from(sums);
    let sums = if adds { Totals::Added(sums) } else { Totals::Written(sums) };
    let formula = Sums { statistics, affine };
    sweep(instruction_set, places, &formula, ([x], [dy]), &mut [], sums);
}

formula! { SumsTangent { statistics, affine, statistics_dot } Nothing,
    constants: 6 {
        let [scale, shift] = scale_and_shift(statistics, affine);
        let ([mean, r], [mean_dot, r_dot]) = (statistics, statistics_dot);
        [scale, shift, mean, r, mean_dot, r_dot]
    },
    at: |[x, x_dot], [dy, dy_dot], c| {
        let [scale, shift, mean, r, mean_dot, r_dot] = *c;
        let z = where_active(dy, x, scale, shift);
        let z_dot = where_active(dy_dot, x, scale, shift);
        let centred = x.sub(mean);
        let x_hat_dot = x_dot.sub(mean_dot).mul(r).mul_add(centred, r_dot);
        (z, [z_dot.mul(centred.mul(r)).mul_add(z, x_hat_dot), z_dot])
    }
}

/// (∂γ̇, ∂β̇) = (Σ ż x̂ + z x̂̇, Σ ż).
pub(crate) fn sums_tangent<T: Real>(
    instruction_set: InstructionSet,
    places: Places,
    [x, statistics, affine, dy]: [&[T]; 4],
    [x_dot, statistics_dot, _, dy_dot]: [&[T]; 4],
    out: &mut [T],
) {
    let [statistics, affine, statistics_dot] =
        [statistics, affine, statistics_dot].map(|both| Pair::new(both, places));
    let (dgamma, dbeta) = out.split_at_mut(places.channels());
    let formula = SumsTangent { statistics, affine, statistics_dot };
    let reads = ([x, x_dot], [dy, dy_dot]);
    sweep(instruction_set, places, &formula, reads, &mut [], Totals::Written([dgamma, dbeta]));
}

// ---------------------------------------------------------------- backward: input

formula! { Input { statistics, affine, sums; share } Full,
    constants: 5 {
        let [scale, shift] = scale_and_shift(statistics, affine);
        let ([mean, r], [dgamma, dbeta]) = (statistics, sums);
        let share = scale.mul(share);
        [scale, shift, mean, share.mul(r).mul(dgamma), share.mul(dbeta)]
    },
    at: |[x], [dy], c| {
        let [scale, shift, mean, slope, constant] = *c;
        let z = where_active(dy, x, scale, shift);
        let removed = constant.mul_add(x.sub(mean), slope);
        (z.mul(scale).sub(removed), [L::splat(T::ZERO); 2])
    }
}

/// ∂x = γ r (z − (∂β + x̂ ∂γ) / M) at some of the M places.
pub(crate) fn input<T: Real>(
    instruction_set: InstructionSet,
    (places, all): (Places, usize),
    [x, statistics, affine, dy, sums]: [&[T]; 5],
    out: &mut [T],
) {
    let [statistics, affine, sums] = [statistics, affine, sums].map(|both| Pair::new(both, places));
    let formula = Input { statistics, affine, sums, share: all };
    sweep(instruction_set, places, &formula, ([x], [dy]), out, Totals::None);
}

formula! { InputTangent { statistics, affine, sums, statistics_dot, affine_dot, sums_dot; share } Full,
    constants: 7 {
        let [scale, shift] = scale_and_shift(statistics, affine);
        let ([mean, r], [gamma, _], [dgamma, dbeta]) = (statistics, affine, sums);
        let ([mean_dot, r_dot], [gamma_dot, _]) = (statistics_dot, affine_dot);
        let [dgamma_dot, dbeta_dot] = sums_dot;
        let scale_dot = gamma_dot.mul(r).add(gamma.mul(r_dot));
        // The slope is scale · r · ∂γ / M and the constant scale · ∂β / M: product rules, factor by factor.
        let slope = scale.mul(share).mul(r).mul(dgamma);
        let by_scale = scale_dot.mul(r).mul(dgamma).add(scale.mul(r_dot).mul(dgamma));
        let slope_dot = share.mul(by_scale.add(scale.mul(r).mul(dgamma_dot)));
        let constant_dot = share.mul(scale_dot.mul(dbeta).add(scale.mul(dbeta_dot)));
        [scale, shift, mean, scale_dot, slope, slope_dot, constant_dot.sub(mean_dot.mul(slope))]
    },
    at: |[x, x_dot], [dy, dy_dot], c| {
        let [scale, shift, mean, scale_dot, slope, slope_dot, constant_dot] = *c;
        let z = where_active(dy, x, scale, shift);
        let z_dot = where_active(dy_dot, x, scale, shift);
        let removed = constant_dot.mul_add(x_dot, slope).mul_add(x.sub(mean), slope_dot);
        (z_dot.mul(scale).mul_add(z, scale_dot).sub(removed), [L::splat(T::ZERO); 2])
    }
}

/// ∂ẋ, by the product rule over every factor of ∂x.
pub(crate) fn input_tangent<T: Real>(
    instruction_set: InstructionSet,
    (places, all): (Places, usize),
    [x, statistics, affine, dy, sums]: [&[T]; 5],
    [x_dot, statistics_dot, affine_dot, dy_dot, sums_dot]: [&[T]; 5],
    out: &mut [T],
) {
    let pair = |both| Pair::new(both, places);
    let formula = InputTangent {
        statistics: pair(statistics),
        affine: pair(affine),
        sums: pair(sums),
        statistics_dot: pair(statistics_dot),
        affine_dot: pair(affine_dot),
        sums_dot: pair(sums_dot),
        share: all,
    };
    let reads = ([x, x_dot], [dy, dy_dot]);
    sweep(instruction_set, places, &formula, reads, out, Totals::None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use crate::kernels::{Grid, Pool};

    const CHANNELS: usize = 19;
    const POOL: Pool = Pool { images: 2, height: 5, width: 4, channels: CHANNELS };
    const WINDOWS: Places = Places::Windows(POOL);

    /// Everything that a batch norm computes, in values and tangents.
    struct Computed {
        y: Vec<f32>,
        y_dot: Vec<f32>,
        sums: Vec<f32>,
        sums_dot: Vec<f32>,
        dx: Vec<f32>,
        dx_dot: Vec<f32>,
    }

    /// Inputs of every kind: x, (μ, r), (γ, β), and (∂γ, ∂β) as they may be, and their tangents.
    fn inputs(seed: u64) -> ([Vec<f32>; 4], [Vec<f32>; 4]) {
        let draw = |seed: u64| {
            let pair = |n| numbers(seed + n, 2 * CHANNELS);
            [numbers(seed, WINDOWS.full_len()), pair(1), pair(2), pair(3)]
        };
        (draw(seed), draw(seed + 10))
    }

    fn compute(set: InstructionSet, places: Places, dy: [&[f32]; 2]) -> Computed {
        let ([x, statistics, affine, sums], [x_dot, statistics_dot, affine_dot, sums_dot]) =
            inputs(7);
        let [x, statistics, affine, sums] = [&*x, &*statistics, &*affine, &*sums];
        let [x_dot, statistics_dot, affine_dot, sums_dot] =
            [&*x_dot, &*statistics_dot, &*affine_dot, &*sums_dot];
        let pooled = || vec![f32::NAN; places.pooled_len()];
        let full = || vec![f32::NAN; places.full_len()];
        let pair = || vec![f32::NAN; 2 * CHANNELS];
        let mut all = Computed {
            y: pooled(),
            y_dot: pooled(),
            sums: pair(),
            sums_dot: pair(),
            dx: full(),
            dx_dot: full(),
        };
        let [dy, dy_dot] = dy;
        normalise(set, places, [x, statistics, affine], &mut all.y);
        let along = [x_dot, statistics_dot, affine_dot];
        normalise_tangent(set, places, [x, statistics, affine], along, &mut all.y_dot);
        super::sums(set, (places, false), [x, statistics, affine, dy], &mut all.sums);
        let along = [x_dot, statistics_dot, affine_dot, dy_dot];
        sums_tangent(set, places, [x, statistics, affine, dy], along, &mut all.sums_dot);
        let every = (places, places.grid().rows);
        input(set, every, [x, statistics, affine, dy, sums], &mut all.dx);
        let along = [x_dot, statistics_dot, affine_dot, dy_dot, sums_dot];
        input_tangent(set, every, [x, statistics, affine, dy, sums], along, &mut all.dx_dot);
        all
    }

    /// For each window's number its place in the images: the first with the window's largest normalised x.
    fn largest() -> Vec<usize> {
        let ([x, statistics, affine, _], _) = inputs(7);
        let normalised = |place: usize| {
            let c = place % CHANNELS;
            let scale = affine[c] * statistics[CHANNELS + c];
            x[place].mul_add(scale, affine[CHANNELS + c] - statistics[c] * scale)
        };
        let window = |number: usize| {
            let (c, window) = (number % CHANNELS, number / CHANNELS);
            let (column, row, image) = (window % 2, window / 2 % 2, window / 4);
            let place = |r: usize, k: usize| {
                ((image * 5 + 2 * row + r) * 4 + 2 * column + k) * CHANNELS + c
            };
            let places = [place(0, 0), place(0, 1), place(1, 0), place(1, 1)];
            let best = |best: usize, place: usize| {
                if normalised(place) > normalised(best) { place } else { best }
            };
            places.into_iter().reduce(best).unwrap()
        };
        (0..WINDOWS.pooled_len()).map(window).collect()
    }

    #[test]
    fn over_windows_is_over_rows_and_then_a_max_pool() {
        let rows = Places::Rows(WINDOWS.grid());
        assert_eq!(WINDOWS.grid(), Grid { rows: 40, channels: CHANNELS });
        let dy = [numbers(1, WINDOWS.pooled_len()), numbers(2, WINDOWS.pooled_len())];
        let largest = largest();
        let scattered = [0, 1].map(|i: usize| {
            let mut full = vec![0.0; WINDOWS.full_len()];
            largest.iter().zip(&dy[i]).for_each(|(&place, &value)| full[place] = value);
            full
        });
        let expected = compute(InstructionSet::PORTABLE, rows, [&scattered[0], &scattered[1]]);
        let select = |full: &[f32]| largest.iter().map(|&place| full[place]).collect::<Vec<_>>();
        for set in InstructionSet::available() {
            let pooled = compute(set, WINDOWS, [&dy[0], &dy[1]]);
            assert!(same_bits(&pooled.y, &select(&expected.y)), "{set}");
            assert!(same_bits(&pooled.y_dot, &select(&expected.y_dot)), "{set}");
            assert!(same_bits(&pooled.dx, &expected.dx), "{set}");
            assert!(same_bits(&pooled.dx_dot, &expected.dx_dot), "{set}");
            // The order of these sums differs, being that of the windows.
            for (a, b) in [(&pooled.sums, &expected.sums), (&pooled.sums_dot, &expected.sums_dot)] {
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{set}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees_to_the_bit() {
        let dy = [numbers(1, WINDOWS.full_len()), numbers(2, WINDOWS.full_len())];
        for places in [WINDOWS, Places::Rows(WINDOWS.grid())] {
            let dy = [&dy[0][..places.pooled_len()], &dy[1][..places.pooled_len()]];
            let expected = compute(InstructionSet::PORTABLE, places, dy);
            for set in InstructionSet::available() {
                let computed = compute(set, places, dy);
                for (a, b) in [
                    (&computed.y, &expected.y),
                    (&computed.y_dot, &expected.y_dot),
                    (&computed.sums, &expected.sums),
                    (&computed.sums_dot, &expected.sums_dot),
                    (&computed.dx, &expected.dx),
                    (&computed.dx_dot, &expected.dx_dot),
                ] {
                    assert!(same_bits(a, b), "{set}");
                }
            }
        }
    }
}
