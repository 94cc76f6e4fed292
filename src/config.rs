//! `lyceum config`: a configuration with its defaults, what is off left out; or the presets that there are.

use lyceum_common::config::presets;

use crate::output::print;
use crate::place::Configuration;

/// Prints the resolved configuration as TOML.
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
            let line = |name| format!("{name:<32} {}", presets::summary(name).unwrap_or_default());
            return print(&presets::names().map(line).collect::<Vec<_>>().join("\n"));
        }
        print(self.configuration.load()?.to_toml().trim_end())
    }
}
