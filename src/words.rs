//! Numbers as people read them.

/// Which times are told to a tenth of a second.
const SHORT: f64 = 600.0;
/// Decimals of the smallest rate that is told.
const DECIMALS: usize = 6;

/// `1 worker`, or `2 workers`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
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
        let workers = [0, 1, 2].map(|count| counted(count, "worker"));
        assert_eq!(workers, ["0 workers", "1 worker", "2 workers"]);
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
