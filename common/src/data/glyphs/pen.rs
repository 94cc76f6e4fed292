//! Ink: from polylines to pixels.

use super::Point;

/// The share of half the image's side that [-1, 1] takes: a margin for hands that stray.
const REACH: f32 = 0.72;

/// Draws polylines with a round pen of half-width `width` (in the plane's units) on `size × size` pixels; 255 is ink.
/// A pixel's ink falls linearly over the pixel that the stroke's edge crosses.
pub(super) fn trace(strokes: &[Vec<Point>], width: f32, size: usize) -> Vec<u8> {
    let half = size as f32 / 2.0;
    let radius = (width * half).max(0.5);
    // Pixel (row, column) has its centre at (column + ½, row + ½).
    let place = |point: Point| Point {
        x: half + REACH * half * point.x - 0.5,
        y: half + REACH * half * point.y - 0.5,
    };
    let mut ink = vec![0_u8; size * size];
    for stroke in strokes {
        for pair in stroke.windows(2) {
            let (from, to) = (place(pair[0]), place(pair[1]));
            let columns = span(from.x, to.x, radius, size);
            for row in span(from.y, to.y, radius, size) {
                for column in columns.clone() {
                    let here = Point { x: column as f32, y: row as f32 };
                    let cover = (radius + 0.5 - distance(here, from, to)).clamp(0.0, 1.0);
                    let pixel = &mut ink[row * size + column];
                    *pixel = (*pixel).max((cover * 255.0 + 0.5) as u8);
                }
            }
        }
    }
    ink
}

/// The pixels along one axis that a piece from `a` to `b` can reach.
fn span(a: f32, b: f32, radius: f32, size: usize) -> std::ops::Range<usize> {
    // Casting to usize rounds down and stops at zero.
    let first = (a.min(b) - radius - 0.5) as usize;
    let end = (a.max(b) + radius + 1.5) as usize;
    first.min(size)..end.min(size)
}

/// From a point to the piece of line between `from` and `to`.
fn distance(point: Point, from: Point, to: Point) -> f32 {
    let (along_x, along_y) = (to.x - from.x, to.y - from.y);
    let (x, y) = (point.x - from.x, point.y - from.y);
    let length = along_x * along_x + along_y * along_y;
    let t = if length > 0.0 { ((x * along_x + y * along_y) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (x - t * along_x, y - t * along_y);
    (x * x + y * y).sqrt()
}
