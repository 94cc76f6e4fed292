//! `lyceum episodes`: freezes the episodes that a run would be evaluated on.

use std::path::PathBuf;

use crate::episode_choice::EpisodeChoice;
use crate::output::print;
use crate::place::Places;
use crate::trained::Trained;

/// Draws the episodes that `lyceum evaluate` would, and writes them as a list, so that others are judged by the very same.
///
/// The file is JSON, and is called by its BLAKE3 digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Episodes {
    /// The run's folder, or its name below --runs
    run: PathBuf,
    #[command(flatten)]
    choice: EpisodeChoice,
    /// The folder that the list goes into
    #[arg(long, value_name = "DIR", default_value = "episodes")]
    out: PathBuf,
    /// The folder that the data set lies in, where it is another one than in training
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

impl Episodes {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.choice.check()?;
        let mut config = Trained::open(&self.places, &self.run, self.data.as_deref())?.config;
        if let Some(list) = &self.choice.episodes_file {
            anyhow::bail!("--episodes-file: {} is a list already", list.display());
        }
        self.choice.resize(&mut config)?;
        config.validate_evaluation()?;
        let list = self.choice.list(&config, self.places.cache.pack(&config)?)?;
        print(&list.write(&self.out)?.display().to_string())
    }
}
