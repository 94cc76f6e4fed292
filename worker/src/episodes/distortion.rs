//! Affine distortions of images.

use std::ops::Range;

use lyceum_common::config::DistortionConfig;
use lyceum_common::seed::Generator;

use super::rotation::Rotation;

/// Where a pixel of a distorted image comes from: an affine map about the image's centre.
///
/// # Derivation
///
/// `angle`, two shears `ρx`, `ρy`, two scales `sx`, `sy` and two shifts `tx`, `ty` are drawn in this order: each by
/// `unit() < probability` and a `uniform` in its range, both of which are drawn whether or not the first holds; where it
/// does not, the number is that of no distortion. Where `reflection` is above zero, `m` is −1 if `unit() < reflection`, drawn
/// last, and 1 everywhere else. All but sine and cosine, which are rounded from f64, is in f32:
///
/// `(x', y') = R(angle) · [1 ρx; ρy 1] · (m sx x, sy y) + (columns tx, rows ty)`, x and y being offsets from the centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Distortion {
    /// By rows: what x' and y' take from x and y.
    map: [[f32; 2]; 2],
    /// In shares of columns and rows.
    shift: [f32; 2],
}

impl Distortion {
    /// Draws one.
    pub(super) fn draw(config: &DistortionConfig, generator: &mut Generator) -> Self {
        let mut draw = |low: f32, high: f32, none: f32| {
            let happens = generator.unit() < config.probability;
            let value = generator.uniform(low, high);
            if happens { value } else { none }
        };
        let mut about = |limit: f32| draw(-limit, limit, 0.0);
        let angle = f64::from(about(config.rotation)).to_radians();
        let [rho_x, rho_y] = [about(config.shear), about(config.shear)];
        let [low, high] = config.scale;
        let [scale_x, scale_y] = [draw(low, high, 1.0), draw(low, high, 1.0)];
        let mut about = |limit: f32| draw(-limit, limit, 0.0);
        let shift = [about(config.shift), about(config.shift)];
        let reflected = config.reflection > 0.0 && generator.unit() < config.reflection;
        let scale_x = if reflected { -scale_x } else { scale_x };
        let (sine, cosine) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
        let [x, y] = [[scale_x, rho_y * scale_x], [rho_x * scale_y, scale_y]];
        let turn = |[x, y]: [f32; 2]| [cosine * x - sine * y, sine * x + cosine * y];
        let ([xx, yx], [xy, yy]) = (turn(x), turn(y));
        Self { map: [[xx, xy], [yx, yy]], shift }
    }

    /// What distorts an image of these rows, columns and channels as `earlier` does, and the outcome of that like this.
    pub(super) fn after(&self, earlier: &Self, [rows, columns, _]: [usize; 3]) -> Self {
        let to = |[x, y]: [f32; 2]| earlier.map.map(|[by_x, by_y]| by_x * x + by_y * y);
        let [[xx, xy], [yx, yy]] = self.map;
        let ([xx, yx], [xy, yy]) = (to([xx, yx]), to([xy, yy]));
        let extent = [columns as f32, rows as f32];
        let shift = to([0, 1].map(|axis| self.shift[axis] * extent[axis]));
        let shift = [0, 1].map(|axis| shift[axis] / extent[axis] + earlier.shift[axis]);
        Self { map: [[xx, xy], [yx, yy]], shift }
    }

    /// Appends the image, of bytes in `[rows, columns, channels]`, turned by `rotation` and then distorted: the cubic
    /// interpolation of Catmull and Rom, kept within 0 and 1. What lies beyond the image's border is 0.
    pub(super) fn write(
        &self,
        image: &[u8],
        shape: [usize; 3],
        rotation: Rotation,
        to: &mut Vec<f32>,
    ) {
        // Grey images, and those in colour, are compiled for themselves: steps that are known are what makes them fast.
        match shape {
            [rows, columns, 1] => self.write_pixels(image, [rows, columns, 1], rotation, to),
            [rows, columns, 3] => self.write_pixels(image, [rows, columns, 3], rotation, to),
            _ => self.write_pixels(image, shape, rotation, to),
        }
    }

