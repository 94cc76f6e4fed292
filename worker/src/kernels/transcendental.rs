//! exp, ln, tanh and the logistic function, from additions, products and one table-free range reduction each, so that
//! every machine gives the same bits.
//!
//! In f32 the errors, against f64 over the ranges that the tests walk through, are below: exp 1.5 units in the last
//! place, ln 3, tanh 4, sigmoid 3.

use super::lanes::Lanes;
use super::real::Real;

/// ln 2 in two parts: the first has enough trailing zeros that a small integer times it is exact.
const LN_2_HIGH: f64 = 0.693_145_751_953_125;
const LN_2_LOW: f64 = 1.428_606_820_309_417_3e-6;

#[inline(always)]
unsafe fn constant<L: Lanes>(value: f64) -> L {
    // SAFETY: the caller's.
    unsafe { L::splat(L::Scalar::from_f64(value)) }
}

/// e to a power, taken apart: `2ⁿ (1 + r series)`.
struct Power<L, const N: usize> {
    /// n, an integer, as [`Lanes::times_exp2`] takes it.
    n: [L; N],
    /// What is left of the power's argument: the power itself is within ± ½ ln 2.
    r: [L; N],
    series: [L; N],
}

/// e^(factor · x) for a factor of ± a power of two, which costs nothing; the power is to be within ± `EXP_LIMIT`.
#[inline(always)]
unsafe fn power<L: Lanes, const N: usize>(factor: f64, x: [L; N]) -> Power<L, N> {
    // SAFETY: the caller's.
    unsafe {
        let round = constant::<L>(L::Scalar::ROUND);
        let mut shifted = x;
        for i in 0..N {
            shifted[i] = round.mul_add(x[i], constant(factor * std::f64::consts::LOG2_E));
        }
        // r / factor, of which everything below is a polynomial.
        let mut n = shifted;
        for i in 0..N {
            n[i] = shifted[i].sub(round);
        }
        let mut r = x;
        for i in 0..N {
            r[i] = r[i].mul_add(n[i], constant(-LN_2_HIGH / factor));
        }
        for i in 0..N {
            r[i] = r[i].mul_add(n[i], constant(-LN_2_LOW / factor));
        }
        let mut power = 1.0;
        for _ in 0..L::Scalar::EXP_SERIES.len() {
            power *= factor;
        }
        let [.., last] = L::Scalar::EXP_SERIES else { unreachable!("a polynomial has a term") };
        let mut series = [constant::<L>(last * power); N];
        for k in (0..L::Scalar::EXP_SERIES.len() - 1).rev() {
            power /= factor;
            for i in 0..N {
                series[i] =
                    constant::<L>(L::Scalar::EXP_SERIES[k] * power).mul_add(series[i], r[i]);
            }
        }
        Power { n: shifted, r, series }
    }
}

/// x within ± `limit`; what is not a number stays what it is.
#[inline(always)]
unsafe fn clip<L: Lanes>(x: L, limit: f64) -> L {
    // SAFETY: the caller's.
    unsafe { constant::<L>(-limit).max(constant::<L>(limit).min(x)) }
}

/// e^(± x); x is first brought within ± `EXP_LIMIT`, where the result is a normal number.
#[inline(always)]
unsafe fn exp_of<L: Lanes>(sign: f64, x: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        let Power { n: [n], r: [r], series: [series] } =
            power(sign, [clip(x, L::Scalar::EXP_LIMIT)]);
        constant::<L>(1.0).mul_add(series, r).times_exp2(n)
    }
}

/// eˣ.
#[inline(always)]
pub(super) unsafe fn exp<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's.
    unsafe { exp_of(1.0, x) }
}

/// ln x of a positive normal x: 2 artanh((m − 1) / (m + 1)) of the mantissa, brought within √½ and √2.
#[inline(always)]
pub(super) unsafe fn ln<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        let one = constant::<L>(1.0);
        let (e, m) = x.exponent_and_mantissa();
        let root = constant::<L>(std::f64::consts::SQRT_2);
        let e = m.if_greater(root, e.add(one), e);
        let m = m.if_greater(root, m.mul(constant(0.5)), m);
        let t = m.sub(one).div(m.add(one));
        let square = t.mul(t);
        let last = 2 * L::Scalar::LN_TERMS + 1;
        let mut sum = constant::<L>(2.0 / last as f64);
        for k in (0..L::Scalar::LN_TERMS).rev() {
            sum = constant::<L>(2.0 / (2 * k + 1) as f64).mul_add(sum, square);
        }
        e.mul(constant(LN_2_LOW)).mul_add(sum, t).mul_add(e, constant(LN_2_HIGH))
    }
}

/// tanh x = (e²ˣ − 1) / (e²ˣ + 1), with e²ˣ − 1 taken as one, so that small x keep their digits.
#[inline(always)]
pub(super) unsafe fn tanh<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        let [tanh] = tanh_of_each([x]);
        tanh
    }
}

