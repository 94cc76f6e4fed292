//! What limited-memory BFGS knows of a function's curvature (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.4): the last
//! steps s = θₜ₊₁ − θₜ and how the gradient g changed over them, y = gₜ₊₁ − gₜ. From these pairs it makes r = H g, where H is
//! near the inverse of the Hessian:
//!
//! ```text
//! r = g
//! from the newest pair to the oldest:  α = sᵀr / sᵀy,  r −= α y
//! r ∗= sᵀy / yᵀy  of the newest
//! from the oldest to the newest:       r += (α − yᵀr / sᵀy) s
//! ```
//!
//! Before there is a pair, H g is a step of length one at most along g, as is customary: g / max(1, ‖g‖₁).
//!
//! A pair is left out where the function does not curve upwards along s, or where s is too short to be told from rounding.

use crate::kernels::pointwise::{add_scaled, subtract};
use crate::kernels::{InstructionSet, Real};
use crate::ops::inner_product;

/// The least cosine of the angle between s and y.
const LEAST_COSINE: f64 = 1e-4;
/// The least length of s, in lengths of θ: some hundred times what single precision resolves.
const LEAST_STEP: f64 = 1e-5;

/// The last pairs of one training.
pub(crate) struct LimitedMemory<T> {
    /// A ring: there are `count` of them, the newest before the place `next`. It has a place more than pairs that are kept, so
    /// that one that is left out has not taken another's.
    pairs: Vec<Pair<T>>,
    count: usize,
    next: usize,
    /// θ and g of the last reading; none before the first.
    theta: Vec<T>,
    gradient: Vec<T>,
    has_read: bool,
    instruction_set: InstructionSet,
}

struct Pair<T> {
    s: Vec<T>,
    y: Vec<T>,
    sy: T,
    yy: T,
    /// That of the reading that is under way.
    alpha: T,
}

impl<T: Real> LimitedMemory<T> {
    /// Room for so many pairs, at least one, of vectors of this length.
    pub(crate) fn new(pairs: usize, length: usize, instruction_set: InstructionSet) -> Self {
        let vector = || vec![T::ZERO; length];
        let pair = || Pair { s: vector(), y: vector(), sy: T::ZERO, yy: T::ZERO, alpha: T::ZERO };
        Self {
            pairs: (0..pairs.max(1) + 1).map(|_| pair()).collect(),
            count: 0,
            next: 0,
            theta: vector(),
            gradient: vector(),
            has_read: false,
            instruction_set,
        }
    }

    /// Forgets everything: another training begins.
    pub(crate) fn reset(&mut self) {
        (self.count, self.next, self.has_read) = (0, 0, false);
    }

    /// Takes in the step that led to θ, whose gradient this is, and writes H g.
    pub(crate) fn read(&mut self, theta: &[T], gradient: &[T], out: &mut [T]) {
        if self.has_read {
            self.take_in(theta, gradient);
        }
        self.theta.copy_from_slice(theta);
        self.gradient.copy_from_slice(gradient);
        self.has_read = true;
        self.direction(out);
    }

    fn take_in(&mut self, theta: &[T], gradient: &[T]) {
        let (set, places) = (self.instruction_set, self.pairs.len());
        let Pair { s, y, sy, yy, .. } = &mut self.pairs[self.next];
        subtract(set, theta, &self.theta, s);
        subtract(set, gradient, &self.gradient, y);
        (*sy, *yy) = (inner_product(s, y), inner_product(y, y));
        let length = inner_product(s, s).sqrt();
        let curves = *yy > T::ZERO && *sy > T::from_f64(LEAST_COSINE) * length * yy.sqrt();
        let steps =
            length > T::from_f64(LEAST_STEP) * inner_product(&self.theta, &self.theta).sqrt();
        if curves && steps {
            self.next = (self.next + 1) % places;
            self.count = (places - 1).min(self.count + 1);
        }
    }