    #[inline(always)]
    fn write_pixels(
        &self,
        image: &[u8],
        [rows, columns, channels]: [usize; 3],
        rotation: Rotation,
        to: &mut Vec<f32>,
    ) {
        let last = [rows as f32 - 1.0, columns as f32 - 1.0];
        let [middle_row, middle_column] = last.map(|last| last / 2.0);
        let [[xx, xy], [yx, yy]] = self.map;
        let [shift_x, shift_y] = self.shift;
        for row in 0..rows {
            let y = row as f32 - middle_row;
            for column in 0..columns {
                let x = column as f32 - middle_column;
                let from_column = xx * x + xy * y + (columns as f32 * shift_x + middle_column);
                let from_row = yx * x + yy * y + (rows as f32 * shift_y + middle_row);
                let (from_row, from_column) = rotation.source(from_row, from_column, last[0]);
                let taps = [Taps::about(from_row), Taps::about(from_column)];
                for channel in 0..channels {
                    let value = between(image, [rows, columns, channels], taps, channel);
                    to.push((value / 255.0).clamp(0.0, 1.0));
                }
            }
        }
    }
}

/// The four rows or columns around a place between them: the first one, and what each counts.
#[derive(Clone, Copy)]
struct Taps {
    first: i32,
    weights: [f32; 4],
}

impl Taps {
    fn about(place: f32) -> Self {
        // Without a call for the integer below, which plain x86-64 has no instruction for.
        let towards_zero = place as i32;
        let below = towards_zero.saturating_sub(i32::from(towards_zero as f32 > place));
        Self { first: below.saturating_sub(1), weights: catmull_rom(place - below as f32) }
    }

    /// Which of the four lie within `size`.
    fn inside(self, size: usize) -> Range<usize> {
        let before = usize::try_from(self.first.saturating_neg()).unwrap_or(0);
        let to_end = (size as i64 - i64::from(self.first)).clamp(0, 4) as usize;
        before.min(to_end)..to_end
    }
}

/// The value of a channel of an image between its pixels.
#[inline(always)]
fn between(
    image: &[u8],
    [rows, columns, channels]: [usize; 3],
    [by_row, by_column]: [Taps; 2],
    channel: usize,
) -> f32 {
    let at = |i: usize, j: usize| {
        let (row, column) = (by_row.first + i as i32, by_column.first + j as i32);
        (row as usize * columns + column as usize) * channels + channel
    };
    let mut value = 0.0;
    let (some_rows, some_columns) = (by_row.inside(rows), by_column.inside(columns));
    if some_rows == (0..4) && some_columns == (0..4) {
        for i in 0..4 {
            let pixels = &image[at(i, 0)..][..3 * channels + 1];
            for j in 0..4 {
                let weight = by_row.weights[i] * by_column.weights[j];
                value += weight * f32::from(pixels[j * channels]);
            }
        }
        return value;
    }
    for i in some_rows {
        for j in some_columns.clone() {
            let weight = by_row.weights[i] * by_column.weights[j];
            value += weight * f32::from(image[at(i, j)]);
        }
    }
    value
}