/// [`tanh`] of some, a step of all at a time, so that the machine need not look far for work that waits for nothing.
#[inline(always)]
pub(super) unsafe fn tanh_of_each<L: Lanes, const N: usize>(mut x: [L; N]) -> [L; N] {
    // SAFETY: the caller's.
    unsafe {
        for i in 0..N {
            x[i] = clip(x[i], L::Scalar::TANH_LIMIT);
        }
        let Power { n, r, series } = power(2.0, x);
        let one = constant::<L>(1.0);
        for i in 0..N {
            let power = one.times_exp2(n[i]);
            x[i] = power.sub(one).mul_add(power, series[i].mul(r[i]));
        }
        for i in 0..N {
            x[i] = x[i].div(x[i].add(constant(2.0)));
        }
        x
    }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(super) unsafe fn sigmoid<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        let [sigmoid] = sigmoid_of_each([x]);
        sigmoid
    }
}

/// [`sigmoid`] of some, as [`tanh_of_each`].
#[inline(always)]
pub(super) unsafe fn sigmoid_of_each<L: Lanes, const N: usize>(mut x: [L; N]) -> [L; N] {
    // SAFETY: the caller's.
    unsafe {
        for i in 0..N {
            x[i] = clip(x[i], L::Scalar::EXP_LIMIT);
        }
        let Power { n, r, series } = power(-1.0, x);
        let one = constant::<L>(1.0);
        for i in 0..N {
            x[i] = one.mul_add(series[i], r[i]).times_exp2(n[i]);
        }
        for i in 0..N {
            x[i] = one.div(one.add(x[i]));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::LANES;
    use crate::kernels::{InstructionSet, Kernel};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Ln,
        Tanh,
        Sigmoid,
    }

    struct Apply<T>(Function, [T; LANES]);

    impl<T: Real> Kernel<T> for Apply<T> {
        type Output = [T; LANES];

        #[inline(always)]
        unsafe fn run<L: Lanes<Scalar = T>>(self) -> [T; LANES] {
            let mut out = self.1;
            // SAFETY: the arrays have sixteen places.
            unsafe {
                let x = L::load(self.1.as_ptr());
                let y = match self.0 {
                    Function::Exp => exp(x),
                    Function::Ln => ln(x),
                    Function::Tanh => tanh(x),
                    Function::Sigmoid => sigmoid(x),
                };
                y.store(out.as_mut_ptr());
            }
            out
        }
    }

    /// Walks through every `stride`th f32 between two positive ones, and their negatives where `both`.
    fn worst(function: Function, exact: fn(f64) -> f64, from: f32, to: f32, both: bool) -> f64 {
        let mut worst = 0.0f64;
        for bits in (from.to_bits()..to.to_bits()).step_by(16 * 61) {
            for sign in [1.0, -1.0].into_iter().take(1 + usize::from(both)) {
                let x: [f32; LANES] =
                    std::array::from_fn(|i| sign * f32::from_bits(bits + 61 * i as u32));
                let expected = f32::dispatch(InstructionSet::PORTABLE, Apply(function, x));
                for set in InstructionSet::available() {
                    assert_eq!(
                        f32::dispatch(set, Apply(function, x)).map(f32::to_bits),
                        expected.map(f32::to_bits)
                    );
                }
                for (x, y) in x.into_iter().zip(expected) {
                    let exact = exact(f64::from(x));
                    let unit =
                        f64::from((exact as f32).abs().next_up()) - f64::from((exact as f32).abs());
                    worst = worst.max((f64::from(y) - exact).abs() / unit);
                }
            }
        }
        worst
    }

    #[test]
    fn f32_is_within_its_bounds_and_the_same_on_every_instruction_set() {
        let results = [
            (worst(Function::Exp, f64::exp, 1e-6, 86.9, true), 1.5),
            (worst(Function::Ln, f64::ln, 1e-30, 1e30, false), 3.0),
            (worst(Function::Tanh, f64::tanh, 1e-6, 12.0, true), 4.0),
            (worst(Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 1e-6, 80.0, true), 3.0),
        ];
        for (worst, bound) in results {
            assert!(worst < bound, "{worst} units in the last place of {results:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        for function in [Function::Exp, Function::Tanh, Function::Sigmoid] {
            for set in InstructionSet::available() {
                let x = std::array::from_fn(|i| if i % 2 == 0 { f32::NAN } else { -f32::NAN });
                let y = f32::dispatch(set, Apply(function, x));
                assert!(y.iter().all(|y| y.is_nan()), "{y:?} with {set}");
                let y = f64::dispatch(set, Apply(function, [f64::NAN; LANES]));
                assert!(y.iter().all(|y| y.is_nan()), "{y:?} with {set}");
            }
        }
    }

    #[test]
    fn f64_agrees_with_the_system_library() {
        type Exact = fn(f64) -> f64;
        let checks: [(Function, Exact); 4] = [
            (Function::Exp, f64::exp),
            (Function::Tanh, f64::tanh),
            (Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
            (Function::Ln, |x| x.abs().ln()),
        ];
        for (function, exact) in checks {
            let sign = if matches!(function, Function::Ln) { 1.0 } else { -1.0 };
            let x: [f64; LANES] = std::array::from_fn(|i| sign * (0.01 + i as f64 * 0.37));
            for (x, y) in
                x.into_iter().zip(f64::dispatch(InstructionSet::PORTABLE, Apply(function, x)))
            {
                assert!(
                    (y - exact(x)).abs() <= 1e-14 * exact(x).abs().max(1e-2),
                    "{x}: {y} and {}",
                    exact(x)
                );
            }
        }
    }
}
