//! Curves with their intervals, over a logarithmic axis, as a PNG file.

use std::convert::Infallible;
use std::io::Cursor;
use std::path::Path;

use anyhow::Context as _;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_8X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyle, TextStyleBuilder};
use image::{ImageFormat, Rgb, RgbImage};
use lyceum_common::report::Estimate;
use lyceum_common::whole_file;

const SIZE: (u32, u32) = (960, 600);
const LEFT: f64 = 80.0;
const RIGHT: f64 = 780.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 550.0;
const GREY: Rgb888 = Rgb888::new(225, 225, 225);
/// Okabe and Ito's colours, which all eyes tell apart.
const COLOURS: [Rgb888; 7] = [
    Rgb888::new(213, 94, 0),
    Rgb888::new(0, 114, 178),
    Rgb888::new(0, 158, 115),
    Rgb888::new(204, 121, 167),
    Rgb888::new(86, 180, 233),
    Rgb888::new(230, 159, 0),
    Rgb888::new(60, 60, 60),
];

/// A named curve: a mean and its interval at 0, 1, 2, ….
pub(crate) struct Curve<'a> {
    pub(crate) name: String,
    pub(crate) values: &'a [Estimate],
}

/// Draws the curves into a new file.
pub(crate) fn draw(
    path: &Path,
    title: &str,
    axes: [&str; 2],
    curves: &[Curve<'_>],
) -> anyhow::Result<()> {
    let mut canvas = Canvas(RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([255; 3])));
    let scale = Scale::of(curves);
    canvas.axes(&scale, title, axes);
    for (curve, colour) in curves.iter().zip(COLOURS.into_iter().cycle()) {
        canvas.band(&scale, curve.values, colour);
    }
    for (at, (curve, colour)) in curves.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        canvas.curve(&scale, curve.values, colour);
        let y = TOP + 20.0 * at as f64;
        canvas.line((RIGHT + 16.0, y), (RIGHT + 40.0, y), colour, 3);
        canvas.text(&curve.name, (RIGHT + 48.0, y), Alignment::Left);
    }
    let mut file = Cursor::new(Vec::new());
    let place = || path.display().to_string();
    canvas.0.write_to(&mut file, ImageFormat::Png).with_context(place)?;
    whole_file::write(path, file.get_ref()).with_context(place)
}

/// From steps and values to pixels.
struct Scale {
    steps: f64,
    /// The decades that values lie in.
    decades: [i32; 2],
}

impl Scale {
    fn of(curves: &[Curve<'_>]) -> Self {
        let steps = curves.iter().map(|curve| curve.values.len()).max().unwrap_or(0);
        let means = curves.iter().flat_map(|curve| curve.values).map(|value| value.mean);
        let logarithms = means.filter(|&mean| mean > 0.0 && mean.is_finite()).map(libm::log10);
        let (low, high) = logarithms
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let decades = if low <= high { [low.floor() as i32, high.ceil() as i32] } else { [0, 1] };
        let decades = [decades[0], decades[1].max(decades[0] + 1)];
        Self { steps: steps.saturating_sub(1).max(1) as f64, decades }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * step / self.steps
    }

    /// Values beyond the axis, and those that are no numbers, lie on its ends.
    fn y(&self, value: f64) -> f64 {
        let [low, high] = self.decades.map(f64::from);
        let logarithm = if value > 0.0 { libm::log10(value) } else { low };
        let share = (logarithm.clamp(low, high) - low) / (high - low);
        if share.is_nan() { TOP } else { BOTTOM - (BOTTOM - TOP) * share }
    }
}

struct Canvas(RgbImage);

impl Canvas {
    fn axes(&mut self, scale: &Scale, title: &str, [x_name, y_name]: [&str; 2]) {
        for decade in scale.decades[0]..=scale.decades[1] {
            let y = scale.y(libm::pow(10.0, f64::from(decade)));
            self.line((LEFT, y), (RIGHT, y), GREY, 1);
            self.text(&format!("1e{decade}"), (LEFT - 8.0, y), Alignment::Right);
        }
        for tenth in (0..=10).step_by(2) {
            let step = scale.steps * f64::from(tenth) / 10.0;
            let x = scale.x(step);
            self.line((x, TOP), (x, BOTTOM), GREY, 1);
            self.text(&format!("{step:.0}"), (x, BOTTOM + 14.0), Alignment::Center);
        }
        let black = Rgb888::BLACK;
        self.line((LEFT, TOP), (LEFT, BOTTOM), black, 1);
        self.line((LEFT, BOTTOM), (RIGHT, BOTTOM), black, 1);
        self.text(title, ((LEFT + RIGHT) / 2.0, TOP - 22.0), Alignment::Center);
        self.text(x_name, ((LEFT + RIGHT) / 2.0, BOTTOM + 34.0), Alignment::Center);
        self.text(y_name, (LEFT - 60.0, TOP - 22.0), Alignment::Left);
    }