/// The weights of the four pixels around a place that lies `t` of the way from the second to the third (Keys 1981, with
/// a = −1/2).
fn catmull_rom(t: f32) -> [f32; 4] {
    [
        0.5 * t * (t * (2.0 - t) - 1.0),
        0.5 * (t * t * (3.0 * t - 5.0) + 2.0),
        0.5 * t * (t * (4.0 - 3.0 * t) + 1.0),
        0.5 * t * t * (t - 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::{EpisodeIndex, MetaStep};
    use lyceum_common::seed::{Purpose, Seed};
    use proptest::prelude::*;

    use super::*;

    const NONE: DistortionConfig = DistortionConfig {
        rotation: 0.0,
        shear: 0.0,
        scale: [1.0, 1.0],
        shift: 0.0,
        probability: 1.0,
        reflection: 0.0,
    };

    fn drawn(config: &DistortionConfig, seed: u64) -> Distortion {
        let episode = Seed::of_run(seed).step(MetaStep(0)).episode(EpisodeIndex(0));
        Distortion::draw(config, &mut episode.stream(Purpose::Augmentation))
    }

    fn written(distortion: Distortion, image: &[u8], shape: [usize; 3], quarters: u32) -> Vec<f32> {
        let mut to = Vec::new();
        distortion.write(image, shape, Rotation::of(quarters), &mut to);
        to
    }

    /// A blob in a dark image: the share of ink, and its centre of mass as (x, y) from the image's.
    fn centre(image: &[f32], size: usize) -> [f32; 2] {
        let middle = (size as f32 - 1.0) / 2.0;
        let mut moments = [0.0; 3];
        for (place, &ink) in image.iter().enumerate() {
            let (x, y) = ((place % size) as f32 - middle, (place / size) as f32 - middle);
            for (moment, by) in moments.iter_mut().zip([1.0, x, y]) {
                *moment += ink * by;
            }
        }
        [moments[1] / moments[0], moments[2] / moments[0]]
    }

    /// The image of a blob whose centre lies 6 pixels to the right of the middle of 21 × 21.
    fn blob() -> Vec<u8> {
        let ink = |place: usize| {
            let (x, y) = ((place % 21) as f32 - 16.0, (place / 21) as f32 - 10.0);
            (255.0 * (-(x * x + y * y) / 4.0).exp()) as u8
        };
        (0..21 * 21).map(ink).collect()
    }

    fn fixed(change: impl FnOnce(&mut DistortionConfig)) -> [f32; 2] {
        let mut config = NONE;
        change(&mut config);
        centre(&written(drawn(&config, 1), &blob(), [21, 21, 1], 0), 21)
    }

    fn close(at: [f32; 2], expected: [f32; 2]) {
        let near = at.iter().zip(expected).all(|(at, expected)| (at - expected).abs() < 0.05);
        assert!(near, "{at:?} {expected:?}");
    }

    #[test]
    fn each_number_moves_what_is_drawn_as_it_says() {
        close(fixed(|_| ()), [6.0, 0.0]);
        // A pixel comes from twice as far away: things are half as large.
        close(fixed(|config| config.scale = [2.0, 2.0]), [3.0, 0.0]);
        close(fixed(|config| config.reflection = 1.0), [-6.0, 0.0]);
        // The angle is between −90° and 90°, and whatever it is the distance stays.
        let [x, y] = fixed(|config| config.rotation = 90.0);
        assert!((libm::hypotf(x, y) - 6.0).abs() < 0.05 && y.abs() > 0.5, "{x} {y}");
        let [x, y] = fixed(|config| config.shift = 0.2);
        assert!((x - 6.0).abs() > 0.1 && (x - 6.0).abs() < 4.2 && y.abs() > 0.1 && y.abs() < 4.2);
        let [x, y] = fixed(|config| config.shear = 0.3);
        // With ρx and ρy the blob's place solves x + ρx y = 6 and y + ρy x = 0.
        let rho_y = -y / x;
        assert!(rho_y.abs() > 0.01 && rho_y.abs() < 0.31, "{x} {y}");
        assert!(((6.0 - x) / y).abs() < 0.31, "{x} {y}");
    }

    type Matrix = [[f64; 2]; 2];

    fn product(a: Matrix, b: Matrix) -> Matrix {
        std::array::from_fn(|i| std::array::from_fn(|j| a[i][0] * b[0][j] + a[i][1] * b[1][j]))
    }

    #[test]
    fn it_is_made_up_of_what_is_drawn_in_the_order_that_is_written() {
        let config = DistortionConfig { probability: 0.7, ..DistortionConfig::default() };
        let mut generator = Seed::of_run(7)
            .step(MetaStep(0))
            .episode(EpisodeIndex(0))
            .stream(Purpose::Augmentation);
        let mut again = generator.clone();
        for _ in 0..50 {
            let Distortion { map, shift } = Distortion::draw(&config, &mut generator);
            let mut next = |low: f32, high, none| {
                let (share, value) = (again.unit(), again.uniform(low, high));
                f64::from(if share < 0.7 { value } else { none })
            };
            let angle = next(-10.0, 10.0, 0.0).to_radians();
            let [rho_x, rho_y] = [next(-0.3, 0.3, 0.0), next(-0.3, 0.3, 0.0)];
            let scale = [[next(0.8, 1.2, 1.0), 0.0], [0.0, next(0.8, 1.2, 1.0)]];
            let expected_shift = [next(-0.019, 0.019, 0.0), next(-0.019, 0.019, 0.0)];
            let turn = [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]];
            let expected = product(turn, product([[1.0, rho_x], [rho_y, 1.0]], scale));
            for (value, expected) in map.as_flattened().iter().zip(expected.as_flattened()) {
                assert!((f64::from(*value) - expected).abs() < 1e-6, "{map:?} {expected:?}");
            }
            assert_eq!(shift.map(f64::from), expected_shift);
        }
    }

    #[test]
    fn one_after_another_is_what_distorts_what_the_other_gave() {
        let config =
            DistortionConfig { probability: 1.0, reflection: 0.5, ..DistortionConfig::default() };
        for seed in 0..20 {
            let [first, second] = [2 * seed, 2 * seed + 1].map(|seed| drawn(&config, seed));
            let shape = [21, 33, 1];
            // Where the pixel at (x, y) comes from, offsets from the centre.
            let source = |Distortion { map, shift }: Distortion, [x, y]: [f32; 2]| {
                let by = |[by_x, by_y]: [f32; 2]| by_x * x + by_y * y;
                [by(map[0]) + shift[0] * 33.0, by(map[1]) + shift[1] * 21.0]
            };
            for at in [[0.0, 0.0], [7.0, 0.0], [-3.0, 9.0]] {
                let both = source(second.after(&first, shape), at);
                let expected = source(first, source(second, at));
                let near = both.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
                assert!(near, "{both:?} {expected:?}");
            }
        }
    }

    #[test]
    fn beyond_the_border_there_is_nothing() {
        let config = DistortionConfig { scale: [3.0, 3.0], ..NONE };
        let image = written(drawn(&config, 1), &[255; 81], [9, 9, 1], 0);
        let dark = |place: usize| {
            let (x, y) = (place % 9, place / 9);
            x.min(y) < 2 || x.max(y) > 6
        };
        assert!(image.iter().enumerate().all(|(place, &ink)| !dark(place) || ink == 0.0));
        assert_eq!(image[40], 1.0);
    }

    proptest! {
        #[test]
        fn none_gives_the_image_turned(
            image in proptest::collection::vec(any::<u8>(), 6 * 6 * 3), seed: u64, quarters in 0_u32..4
        ) {
            let turned = written(drawn(&NONE, seed), &image, [6, 6, 3], quarters);
            for (place, &value) in turned.iter().enumerate() {
                let (pixel, channel) = (place / 3, place % 3);
                let (row, column) = Rotation::of(quarters).source(pixel / 6, pixel % 6, 5);
                prop_assert_eq!(value, super::super::few_shot::intensity(image[(row * 6 + column) * 3 + channel]));
            }
        }

        #[test]
        fn weights_are_one_together_and_reproduce_straight_lines(t in 0.0_f32..1.0) {
            let weights = catmull_rom(t);
            prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            let place = (-1..3).zip(weights).map(|(place, weight)| place as f32 * weight).sum::<f32>();
            prop_assert!((place - t).abs() < 1e-6);
        }

        #[test]
        fn values_stay_within_0_and_1(image in proptest::collection::vec(any::<u8>(), 7 * 5), seed: u64) {
            let config = DistortionConfig { probability: 1.0, shift: 0.5, ..DistortionConfig::default() };
            let image = written(drawn(&config, seed), &image, [7, 5, 1], 0);
            prop_assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
