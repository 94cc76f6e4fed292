//! Counts on the command line.

use std::num::{IntErrorKind, NonZeroUsize, ParseIntError};

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
