//! Results on standard output.

use std::io::{ErrorKind, Write as _};

/// Prints `text` and a line's end. A reader that has seen enough, as `head` has, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
