//! Numbers as people read them.

use std::fmt::Display;

use lyceum_common::config::Shape;
use lyceum_common::report::Estimate;

/// Which times are told to a tenth of a second.
const SHORT: f64 = 600.0;
/// From which on a loss is told with its power of ten.
const HUGE: f64 = 1e7;
/// Decimals of the smallest rate that is told.
const DECIMALS: usize = 6;

/// So many of something: `1 query`, `2 queries`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(
    count: N,
    one: &str,
    more: &str,
) -> String {
    let what = if count == N::from(1) { one } else { more };
    format!("{count} {what}")
}

/// The shape of an example: `28 × 28, grey`.
pub(crate) fn shape(shape: Shape) -> String {
    match shape {
        Shape::Image { height, width, channels: 1 } => format!("{height} × {width}, grey"),
        Shape::Image { height, width, .. } => format!("{height} × {width}, in colour"),
        Shape::Vector { length } => counted(length, "number", "numbers"),
    }
}

/// A number to so many significant digits: plain from 0.0001 to 99,999, and beyond that with its power of ten.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let behind_first = digits.saturating_sub(1);
    let scientific = format!("{value:.behind_first$e}");
    // Of what is no number there is no power of ten.
    let power = scientific.rsplit_once('e').and_then(|(_, power)| power.parse::<i32>().ok());
    match power {
        Some(power @ -4..=4) => {
            let before_point = usize::try_from(power).unwrap_or(0);
            let zeros = usize::try_from(-power).unwrap_or(0);
            format!("{value:.*}", behind_first.saturating_sub(before_point) + zeros)
        }
        _ => scientific,
    }
}

/// A loss to four decimals; one that is huge with its power of ten.
pub(crate) fn loss(value: f64) -> String {
    if value.abs() < HUGE || !value.is_finite() {
        format!("{value:.4}")
    } else {
        format!("{value:.4e}")
    }
}

/// A mean and the half-width of its interval, where it has one, as [`number`] writes them.
pub(crate) fn estimate(estimate: Estimate) -> String {
    let mean = number(estimate.mean, 5);
    let half_width = estimate.half_width().map(|half| format!(" ± {}", number(half, 2)));
    mean + &half_width.unwrap_or_default()
}

/// About how long something takes: `45 s`, `3 min`, `1 h 12 min`, `2 d 3 h`.
pub(crate) fn duration(seconds: f64) -> String {
    // What is below zero is zero, and what is too large the largest.
    let whole = seconds.round() as u64;
    if whole < 60 {
        return format!("{whole} s");
    }
    let minutes = whole.saturating_add(30) / 60;
    if minutes < 60 {
        return format!("{minutes} min");
    }
    if minutes < 24 * 60 {
        return two(minutes / 60, "h", minutes % 60, "min");
    }
    let hours = (minutes + 30) / 60;
    two(hours / 24, "d", hours % 24, "h")
}

/// How long something took: as [`duration`], but for what is short.
pub(crate) fn elapsed(seconds: f64) -> String {
    if seconds < SHORT { format!("{seconds:.1} s") } else { duration(seconds) }
}

/// So many a second: whole numbers from ten on, two digits below.
pub(crate) fn rate(rate: f64) -> String {
    let (mut decimals, mut tens) = (0, rate);
    while tens < 9.95 && decimals < DECIMALS {
        (decimals, tens) = (decimals + 1, 10.0 * tens);
    }
    if decimals < DECIMALS { format!("{rate:.decimals$}") } else { "0".to_owned() }
}

/// A number of large units, and of small ones where there are any.
fn two(large: u64, unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {unit}")
    } else {
        format!("{large} {unit} {small} {small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let queries = [0_u64, 1, 2].map(|count| counted(count, "query", "queries"));
        assert_eq!(queries, ["0 queries", "1 query", "2 queries"]);
    }

    #[test]
    fn numbers_are_plain_where_they_fit() {
        for (value, digits, expected) in [
            (58.706, 5, "58.706"),
            (33.4, 2, "33"),
            (0.029, 2, "0.029"),
            (1.0, 3, "1.00"),
            (0.119, 3, "0.119"),
            (0.0001, 2, "0.00010"),
            (0.000_012, 2, "1.2e-5"),
            (99_999.0, 5, "99999"),
            (12_345.6, 2, "12346"),
            (123_456.0, 3, "1.23e5"),
            // Rounding makes it longer by a digit.
            (9.999_96, 5, "10.000"),
            (99_999.9, 5, "1.0000e5"),
            (-0.5, 2, "-0.50"),
            (0.0, 3, "0"),
            (f64::INFINITY, 3, "inf"),
            (f64::NAN, 3, "NaN"),
        ] {
            assert_eq!(number(value, digits), expected, "{value} to {digits} digits");
        }
        assert_eq!(estimate(Estimate { mean: 58.706, interval: 33.0 }), "58.706 ± 33");
        assert_eq!(estimate(Estimate { mean: f64::INFINITY, interval: f64::NAN }), "inf");
    }

    #[test]
    fn a_loss_has_four_decimals_unless_it_is_huge() {
        let losses = [0.123_456, -12_345.0, 8e307, f64::INFINITY, f64::NAN].map(loss);
        assert_eq!(losses, ["0.1235", "-12345.0000", "8.0000e307", "inf", "NaN"]);
    }

    #[test]
    fn durations_have_the_units_that_tell() {
        for (seconds, text) in [
            (-1.0, "0 s"),
            (0.4, "0 s"),
            (45.0, "45 s"),
            (59.6, "1 min"),
            (89.0, "1 min"),
            (200.0, "3 min"),
            (3599.0, "1 h"),
            (4320.0, "1 h 12 min"),
            (86_399.0, "1 d"),
            (183_600.0, "2 d 3 h"),
            (f64::NAN, "0 s"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
        assert!(duration(f64::INFINITY).contains(" d "));
        assert_eq!([26.34, 599.0, 1583.0].map(elapsed), ["26.3 s", "599.0 s", "26 min"]);
    }

    #[test]
    fn rates_below_ten_have_two_digits() {
        for (per_second, text) in [
            (152.4, "152"),
            (9.96, "10"),
            (9.94, "9.9"),
            (0.996, "1.0"),
            (0.314, "0.31"),
            (0.0042, "0.0042"),
            (1e-9, "0"),
            (0.0, "0"),
        ] {
            assert_eq!(rate(per_second), text, "{per_second}");
        }
    }
}
