//! Batch norm with the batch's own statistics, and the ReLU behind it (Ioffe and Szegedy 2015).
//!
//! x is `[rows, channels]`, M its rows; all else is by channel: statistics are (μ, r) with r = 1/√(σ² + ε), affine is
//! (γ, β), and sums are (∂γ, ∂β). With x̂ = (x − μ) r and z = ∂y where y > 0, else 0:
//!
//! ```text
//! y  = max(0, γ x̂ + β)                                forward
//! ∂γ = Σ z x̂       ∂β = Σ z                           sums
//! ∂x = γ r (z − (∂β + x̂ ∂γ) / M)                      input
//! ```
//!
//! Each of the four steps has its tangent beside it: the derivative along (ẋ, γ̇, β̇, ∂ẏ), written with a dot.

use super::InstructionSet;
use super::channels::{Channelwise, Grid, run, sum_rows};
use super::lanes::{Lanes, load, store};
use super::real::Real;

/// ε, added to the variance: PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

/// Pairs of per-channel vectors, one behind the other: (μ, r), (γ, β), (∂γ, ∂β).
fn pair<T>(both: &[T], channels: usize) -> [*const T; 2] {
    assert_eq!(both.len(), 2 * channels, "there is a pair for every channel");
    [both.as_ptr(), both[channels..].as_ptr()]
}

fn grid_of<T, const N: usize>(grid: Grid, planes: [&[T]; N]) -> [*const T; N] {
    planes.map(|plane| {
        assert_eq!(plane.len(), grid.len(), "a plane fills the grid");
        plane.as_ptr()
    })
}

macro_rules! channelwise {
    ($name:ident, constants: |$self:ident, $load:ident| $constants:block, at: |$this:ident, $place:ident, $c:ident| $at:block, $count:literal) => {
        impl<T: Real> Channelwise<T> for $name<T> {
            type Constants<L: Lanes<Scalar = T>> = [L; $count];

            #[inline(always)]
            unsafe fn constants<L: Lanes<Scalar = T>>(&$self, channel: usize, count: usize) -> [L; $count] {
                macro_rules! $load { ($from:expr) => { load::<L>($from.add(channel), count) } }
                // SAFETY: per-channel vectors have `channels` numbers.
                unsafe { $constants }
            }

            #[inline(always)]
            unsafe fn at<L: Lanes<Scalar = T>>(&$this, place: usize, count: usize, $c: &[L; $count]) -> [L; 2] {
                let $place = (place, count);
                // SAFETY: `place` is within the grid.
                unsafe { $at }
            }
        }
    };
}

#[inline(always)]
unsafe fn read<L: Lanes>(from: *const L::Scalar, (place, count): (usize, usize)) -> L {
    // SAFETY: the caller's.
    unsafe { load::<L>(from.add(place), count) }
}

#[inline(always)]
unsafe fn write<L: Lanes>(value: L, to: *mut L::Scalar, (place, count): (usize, usize)) {
    // SAFETY: the caller's.
    unsafe { store(value, to.add(place), count) }
}

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
unsafe fn scale_and_shift<L: Lanes>(mean: L, r: L, gamma: L, beta: L) -> [L; 2] {
    // SAFETY: the caller's.
    unsafe {
        let scale = gamma.mul(r);
        [scale, beta.sub(mean.mul(scale))]
    }
}

fn scaled<T: Real>(values: &mut [T], rows: usize) {
    let share = T::ONE / T::from_f64(rows as f64);
    for value in values {
        *value = *value * share;
    }
}

// ---------------------------------------------------------------- statistics

struct SumOfSquares<T> {
    x: *const T,
    mean: *const T,
}
channelwise!(SumOfSquares, constants: |self, load_channel| { [load_channel!(self.mean)] }, at: |self, place, c| {
    let centred = read::<L>(self.x, place).sub(c[0]);
    [centred.mul(centred), L::splat(T::ZERO)]
}, 1);

/// (μ, r) of x.
pub(crate) fn statistics<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    x: &[T],
    out: &mut [T],
) {
    pair(out, grid.channels);
    let (mean, r) = out.split_at_mut(grid.channels);
    sum_rows(instruction_set, grid, x, mean);
    scaled(mean, grid.rows);
    run(
        instruction_set,
        grid,
        SumOfSquares { x: x.as_ptr(), mean: mean.as_ptr() },
        [Some(r), None],
    );
    scaled(r, grid.rows);
    for r in r {
        *r = T::ONE / (*r + T::from_f64(EPSILON)).sqrt();
    }
}

