//! `lyceum config`: a configuration with its defaults; what is off is left out.

use crate::output::print;
use crate::place::Configuration;

/// Prints the resolved configuration as TOML.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(flatten)]
    configuration: Configuration,
}

impl Config {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        print(self.configuration.load()?.to_toml().trim_end())
    }
}