    /// H g of the last reading's g.
    fn direction(&mut self, out: &mut [T]) {
        let Self { pairs, count, next, gradient, instruction_set: set, .. } = self;
        let (places, count) = (pairs.len(), *count);
        if count == 0 {
            let length: f64 = gradient.iter().map(|g| g.to_f64().abs()).sum();
            let share = T::from_f64(1.0 / length.max(1.0));
            return out.iter_mut().zip(gradient).for_each(|(r, g)| *r = *g * share);
        }
        out.copy_from_slice(gradient);
        // The place of the pair that came in so many before the next.
        let place = |age: usize| (*next + places - age) % places;
        for age in 1..=count {
            let pair = &mut pairs[place(age)];
            pair.alpha = inner_product(&pair.s, out) / pair.sy;
            add_scaled(*set, -pair.alpha, &pair.y, out);
        }
        let Pair { sy, yy, .. } = pairs[place(1)];
        let inverse_curvature = sy / yy;
        out.iter_mut().for_each(|r| *r = *r * inverse_curvature);
        for age in (1..=count).rev() {
            let pair = &pairs[place(age)];
            let beta = inner_product(&pair.y, out) / pair.sy;
            add_scaled(*set, pair.alpha - beta, &pair.s, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};

    const N: usize = 5;

    /// A positive definite matrix.
    fn hessian() -> Vec<f64> {
        let a = numbers(3, N * N);
        let entry = |at: usize| {
            let (i, j) = (at / N, at % N);
            let product: f32 = (0..N).map(|k| a[i * N + k] * a[j * N + k]).sum();
            f64::from(product) + if i == j { 0.2 } else { 0.0 }
        };
        (0..N * N).map(entry).collect()
    }

    fn times(matrix: &[f64], v: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| row.iter().zip(v).map(|(a, b)| a * b).sum();
        matrix.chunks(N).map(row).collect()
    }

    /// BFGS's matrix, updated pair by pair as Nocedal and Wright's equation 6.17 has it.
    fn updated(h: &[f64], s: &[f64], y: &[f64]) -> Vec<f64> {
        let rho = 1.0 / s.iter().zip(y).map(|(s, y)| s * y).sum::<f64>();
        let hy = times(h, y);
        let yhy: f64 = y.iter().zip(&hy).map(|(y, hy)| y * hy).sum();
        let entry = |at: usize| {
            let (i, j) = (at / N, at % N);
            h[at] - rho * (hy[i] * s[j] + s[i] * hy[j]) + (rho * rho * yhy + rho) * s[i] * s[j]
        };
        (0..N * N).map(entry).collect()
    }

    fn identity(scale: f64) -> Vec<f64> {
        (0..N * N).map(|at| if at / N == at % N { scale } else { 0.0 }).collect()
    }

    #[test]
    fn it_is_bfgs_from_the_scaled_identity_with_the_last_pairs() {
        let (hessian, room) = (hessian(), 3);
        let mut memory = LimitedMemory::new(room, N, InstructionSet::PORTABLE);
        let mut pairs: Vec<[Vec<f64>; 2]> = Vec::new();
        let (mut theta, mut gradient) = (vec![0.0; N], vec![0.0; N]);
        let mut found = vec![f64::NAN; N];
        for t in 0..6 {
            let next: Vec<f64> = numbers(10 + t, N).into_iter().map(f64::from).collect();
            let next_gradient = times(&hessian, &next);
            memory.read(&next, &next_gradient, &mut found);
            if t == 0 {
                let length: f64 = next_gradient.iter().map(|g| g.abs()).sum();
                assert!(length > 1.0);
                for (found, g) in found.iter().zip(&next_gradient) {
                    assert!((found - g / length).abs() < 1e-15, "{found}");
                }
            } else {
                let difference = |a: &[f64], b: &[f64]| -> Vec<f64> {
                    a.iter().zip(b).map(|(a, b)| a - b).collect()
                };
                pairs.push([difference(&next, &theta), difference(&next_gradient, &gradient)]);
                let last = &pairs[pairs.len().saturating_sub(room)..];
                let [s, y] = &last[last.len() - 1];
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let start = identity(dot(s, y) / dot(y, y));
                let h = last.iter().fold(start, |h, [s, y]| updated(&h, s, y));
                for (found, expected) in found.iter().zip(times(&h, &next_gradient)) {
                    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
                }
            }
            (theta, gradient) = (next, next_gradient);
        }
    }

    #[test]
    fn a_quadratic_is_solved_along_its_directions() {
        let hessian = hessian();
        let mut memory = LimitedMemory::new(2 * N, N, InstructionSet::PORTABLE);
        let mut theta = vec![1.0; N];
        let mut direction = vec![0.0; N];
        for _ in 0..40 {
            let gradient = times(&hessian, &theta);
            memory.read(&theta, &gradient, &mut direction);
            theta.iter_mut().zip(&direction).for_each(|(theta, step)| *theta -= 0.5 * step);
        }
        let largest = theta.iter().fold(0.0f64, |largest, theta| largest.max(theta.abs()));
        assert!(largest < 1e-4, "{largest}");
    }

    #[test]
    fn what_does_not_curve_upwards_is_left_out() {
        let mut memory = LimitedMemory::<f32>::new(4, 2, InstructionSet::PORTABLE);
        let mut direction = [f32::NAN; 2];
        // Steps of nothing, over a gradient that falls, and to what is no number.
        for (theta, gradient) in [
            ([1.0, 1.0], [1.0, 0.0]),
            ([1.0, 1.0], [1.0, 0.0]),
            ([2.0, 1.0], [0.5, 0.0]),
            ([f32::NAN, 1.0], [0.5, f32::INFINITY]),
        ] {
            memory.read(&theta, &gradient, &mut direction);
            assert_eq!(memory.count, 0, "{theta:?}");
        }
        memory.reset();
        memory.read(&[0.0, 1.0], &[0.0, 1.0], &mut direction);
        memory.read(&[0.0, 2.0], &[0.0, 3.0], &mut direction);
        assert_eq!(direction, [0.0, 1.5]);
        memory.reset();
        memory.read(&[0.0, 2.0], &[3.0, 1.0], &mut direction);
        assert_eq!(direction, [0.75, 0.25], "there is no pair any more");
    }

    #[test]
    fn what_is_left_out_takes_the_place_of_nothing() {
        let hessian = hessian();
        let mut memory = LimitedMemory::new(3, N, InstructionSet::PORTABLE);
        let (mut theta, mut gradient) = (Vec::new(), Vec::new());
        let mut expected = vec![0.0; N];
        // From too few pairs to a ring that has gone round.
        for t in 0..8 {
            theta = numbers(20 + t, N).into_iter().map(f64::from).collect();
            gradient = times(&hessian, &theta);
            memory.read(&theta, &gradient, &mut expected);
            let mut found = vec![f64::NAN; N];
            let far: Vec<f64> = theta.iter().map(|theta| theta + 1.0).collect();
            let fallen: Vec<f64> = gradient.iter().map(|gradient| gradient - 1.0).collect();
            // A step of nothing; one along which the function curves downwards, and back.
            memory.read(&theta, &gradient, &mut found);
            assert_eq!(found, expected, "after {t}");
            memory.read(&far, &fallen, &mut found);
            memory.read(&theta, &gradient, &mut found);
            assert_eq!(found, expected, "after {t}");
        }
        // What had taken a pair's place would have been found: the pairs matter.
        let mut found = vec![f64::NAN; N];
        memory.reset();
        memory.read(&theta, &gradient, &mut found);
        assert_ne!(found, expected);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let read = |set: InstructionSet| {
            let mut memory = LimitedMemory::new(3, 37, set);
            let mut direction = vec![f32::NAN; 37];
            for t in 0..5 {
                let theta = numbers(t, 37);
                let gradient: Vec<f32> = theta.iter().map(|theta| 1.5 * theta).collect();
                memory.read(&theta, &gradient, &mut direction);
            }
            direction
        };
        let expected = read(InstructionSet::PORTABLE);
        assert!(expected.iter().all(|value| *value != 0.0));
        for set in InstructionSet::available() {
            assert!(same_bits(&read(set), &expected), "{set}");
        }
    }
}
