//! Maps over vectors, element by element. Where problems are side by side, what they have in common may be there once: a
//! vector of a sixteenth of the others' length has a number for sixteen of theirs.

use super::InstructionSet;
use super::Kernel;
use super::lanes::{LANES, Lanes, load, store};
use super::real::Real;
use super::transcendental::{sigmoid, tanh};

/// What becomes of an element, given what is there (`old`) and the elements of `N` other vectors.
trait Map<T: Real, const N: usize> {
    unsafe fn at<L: Lanes<Scalar = T>>(&self, old: L, x: [L; N]) -> L;
}

/// A function of its own where all vectors are of one length, without a choice at every number.
struct Run<T, M, const N: usize, const SOME_COMMON: bool> {
    map: M,
    x: [*const T; N],
    /// Which of them have a number for all lanes, if some do.
    common: [bool; N],
    out: *mut T,
    len: usize,
}

impl<T: Real, M: Map<T, N>, const N: usize, const SOME_COMMON: bool> Kernel<T>
    for Run<T, M, N, SOME_COMMON>
{
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes<Scalar = T>>(self) {
        let mut at = 0;
        while at < self.len {
            let count = LANES.min(self.len - at);
            // SAFETY: `map` has checked that all vectors have this length.
            unsafe {
                let mut x = [L::splat(T::ZERO); N];
                for i in 0..N {
                    x[i] = if SOME_COMMON && self.common[i] {
                        L::splat(*self.x[i].add(at / LANES))
                    } else {
                        load::<L>(self.x[i].add(at), count)
                    };
                }
                let old = load::<L>(self.out.add(at), count);
                store(self.map.at(old, x), self.out.add(at), count);
            }
            at += LANES;
        }
    }
}

fn map<T: Real, M: Map<T, N>, const N: usize>(
    instruction_set: InstructionSet,
    map: M,
    x: [&[T]; N],
    out: &mut [T],
) {
    let len = out.len();
    let common = x.map(|x| x.len() != len);
    for (x, common) in x.into_iter().zip(common) {
        assert!(
            !common || x.len() * LANES == len,
            "vectors are of one length, or a sixteenth of it"
        );
    }
    let (x, out) = (x.map(<[T]>::as_ptr), out.as_mut_ptr());
    if common.contains(&true) {
        T::dispatch(instruction_set, Run::<_, _, N, true> { map, x, common, out, len });
    } else {
        T::dispatch(instruction_set, Run::<_, _, N, false> { map, x, common, out, len });
    }
}

