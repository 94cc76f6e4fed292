//! What is logged: on standard error, as much as `LYCEUM_LOG` asks for.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::output;

/// The variable with the levels.
const VARIABLE: &str = "LYCEUM_LOG";

/// Begins to log warnings and errors, or what `LYCEUM_LOG` says, in colours where a terminal shows them.
pub(crate) fn begin() -> anyhow::Result<()> {
    let filter = match std::env::var_os(VARIABLE) {
        Some(value) => filter(&value.to_string_lossy()).context(VARIABLE)?,
        None => EnvFilter::new("warn"),
    };
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| output::Log)
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        // It would say so on standard error, and panic where that is gone.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// A level, or levels of modules. A word by itself would be a module with all there is of it: more likely it is a level that
/// there is not.
fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    let words = text.split(',').map(str::trim);
    for word in words.filter(|word| !word.contains(['=', '[', ':']) && !word.starts_with("lyceum"))
    {
        if word.parse::<LevelFilter>().is_err() {
            anyhow::bail!(
                "`{word}` is no level: there are off, error, warn, info, debug and trace, and `{word}=debug` for a module's"
            );
        }
    }
    EnvFilter::try_new(text).with_context(|| format!("`{text}` is no list of levels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_is_refused() {
        for text in
            ["", "info", "info,", "warn,lyceum_worker=debug", "h2=off, debug", "lyceum_coordinator"]
        {
            filter(text).unwrap();
        }
        for (text, culprit) in [("verbose", "`verbose` is no level"), ("h2=loud", "`h2=loud`")] {
            let error = format!("{:#}", filter(text).unwrap_err());
            assert!(error.contains(culprit), "{error}");
        }
    }
}
