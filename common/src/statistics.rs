//! Student's t: the paired test of two samples, and the interval of a mean over few values.

use crate::report::Estimate;

/// The paired, two-sided t-test of two samples a and b of the same episodes (Student 1908): whether the mean of
/// dᵢ = aᵢ − bᵢ is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// The mean of d, and the half-width of its 95 % interval by Student's t.
    pub difference: Estimate,
    /// t = mean(d) / (s / √n), with s the standard deviation of d taken with n − 1; infinite where all d are the same
    /// and not zero, and zero where they are.
    pub t: f64,
    /// n − 1.
    pub degrees_of_freedom: u64,
    /// The probability of a |t| as large as this one, were the mean zero.
    pub p: f64,
}

impl PairedTest {
    /// The test of a − b. None for fewer than two pairs, samples of unequal length, and where a value is infinite or no number.
    #[must_use]
    pub fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.len() != b.len() {
            return None;
        }
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let (mean, error) = mean_and_error(&differences)?;
        if !(mean.is_finite() && error.is_finite()) {
            return None;
        }
        let degrees_of_freedom = differences.len() as u64 - 1;
        let t = if mean == 0.0 { 0.0 } else { mean / error };
        Some(Self {
            difference: Estimate { mean, interval: bound(degrees_of_freedom) * error },
            t,
            degrees_of_freedom,
            p: beyond(t, degrees_of_freedom),
        })
    }
}

/// The mean of a few values, with the half-width of its 95 % interval by Student's t. None for fewer than two.
#[must_use]
pub fn mean_of_few(values: &[f64]) -> Option<Estimate> {
    let (mean, error) = mean_and_error(values)?;
    Some(Estimate { mean, interval: bound(values.len() as u64 - 1) * error })
}

/// The probability that |T| is above |t|, for Student's T with so many degrees of freedom: I(ν / (ν + t²); ν/2, 1/2).
fn beyond(t: f64, degrees_of_freedom: u64) -> f64 {
    let nu = degrees_of_freedom as f64;
    let x = if t.is_finite() { nu / (nu + t * t) } else { 0.0 };
    incomplete_beta(x, nu / 2.0, 0.5)
}

/// The bound that |T| is above with a probability of 5 %, by bisection.
fn bound(degrees_of_freedom: u64) -> f64 {
    let (mut low, mut high) = (1.0, 13.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if beyond(middle, degrees_of_freedom) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The regularised incomplete beta function I(x; a, b), by its continued fraction (Abramowitz and Stegun 26.5.8), from the
/// side on which that converges fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - beta) / a;
    // Lentz's recursion: c and d are the ratios of successive numerators and denominators. It takes about √max(a, b) terms.
    let (mut c, mut d) = (1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for coefficient in [even, odd] {
            d = 1.0 / (1.0 + coefficient * d);
            c = 1.0 + coefficient / c;
            fraction *= c * d;
        }
        if (fraction - before).abs() <= 1e-15 * fraction.abs() {
            break;
        }
    }
    front * fraction
}

/// The mean, and its standard error with n − 1; the squares are those of deviations, so that values that are all the same
/// have none.
fn mean_and_error(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    Some((mean, (squares / (n - 1.0) / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Student's own example (1908, section IX): the hours of sleep that two drugs gave ten patients; t = 4.06.
    #[test]
    fn the_test_is_students() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let test = PairedTest::of(&second, &first).unwrap();
        assert!((test.difference.mean - 1.58).abs() < 1e-12);
        assert!((test.t - 4.0621).abs() < 1e-4, "{test:?}");
        assert_eq!(test.degrees_of_freedom, 9);
        assert!((test.p - 0.002_833).abs() < 1e-6, "{test:?}");
        // 2.262 is the table's value for nine degrees of freedom.
        assert!((test.difference.interval - 2.2622 * 1.58 / test.t).abs() < 1e-4);
    }

    /// The two-sided 5 % points of the tables, and tails that have a closed form: with one degree of freedom the
    /// distribution is Cauchy's, with two p = 1 − t / √(2 + t²).
    #[test]
    fn bounds_and_tails_are_those_of_the_tables() {
        for (degrees_of_freedom, expected) in [
            (1, 12.7062),
            (2, 4.302_65),
            (9, 2.262_16),
            (19, 2.093_02),
            (120, 1.979_93),
            (1_000_000, 1.959_97),
        ] {
            let bound = bound(degrees_of_freedom);
            assert!((bound - expected).abs() < 1e-4, "{degrees_of_freedom}: {bound}");
        }
        for t in [0.01_f64, 0.5, 1.0, 3.0, 40.0] {
            let cauchy = 1.0 - 2.0 / std::f64::consts::PI * t.atan();
            assert!((beyond(t, 1) - cauchy).abs() < 1e-12, "{t}");
            assert!((beyond(t, 2) - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-12, "{t}");
        }
        // Far out nothing cancels: with two degrees of freedom p is about 1 / t².
        assert!((beyond(1e8, 2) * 1e16 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn equal_samples_differ_by_nothing_and_a_constant_is_certain() {
        let test = PairedTest::of(&[0.5, 0.7, 0.9], &[0.5, 0.7, 0.9]).unwrap();
        assert_eq!((test.t, test.p, test.difference.mean), (0.0, 1.0, 0.0));
        let test = PairedTest::of(&[1.0, 1.0], &[0.5, 0.5]).unwrap();
        assert_eq!((test.t, test.p), (f64::INFINITY, 0.0));
        assert_eq!(PairedTest::of(&[1.0], &[0.5]), None);
        assert_eq!(PairedTest::of(&[1.0, 2.0], &[0.5]), None);
        for diverged in [f64::NAN, f64::INFINITY, f64::MAX] {
            assert_eq!(PairedTest::of(&[diverged, 2.0], &[0.5, -f64::MAX]), None, "{diverged}");
        }
    }

    #[test]
    fn few_values_have_a_wider_interval_than_the_normal_distributions() {
        let values: Vec<_> = (0..20).map(f64::from).collect();
        let estimate = mean_of_few(&values).unwrap();
        assert_eq!(estimate.mean, 9.5);
        assert!((estimate.interval - 2.0930 * (35.0_f64 / 20.0).sqrt()).abs() < 1e-3);
        assert_eq!(mean_of_few(&[1.0]), None);
    }
}