    /// The intervals, as a shade.
    fn band(&mut self, scale: &Scale, values: &[Estimate], colour: Rgb888) {
        for x in LEFT as u32..=RIGHT as u32 {
            let step = (f64::from(x) - LEFT) / (RIGHT - LEFT) * scale.steps;
            let (before, share) = (step.floor() as usize, step.fract());
            let Some(first) = values.get(before) else { continue };
            let second = values.get(before + 1).unwrap_or(first);
            let between = |end: fn(&Estimate) -> f64| {
                let [a, b] = [first, second].map(|value| scale.y(end(value)));
                a + share * (b - a)
            };
            let top = between(|value| value.mean + value.half_width().unwrap_or(0.0)) as u32;
            let bottom = between(|value| value.mean - value.half_width().unwrap_or(0.0)) as u32;
            for y in top..=bottom {
                self.shade(x, y, colour);
            }
        }
    }

    fn shade(&mut self, x: u32, y: u32, colour: Rgb888) {
        if let Some(Rgb(pixel)) = self.0.get_pixel_mut_checked(x, y) {
            for (old, new) in pixel.iter_mut().zip([colour.r(), colour.g(), colour.b()]) {
                *old = ((3 * u16::from(*old) + u16::from(new)) / 4) as u8;
            }
        }
    }

    /// Line by line: where a whole polyline's corners lie is beyond the library's integers if its lines are long.
    fn curve(&mut self, scale: &Scale, values: &[Estimate], colour: Rgb888) {
        let place = |(step, value): (usize, &Estimate)| (scale.x(step as f64), scale.y(value.mean));
        let places: Vec<_> = values.iter().enumerate().map(place).collect();
        for (&from, &to) in places.iter().zip(places.iter().skip(1)) {
            self.line(from, to, colour, 2);
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Rgb888, width: u32) {
        let style = PrimitiveStyle::with_stroke(colour, width);
        let Ok(()) = Line::new(point(from), point(to)).into_styled(style).draw(self);
    }

    fn text(&mut self, text: &str, at: (f64, f64), alignment: Alignment) {
        let font = MonoTextStyle::new(&FONT_8X13, Rgb888::BLACK);
        let builder = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Middle);
        let style: TextStyle = builder.build();
        let Ok(_) = Text::with_text_style(text, point(at), font, style).draw(self);
    }
}

fn point((x, y): (f64, f64)) -> Point {
    Point::new(x.round() as i32, y.round() as i32)
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            if let Some(pixel) = place.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y)) {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_within_its_axes_whatever_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        let value = |mean: f64| Estimate { mean, interval: 0.2 };
        let good: Vec<_> = (0..50).map(|t| value(10.0 / f64::from(1 + t))).collect();
        let diverged = Estimate { mean: f64::INFINITY, interval: f64::NAN };
        let bad = [value(f64::NAN), value(0.0), value(f64::INFINITY), diverged];
        let steep = [value(1e9), value(1e-9), value(1e8)];
        let curves = [("good", &good[..]), ("bad", &bad), ("steep", &steep), ("none", &[])]
            .map(|(name, values)| Curve { name: name.to_owned(), values });
        draw(&path, "title", ["x", "y"], &curves).unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), SIZE);
        let colour = Rgb([COLOURS[0].r(), COLOURS[0].g(), COLOURS[0].b()]);
        let places = image
            .enumerate_pixels()
            .filter(|(x, _, pixel)| **pixel == colour && f64::from(*x) < RIGHT);
        let rows: Vec<_> = places.map(|(_, y, _)| f64::from(y)).collect();
        assert!(rows.len() > 500, "the curve has {} pixels", rows.len());
        assert!(rows.iter().all(|&y| (TOP - 2.0..=BOTTOM + 2.0).contains(&y)));
    }
}
