//! What makes an image of a character its own: the hand that drew it.

use super::Point;
use super::skeleton::Skeleton;
use crate::seed::Generator;

/// How far a hand misses a point, in standard deviations: each point by itself, and a stroke as a whole.
const TREMOR: f32 = 0.07;
const MISPLACEMENT: f32 = 0.07;
/// Standard deviations of turning (radians), slant, stretching of each axis and shift of the whole.
const TURN: f32 = 0.2;
const SLANT: f32 = 0.2;
const STRETCH: f32 = 0.15;
const SHIFT: f32 = 0.12;
/// Half the pen's width, thinnest and thickest.
const PEN: [f32; 2] = [0.05, 0.11];
/// Straight pieces between two points of a smooth stroke.
const PIECES: usize = 6;

/// The skeleton as a hand draws it: a polyline a stroke, and half the pen's width.
pub(super) fn write(skeleton: &Skeleton, generator: &mut Generator) -> (Vec<Vec<Point>>, f32) {
    let affine = Affine::draw(generator);
    let width = generator.uniform(PEN[0], PEN[1]);
    let strokes = skeleton.strokes.iter().map(|stroke| {
        let shift = miss(MISPLACEMENT, generator);
        let points = stroke.points.iter().map(|point| {
            let tremor = miss(TREMOR, generator);
            affine.apply(Point { x: point.x + shift.x + tremor.x, y: point.y + shift.y + tremor.y })
        });
        let points = points.collect::<Vec<_>>();
        if stroke.smooth { smooth(&points) } else { points }
    });
    (strokes.collect(), width)
}

/// Normal with this deviation; at most two of them, so that no character falls apart.
fn normal(deviation: f32, generator: &mut Generator) -> f32 {
    deviation * generator.normal().clamp(-2.0, 2.0)
}

fn miss(deviation: f32, generator: &mut Generator) -> Point {
    Point { x: normal(deviation, generator), y: normal(deviation, generator) }
}

/// p ↦ A p + b.
struct Affine {
    a: [[f32; 2]; 2],
    b: Point,
}

impl Affine {
    fn draw(generator: &mut Generator) -> Self {
        let turn = normal(TURN, generator);
        let slant = normal(SLANT, generator);
        let (across, down) = (1.0 + normal(STRETCH, generator), 1.0 + normal(STRETCH, generator));
        let b = miss(SHIFT, generator);
        let (sine, cosine) = (libm::sinf(turn), libm::cosf(turn));
        // Stretched, then slanted, then turned.
        let a = [
            [cosine * across, (cosine * slant - sine) * down],
            [sine * across, (sine * slant + cosine) * down],
        ];
        Self { a, b }
    }

    fn apply(&self, point: Point) -> Point {
        let [[xx, xy], [yx, yy]] = self.a;
        Point {
            x: xx * point.x + xy * point.y + self.b.x,
            y: yx * point.x + yy * point.y + self.b.y,
        }
    }
}

/// The Catmull–Rom spline through `points`, in straight pieces; its ends are doubled.
fn smooth(points: &[Point]) -> Vec<Point> {
    let at = |i: usize| points[i.clamp(1, points.len()) - 1];
    let mut line = Vec::with_capacity(PIECES * points.len());
    line.push(points[0]);
    for i in 1..points.len() {
        let [p, q, r, s] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            let cubic = |p: f32, q: f32, r: f32, s: f32| {
                let (a, b) = (3.0 * (q - r) + s - p, 2.0 * p - 5.0 * q + 4.0 * r - s);
                q + 0.5 * t * (r - p + t * (b + t * a))
            };
            line.push(Point { x: cubic(p.x, q.x, r.x, s.x), y: cubic(p.y, q.y, r.y, s.y) });
        }
    }
    line
}
