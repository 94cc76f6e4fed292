//! What makes a character: its strokes.

use std::f32::consts::PI;

use super::Point;
use crate::seed::Generator;

/// One movement of the pen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stroke {
    /// The points that it passes through: at least two.
    pub(super) points: Vec<Point>,
    /// Whether it bends smoothly at them, or has corners there.
    pub(super) smooth: bool,
}

/// A character, as it would be drawn with a perfect hand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Skeleton {
    pub(super) strokes: Vec<Stroke>,
}

impl Skeleton {
    /// A new character of one to four strokes, some of which begin on an earlier one.
    pub(super) fn draw(generator: &mut Generator) -> Self {
        let count = [1, 2, 2, 2, 3, 3, 3, 4][generator.below(8) as usize];
        let style = Style::draw(generator);
        let mut strokes: Vec<Stroke> = Vec::with_capacity(count);
        for _ in 0..count {
            let start = match strokes.len() {
                0 => anywhere(generator),
                earlier if generator.below(2) == 0 => {
                    let stroke = &strokes[generator.below(earlier as u32) as usize];
                    stroke.points[generator.below(stroke.points.len() as u32) as usize]
                }
                _ => anywhere(generator),
            };
            strokes.push(style.stroke(start, generator));
        }
        Self { strokes }
    }
}

/// Which strokes a character likes: a script has its own.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// Straight lines and corners.
    Angular,
    /// Arcs and lines.
    Round,
    /// Long bends.
    Cursive,
    /// All of them.
    Mixed,
}

impl Style {
    fn draw(generator: &mut Generator) -> Self {
        [Self::Angular, Self::Round, Self::Cursive, Self::Mixed][generator.below(4) as usize]
    }

    fn stroke(self, start: Point, generator: &mut Generator) -> Stroke {
        let kind = match self {
            Self::Angular => generator.below(2),
            Self::Round => [0, 2, 2][generator.below(3) as usize],
            Self::Cursive => 3,
            Self::Mixed => generator.below(4),
        };
        match kind {
            0 => path(start, 2, false, generator),
            1 => {
                let corners = 1 + generator.below(2) as usize;
                path(start, 2 + corners, false, generator)
            }
            2 => arc(start, generator),
            _ => {
                let bends = 1 + generator.below(3) as usize;
                path(start, 2 + bends, true, generator)
            }
        }
    }
}

fn anywhere(generator: &mut Generator) -> Point {
    Point { x: generator.uniform(-1.0, 1.0), y: generator.uniform(-1.0, 1.0) }
}

/// A stroke through `count` points, each well away from the one before.
fn path(start: Point, count: usize, smooth: bool, generator: &mut Generator) -> Stroke {
    let mut points = vec![start];
    while points.len() < count {
        let last = points[points.len() - 1];
        let next = anywhere(generator);
        let (dx, dy) = (next.x - last.x, next.y - last.y);
        if dx * dx + dy * dy > 0.7 * 0.7 {
            points.push(next);
        }
    }
    Stroke { points, smooth }
}

/// Part of an ellipse, from a fifth of its circumference to all of it, that begins at `start` or at the nearest place
/// from which it stays in the square.
fn arc(start: Point, generator: &mut Generator) -> Stroke {
    const SEGMENTS: usize = 8;
    let radius = Point { x: generator.uniform(0.25, 0.8), y: generator.uniform(0.25, 0.8) };
    let begin = generator.uniform(0.0, 2.0 * PI);
    let sweep = generator.uniform(0.4 * PI, 2.0 * PI);
    let at = |angle: f32| (radius.x * libm::cosf(angle), radius.y * libm::sinf(angle));
    let (x, y) = at(begin);
    let centre = Point {
        x: (start.x - x).clamp(radius.x - 1.0, 1.0 - radius.x),
        y: (start.y - y).clamp(radius.y - 1.0, 1.0 - radius.y),
    };
    let points = (0..=SEGMENTS).map(|i| {
        let (x, y) = at(begin + sweep * (i as f32 / SEGMENTS as f32));
        Point { x: centre.x + x, y: centre.y + y }
    });
    Stroke { points: points.collect(), smooth: true }
}