/// Defines a safe function over vectors: its formula for one element, in lanes.
macro_rules! pointwise {
    ($(#[$doc:meta])* $name:ident($($constant:ident),*; $($x:ident),*) |$old:ident| $formula:block) => {
        $(#[$doc])*
        pub(crate) fn $name<T: Real>(
            instruction_set: InstructionSet, $($constant: T,)* $($x: &[T],)* out: &mut [T],
        ) {
            struct Formula<T>([T; pointwise!(@count $($constant)*)]);
            impl<T: Real> Map<T, { pointwise!(@count $($x)*) }> for Formula<T> {
                #[inline(always)]
                unsafe fn at<L: Lanes<Scalar = T>>(&self, $old: L, x: [L; pointwise!(@count $($x)*)]) -> L {
                    let [$($constant),*] = self.0;
                    let [$($x),*] = x;
                    // SAFETY: in `run`, where the instructions are there.
                    unsafe {
                        $(let $constant = L::splat($constant);)*
                        $formula
                    }
                }
            }
            map(instruction_set, Formula([$($constant),*]), [$($x),*], out);
        }
    };
    (@count $($thing:ident)*) => { <[&str]>::len(&[$(stringify!($thing)),*]) };
}

pointwise! {
    /// `out += scale · x`, rounded once.
    add_scaled(scale; x) |old| { old.mul_add(scale, x) }
}
pointwise! {
    /// `out = a + scale · x`, rounded once.
    scaled_sum(scale; a, x) |_old| { a.mul_add(scale, x) }
}
pointwise! {
    /// `out −= rates ∘ x`, rounded once.
    subtract_product(; rates, x) |old| { let zero = L::splat(T::ZERO); old.mul_add(zero.sub(rates), x) }
}
pointwise! {
    /// `out = a − rates ∘ x`, rounded once.
    less_product(; a, rates, x) |_old| { let zero = L::splat(T::ZERO); a.mul_add(zero.sub(rates), x) }
}
pointwise! {
    /// `out = a ∘ b`.
    multiply(; a, b) |_old| { a.mul(b) }
}
pointwise! {
    /// `out = a − b`.
    subtract(; a, b) |_old| { a.sub(b) }
}
pointwise! {
    /// `out = scale · (a − b)`: the gradient of a squared error.
    scaled_difference(scale; a, b) |_old| { a.sub(b).mul(scale) }
}
pointwise! {
    /// `out = scale · x`.
    scale(scale; x) |_old| { x.mul(scale) }
}
pointwise! {
    /// `out` within ± `bound`; what is not a number stays so.
    clip(bound; ) |old| { L::splat(T::ZERO).sub(bound).max(bound.min(old)) }
}
pointwise! {
    /// `out = max(0, x)`; what is not a number stays so.
    relu(; x) |_old| { L::splat(T::ZERO).max(x) }
}
pointwise! {
    /// `out = x where y > 0, else 0`: ReLU's derivative, both backward and along a tangent.
    where_positive(; y, x) |_old| { let zero = L::splat(T::ZERO); y.if_greater(zero, x, zero) }
}
pointwise! {
    /// `out = tanh x`.
    tanh_of(; x) |_old| { tanh(x) }
}
pointwise! {
    /// `out = x (1 − y²)`: tanh's derivative, given y = tanh.
    tanh_slope(; y, x) |_old| { let minus_y = L::splat(T::ZERO).sub(y); x.mul(L::splat(T::ONE).mul_add(minus_y, y)) }
}
pointwise! {
    /// `out = x' (1 − y²) − 2 x y y'`: the tangent of tanh's derivative.
    tanh_slope_tangent(; y, x, y_dot, x_dot) |_old| {
        let minus_y = L::splat(T::ZERO).sub(y);
        let bend = x.mul(y_dot).mul(minus_y);
        bend.add(bend).mul_add(x_dot, L::splat(T::ONE).mul_add(minus_y, y))
    }
}
pointwise! {
    /// `out = 1 / (1 + e⁻ˣ)`.
    sigmoid_of(; x) |_old| { sigmoid(x) }
}
pointwise! {
    /// `out = x y (1 − y)`: the sigmoid's derivative, given y = sigmoid.
    sigmoid_slope(; y, x) |_old| { x.mul(y.mul(L::splat(T::ONE).sub(y))) }
}
pointwise! {
    /// `out = x' y (1 − y) + x (1 − 2y) y'`: the tangent of the sigmoid's derivative.
    sigmoid_slope_tangent(; y, x, y_dot, x_dot) |_old| {
        let one = L::splat(T::ONE);
        x_dot.mul(y.mul(one.sub(y))).mul_add(x.mul(y_dot), one.sub(y.add(y)))
    }
}
pointwise! {
    /// `out = beta · out + (1 − beta) · x`: a running mean.
    running_mean(beta, rest; x) |old| { old.mul(beta).mul_add(rest, x) }
}
pointwise! {
    /// `out = beta · out + (1 − beta) · x²`: a running mean of squares.
    running_mean_of_squares(beta, rest; x) |old| { old.mul(beta).mul_add(rest.mul(x), x) }
}
pointwise! {
    /// `out −= rate · mean / (√(scale · square) + epsilon)`: Adam's step, its bias corrections in `rate` and `scale`.
    subtract_adam(rate, scale, epsilon; mean, square) |old| {
        old.sub(rate.mul(mean).div(square.mul(scale).sqrt().add(epsilon)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{numbers, same_bits};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_agrees_to_the_bit(len in 0usize..70, seed: u64) {
            let data = numbers(seed, 3 * 70);
            let [a, b, c] = [&data[..len], &data[70..70 + len], &data[140..140 + len]];
            let all = |set: InstructionSet| {
                let mut results = Vec::new();
                let mut keep = |f: &dyn Fn(&mut [f32])| {
                    let mut out = c.to_vec();
                    f(&mut out);
                    results.extend(out);
                };
                keep(&|out| add_scaled(set, 0.3, a, out));
                keep(&|out| scaled_sum(set, 0.3, a, b, out));
                keep(&|out| subtract_product(set, a, b, out));
                keep(&|out| tanh_slope_tangent(set, a, b, b, a, out));
                keep(&|out| sigmoid_slope_tangent(set, a, b, b, a, out));
                keep(&|out| tanh_of(set, a, out));
                keep(&|out| sigmoid_of(set, a, out));
                keep(&|out| clip(set, 0.7, out));
                keep(&|out| where_positive(set, a, b, out));
                keep(&|out| { multiply(set, a, a, out); let square = out.to_vec(); subtract_adam(set, 0.1, 2.0, 1e-8, b, &square, out); });
                results
            };
            let expected = all(InstructionSet::PORTABLE);
            for set in InstructionSet::available() {
                prop_assert!(same_bits(&all(set), &expected), "{set}");
            }
        }
    }
}
