//! Counts on the command line.

use std::num::{IntErrorKind, NonZeroUsize, ParseIntError};

/// The most threads that one process is given; the protocol would let it have more.
const THREADS: usize = 4096;

/// Reads a number of threads.
pub(crate) fn thread_count(text: &str) -> Result<NonZeroUsize, String> {
    match at_least_one(text)? {
        threads if threads.get() <= THREADS => Ok(threads),
        _ => Err(format!("must be at most {THREADS}")),
    }
}

/// Reads a count of what there must be one of at least.
pub(crate) fn at_least_one(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1",
        _ => "must be a whole number, at least 1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_not_countless() {
        assert_eq!(thread_count("4096").map(NonZeroUsize::get), Ok(4096));
        assert!(thread_count("4097").is_err_and(|error| error.contains("at most 4096")));
        assert!(thread_count("0").is_err());
    }

    #[test]
    fn a_count_is_one_or_more() {
        assert_eq!(at_least_one("12").map(NonZeroUsize::get), Ok(12));
        assert_eq!(at_least_one("0"), Err("must be at least 1"));
        for text in ["-1", "two", "1.5", ""] {
            assert!(
                at_least_one(text).is_err_and(|error| error.contains("whole number")),
                "{text}"
            );
        }
    }
}
