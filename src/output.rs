//! Results on standard output, and what is said beside them on standard error.

use std::io::{ErrorKind, Write as _};

/// Prints `text` and a line's end. A reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Says `text` on standard error. Nobody has to listen: a run goes on where its terminal or its log is gone.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
    struct Tells(std::io::Error);

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
        let error = anyhow::Error::from(Tells(std::io::Error::other("gone")));
        assert_eq!(causes(&error.context("--data")), "--data: file: gone");
        let plain = Err::<(), _>(std::io::Error::other("gone")).context("reading").unwrap_err();
        assert_eq!(causes(&plain), "reading: gone");
    }
}