struct StatisticsTangent<T> {
    x: *const T,
    x_dot: *const T,
    statistics: [*const T; 2],
}
channelwise!(StatisticsTangent, constants: |self, load_channel| {
    [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])]
}, at: |self, place, c| {
    let (x_dot, x_hat) = (read::<L>(self.x_dot, place), read::<L>(self.x, place).sub(c[0]).mul(c[1]));
    [x_dot, x_hat.mul(x_dot)]
}, 2);

/// (μ̇, ṙ): μ̇ = mean ẋ, ṙ = −r² mean(x̂ ẋ).
pub(crate) fn statistics_tangent<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics]: [&[T]; 2],
    x_dot: &[T],
    out: &mut [T],
) {
    let [x, x_dot] = grid_of(grid, [x, x_dot]);
    let r = &statistics[grid.channels..];
    pair(out, grid.channels);
    let (mean_dot, r_dot) = out.split_at_mut(grid.channels);
    let work = StatisticsTangent { x, x_dot, statistics: pair(statistics, grid.channels) };
    run(instruction_set, grid, work, [Some(&mut *mean_dot), Some(&mut *r_dot)]);
    scaled(mean_dot, grid.rows);
    scaled(r_dot, grid.rows);
    for (r_dot, &r) in r_dot.iter_mut().zip(r) {
        *r_dot = -(r * r * *r_dot);
    }
}

// ---------------------------------------------------------------- forward

struct Normalise<T> {
    x: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
    out: *mut T,
}
channelwise!(Normalise, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    scale_and_shift(mean, r, load_channel!(self.affine[0]), load_channel!(self.affine[1]))
}, at: |self, place, c| {
    let zero = L::splat(T::ZERO);
    let y = c[1].mul_add(read::<L>(self.x, place), c[0]);
    write(y.max(zero), self.out, place);
    [zero; 2]
}, 2);

/// y = max(0, γ x̂ + β).
pub(crate) fn normalise<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine]: [&[T]; 3],
    out: &mut [T],
) {
    let [x, _] = grid_of(grid, [x, out]);
    let (statistics, affine) = (pair(statistics, grid.channels), pair(affine, grid.channels));
    run(
        instruction_set,
        grid,
        Normalise { x, statistics, affine, out: out.as_mut_ptr() },
        [None, None],
    );
}

struct NormaliseTangent<T> {
    x: *const T,
    x_dot: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
    statistics_dot: [*const T; 2],
    affine_dot: [*const T; 2],
    out: *mut T,
}
channelwise!(NormaliseTangent, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    let [gamma, beta] = [load_channel!(self.affine[0]), load_channel!(self.affine[1])];
    let [mean_dot, r_dot] = [load_channel!(self.statistics_dot[0]), load_channel!(self.statistics_dot[1])];
    let [gamma_dot, beta_dot] = [load_channel!(self.affine_dot[0]), load_channel!(self.affine_dot[1])];
    let [scale, shift] = scale_and_shift(mean, r, gamma, beta);
    let slope = gamma_dot.mul(r).add(gamma.mul(r_dot));
    [mean, scale, shift, slope, beta_dot.sub(scale.mul(mean_dot))]
}, at: |self, place, c| {
    let [mean, scale, shift, slope, constant] = *c;
    let (x, x_dot) = (read::<L>(self.x, place), read::<L>(self.x_dot, place));
    let y_dot = constant.mul_add(x_dot, scale).mul_add(x.sub(mean), slope);
    write(where_active(y_dot, x, scale, shift), self.out, place);
    [L::splat(T::ZERO); 2]
}, 5);

/// ẏ = γ̇ x̂ + γ x̂̇ + β̇ where y > 0, else 0; with x̂̇ = r (ẋ − μ̇) + (x − μ) ṙ.
pub(crate) fn normalise_tangent<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine]: [&[T]; 3],
    [x_dot, statistics_dot, affine_dot]: [&[T]; 3],
    out: &mut [T],
) {
    let [x, x_dot, _] = grid_of(grid, [x, x_dot, out]);
    let [statistics, affine, statistics_dot, affine_dot] =
        [statistics, affine, statistics_dot, affine_dot].map(|both| pair(both, grid.channels));
    let out = out.as_mut_ptr();
    let work = NormaliseTangent { x, x_dot, statistics, affine, statistics_dot, affine_dot, out };
    run(instruction_set, grid, work, [None, None]);
}

