//! `lyceum config`: a configuration with its defaults, what is off left out; or the presets that there are.

use lyceum_common::config::presets;

use crate::output::print;
use crate::place::Configuration;

/// Columns of a line of the list.
const COLUMNS: usize = 100;

/// Prints the resolved configuration as TOML, below the comment that the preset or the file begins with.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(flatten)]
    configuration: Configuration,
    /// Lists the presets instead, with what each is
    #[arg(long, conflicts_with_all = ["config", "overrides", "data"])]
    list: bool,
}

impl Config {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if self.list {
            return print(&presets::names().map(line).collect::<Vec<_>>().join("\n"));
        }
        let toml = self.configuration.load()?.to_toml();
        match self.configuration.comment()? {
            comment if comment.is_empty() => print(toml.trim_end()),
            comment => print(&format!("{comment}\n\n{}", toml.trim_end())),
        }
    }
}

/// A preset's name, and what it is.
fn line(name: &str) -> String {
    cut(&format!("{name:<32} {}", presets::headline(name).unwrap_or_default()))
}

/// As many of a line's words as there are columns for.
fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    // The last column is the ellipsis's.
    let end = line.char_indices().nth(COLUMNS - 1).map_or(line.len(), |(at, _)| at);
    let words = line[..end].rsplit_once(' ').map_or(&line[..end], |(words, _)| words);
    format!("{}…", words.trim_end_matches([',', ':', '(', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_a_word() {
        assert_eq!(cut("short enough"), "short enough");
        let word = "x".repeat(60);
        assert_eq!(cut(&format!("{word} y, {word}")), format!("{word} y…"));
        let (fits, longer) = ("ä ".repeat(49) + "ää", "ä ".repeat(49) + "äää");
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&longer), format!("{}…", "ä ".repeat(49).trim_end()));
    }

    #[test]
    fn every_preset_has_a_line() {
        for name in presets::names() {
            let line = line(name);
            assert!(line.chars().count() <= COLUMNS && line.starts_with(name), "{line}");
            assert!(line.len() > 50, "{line}");
        }
    }
}
