//! Results on standard output, and what is said beside them on standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, WeakProgressBar};

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
}