// ---------------------------------------------------------------- backward: sums

struct Sums<T> {
    x: *const T,
    dy: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
}
channelwise!(Sums, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    let [scale, shift] = scale_and_shift(mean, r, load_channel!(self.affine[0]), load_channel!(self.affine[1]));
    [mean, r, scale, shift]
}, at: |self, place, c| {
    let [mean, r, scale, shift] = *c;
    let x = read::<L>(self.x, place);
    let z = where_active(read::<L>(self.dy, place), x, scale, shift);
    [z.mul(x.sub(mean).mul(r)), z]
}, 4);

/// (∂γ, ∂β) = (Σ z x̂, Σ z).
pub(crate) fn sums<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine, dy]: [&[T]; 4],
    out: &mut [T],
) {
    let [x, dy] = grid_of(grid, [x, dy]);
    let (statistics, affine) = (pair(statistics, grid.channels), pair(affine, grid.channels));
    let (dgamma, dbeta) = out.split_at_mut(grid.channels);
    run(instruction_set, grid, Sums { x, dy, statistics, affine }, [Some(dgamma), Some(dbeta)]);
}

struct SumsTangent<T> {
    x: *const T,
    dy: *const T,
    x_dot: *const T,
    dy_dot: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
    statistics_dot: [*const T; 2],
}
channelwise!(SumsTangent, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    let [scale, shift] = scale_and_shift(mean, r, load_channel!(self.affine[0]), load_channel!(self.affine[1]));
    [mean, r, scale, shift, load_channel!(self.statistics_dot[0]), load_channel!(self.statistics_dot[1])]
}, at: |self, place, c| {
    let [mean, r, scale, shift, mean_dot, r_dot] = *c;
    let (x, x_dot) = (read::<L>(self.x, place), read::<L>(self.x_dot, place));
    let z = where_active(read::<L>(self.dy, place), x, scale, shift);
    let z_dot = where_active(read::<L>(self.dy_dot, place), x, scale, shift);
    let centred = x.sub(mean);
    let x_hat_dot = x_dot.sub(mean_dot).mul(r).mul_add(centred, r_dot);
    [z_dot.mul(centred.mul(r)).mul_add(z, x_hat_dot), z_dot]
}, 6);

/// (∂γ̇, ∂β̇) = (Σ ż x̂ + z x̂̇, Σ ż).
pub(crate) fn sums_tangent<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine, dy]: [&[T]; 4],
    [x_dot, statistics_dot, _, dy_dot]: [&[T]; 4],
    out: &mut [T],
) {
    let [x, dy, x_dot, dy_dot] = grid_of(grid, [x, dy, x_dot, dy_dot]);
    let [statistics, affine, statistics_dot] =
        [statistics, affine, statistics_dot].map(|both| pair(both, grid.channels));
    let (dgamma, dbeta) = out.split_at_mut(grid.channels);
    let work = SumsTangent { x, dy, x_dot, dy_dot, statistics, affine, statistics_dot };
    run(instruction_set, grid, work, [Some(dgamma), Some(dbeta)]);
}

// ---------------------------------------------------------------- backward: input

struct Input<T> {
    rows: usize,
    x: *const T,
    dy: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
    sums: [*const T; 2],
    out: *mut T,
}
channelwise!(Input, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    let [scale, shift] = scale_and_shift(mean, r, load_channel!(self.affine[0]), load_channel!(self.affine[1]));
    let share = scale.mul(L::splat(T::ONE / T::from_f64(self.rows as f64)));
    let [dgamma, dbeta] = [load_channel!(self.sums[0]), load_channel!(self.sums[1])];
    [mean, scale, shift, share.mul(r).mul(dgamma), share.mul(dbeta)]
}, at: |self, place, c| {
    let [mean, scale, shift, slope, constant] = *c;
    let x = read::<L>(self.x, place);
    let z = where_active(read::<L>(self.dy, place), x, scale, shift);
    let removed = constant.mul_add(x.sub(mean), slope);
    write(z.mul(scale).sub(removed), self.out, place);
    [L::splat(T::ZERO); 2]
}, 5);

