//! Results on standard output, and what is said beside them on standard error; and how numbers are written there.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, WeakProgressBar};
use lyceum_common::report::Estimate;

/// What is drawn on the terminal just now: what is said goes above it, and not into its line.
static DRAWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Prints `text` and a line's end. A reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Says `text` on standard error. Nobody has to listen: a run goes on where its terminal or its log is gone.
pub(crate) fn tell(text: &str) {
    let _ = above(|| writeln!(io::stderr(), "{text}"));
}

/// Has all that is said from here on stand above `bar`, for as long as there is one.
pub(crate) fn say_above(bar: &ProgressBar) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
}

/// Writes while nothing is drawn.
fn above<T>(write: impl FnOnce() -> T) -> T {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match drawn.and_then(|bar| bar.upgrade()) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Standard error as logs take it.
#[derive(Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// An error and what it comes from, each thing once: some errors' own texts end with their cause's.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
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

/// A mean and the half-width of its interval, where it has one, as [`number`] writes them.
pub(crate) fn estimate(estimate: Estimate) -> String {
    let mean = number(estimate.mean, 5);
    let half_width = estimate.half_width().map(|half| format!(" ± {}", number(half, 2)));
    mean + &half_width.unwrap_or_default()
}

/// So many of something: `1 query`, `2 queries`.
pub(crate) fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[derive(Debug)]
    struct Tells(io::Error);

    impl std::fmt::Display for Tells {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "file: {}", self.0)
        }
    }

    impl std::error::Error for Tells {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::Error::from(Tells(io::Error::other("gone")));
        assert_eq!(causes(&error.context("--data")), "--data: file: gone");
        let plain = Err::<(), _>(io::Error::other("gone")).context("reading").unwrap_err();
        assert_eq!(causes(&plain), "reading: gone");
    }
    #[test]
    fn what_is_said_beside_a_bar_is_written_once() {
        let bar = ProgressBar::hidden();
        say_above(&bar);
        assert_eq!(above(|| 7), 7);
        drop(bar);
        assert_eq!(above(|| 8), 8, "there is none any more");
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
        assert_eq!(counted(1, "query", "queries"), "1 query");
        assert_eq!(counted(19, "query", "queries"), "19 queries");
    }
}