/// ∂x = γ r (z − (∂β + x̂ ∂γ) / M).
pub(crate) fn input<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine, dy, sums]: [&[T]; 5],
    out: &mut [T],
) {
    let [x, dy, _] = grid_of(grid, [x, dy, out]);
    let [statistics, affine, sums] =
        [statistics, affine, sums].map(|both| pair(both, grid.channels));
    let work = Input { rows: grid.rows, x, dy, statistics, affine, sums, out: out.as_mut_ptr() };
    run(instruction_set, grid, work, [None, None]);
}

struct InputTangent<T> {
    rows: usize,
    x: *const T,
    dy: *const T,
    x_dot: *const T,
    dy_dot: *const T,
    statistics: [*const T; 2],
    affine: [*const T; 2],
    sums: [*const T; 2],
    statistics_dot: [*const T; 2],
    affine_dot: [*const T; 2],
    sums_dot: [*const T; 2],
    out: *mut T,
}
channelwise!(InputTangent, constants: |self, load_channel| {
    let [mean, r] = [load_channel!(self.statistics[0]), load_channel!(self.statistics[1])];
    let [gamma, beta] = [load_channel!(self.affine[0]), load_channel!(self.affine[1])];
    let [dgamma, dbeta] = [load_channel!(self.sums[0]), load_channel!(self.sums[1])];
    let [mean_dot, r_dot] = [load_channel!(self.statistics_dot[0]), load_channel!(self.statistics_dot[1])];
    let gamma_dot = load_channel!(self.affine_dot[0]);
    let [dgamma_dot, dbeta_dot] = [load_channel!(self.sums_dot[0]), load_channel!(self.sums_dot[1])];
    let [scale, shift] = scale_and_shift(mean, r, gamma, beta);
    let scale_dot = gamma_dot.mul(r).add(gamma.mul(r_dot));
    let share = L::splat(T::ONE / T::from_f64(self.rows as f64));
    // The slope is scale · r · ∂γ / M and the constant scale · ∂β / M: product rules, factor by factor.
    let slope = scale.mul(share).mul(r).mul(dgamma);
    let slope_dot = share.mul(scale_dot.mul(r).mul(dgamma).add(scale.mul(r_dot).mul(dgamma)).add(scale.mul(r).mul(dgamma_dot)));
    let constant_dot = share.mul(scale_dot.mul(dbeta).add(scale.mul(dbeta_dot)));
    [mean, scale, shift, scale_dot, slope, slope_dot, constant_dot.sub(mean_dot.mul(slope))]
}, at: |self, place, c| {
    let [mean, scale, shift, scale_dot, slope, slope_dot, constant_dot] = *c;
    let (x, x_dot) = (read::<L>(self.x, place), read::<L>(self.x_dot, place));
    let z = where_active(read::<L>(self.dy, place), x, scale, shift);
    let z_dot = where_active(read::<L>(self.dy_dot, place), x, scale, shift);
    let removed = constant_dot.mul_add(x_dot, slope).mul_add(x.sub(mean), slope_dot);
    write(z_dot.mul(scale).mul_add(z, scale_dot).sub(removed), self.out, place);
    [L::splat(T::ZERO); 2]
}, 7);

/// ∂ẋ, by the product rule over every factor of ∂x.
pub(crate) fn input_tangent<T: Real>(
    instruction_set: InstructionSet,
    grid: Grid,
    [x, statistics, affine, dy, sums]: [&[T]; 5],
    [x_dot, statistics_dot, affine_dot, dy_dot, sums_dot]: [&[T]; 5],
    out: &mut [T],
) {
    let [x, dy, x_dot, dy_dot, _] = grid_of(grid, [x, dy, x_dot, dy_dot, out]);
    let [statistics, affine, sums] =
        [statistics, affine, sums].map(|both| pair(both, grid.channels));
    let [statistics_dot, affine_dot, sums_dot] =
        [statistics_dot, affine_dot, sums_dot].map(|both| pair(both, grid.channels));
    let rows = grid.rows;
    let out = out.as_mut_ptr();
    let work = InputTangent {
        rows,
        x,
        dy,
        x_dot,
        dy_dot,
        statistics,
        affine,
        sums,
        statistics_dot,
        affine_dot,
        sums_dot,
        out,
    };
    run(instruction_set, grid, work, [None, None]);
}
