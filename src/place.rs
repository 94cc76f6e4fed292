//! Where things lie: runs, and packs that were prepared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressFinish};
use lyceum_common::config::{RunConfig, presets};
use lyceum_common::pack::Pack;
use lyceum_coordinator::run_folder::RunFolder;

/// How often what shows that something goes on does.
const TURN: Duration = Duration::from_millis(100);

/// Which configuration, and what is changed in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Configuration {
    /// A preset's name, or a TOML file; glyphs-maml where absent
    #[arg(value_name = "CONFIG")]
    config: Option<String>,
    /// Overrides a key, as in `--set learner.maml.inner_rate=0.1`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The folder that the data set lies in
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Configuration {
    /// The resolved configuration, checked. Its data lies at absolute paths.
    pub(crate) fn load(&self) -> anyhow::Result<RunConfig> {
        let name = self.name();
        let mut config = lyceum_common::config::load(name, &self.overrides)?;
        if let Some(folder) = &self.data {
            config.data.set_folder(folder.clone()).context("--data")?;
        }
        // What is written into a run's folder is read from other folders too.
        config.make_absolute().context("the current folder")?;
        config.validate().with_context(|| format!("configuration {name}"))?;
        Ok(config)
    }

    /// What was asked for: a preset, or a file.
    fn name(&self) -> &str {
        self.config.as_deref().unwrap_or(presets::DEFAULT)
    }

    /// Refuses what would change a run that is to go on.
    pub(crate) fn check_beside(&self, resume: Option<&Path>, runs: &Path) -> anyhow::Result<()> {
        let changes = [
            ("configuration", self.config.is_some()),
            ("--set", !self.overrides.is_empty()),
            ("--data", self.data.is_some()),
        ];
        let given = changes.iter().find(|(_, is_given)| *is_given);
        let (Some(run), Some((given, _))) = (resume, given) else { return Ok(()) };
        let file = run_path(runs, run)?.join("config.toml");
        bail!(
            "--resume goes on with what the run began with, and takes no {given}; what no bit depends on may be changed in {}: [farm], [[published]], training.report_every, training.checkpoint_every, and where its data and a first model lie; training.meta_steps may be raised where the rate does not depend on them",
            file.display()
        )
    }

    /// The comment that it begins with, where it has one.
    pub(crate) fn comment(&self) -> anyhow::Result<String> {
        Ok(lyceum_common::config::comment(self.name())?)
    }
}

/// Where runs' folders and prepared data go.
#[derive(Debug, clap::Args)]
pub(crate) struct Places {
    /// Where runs' folders go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    #[command(flatten)]
    pub(crate) cache: Cache,
}

/// Where prepared data goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Cache {
    /// Where prepared data is kept; `lyceum` in the user's cache folder where absent
    #[arg(long, value_name = "DIR", env = "LYCEUM_CACHE")]
    cache: Option<PathBuf>,
}

impl Cache {
    /// The folder: as given, or in the user's cache folder, or in the system's temporary one.
    pub(crate) fn folder(&self) -> PathBuf {
        let users = || {
            let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            set.or_else(|| Some(std::env::home_dir()?.join(".cache")))
                .unwrap_or_else(std::env::temp_dir)
        };
        self.cache.clone().unwrap_or_else(|| users().join("lyceum"))
    }

    /// The data pack of a run; none where its episodes are made up on the way.
    pub(crate) fn pack(&self, config: &RunConfig) -> anyhow::Result<Option<std::sync::Arc<Pack>>> {
        // Tens of thousands of images take a minute; what was prepared already, no time.
        let text = format!("preparing the data ({})", config.data.kind());
        let spinner = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
        crate::output::say_above(&spinner);
        spinner.set_message(text);
        spinner.enable_steady_tick(TURN);
        Ok(lyceum_common::data::prepare(&config.data, &self.folder())?)
    }
}

/// The folder of a run: a path, or a name below `runs`.
pub(crate) fn open_run(runs: &Path, run: &Path) -> anyhow::Result<(RunFolder, RunConfig)> {
    let folder = RunFolder::open(run_path(runs, run)?)?;
    let file = folder.path().join("config.toml").display().to_string();
    let config = lyceum_common::config::parse(&file, folder.config(), &[])?;
    Ok((folder, config))
}

/// Where a run is: a folder of this name that is another's hides none below `runs`.
fn run_path(runs: &Path, run: &Path) -> anyhow::Result<PathBuf> {
    let is_run = |path: &PathBuf| path.join("config.toml").is_file();
    let found = [run.to_owned(), runs.join(run)].into_iter().find(is_run);
    found.with_context(|| {
        let (run, below, is_folder) = (run.display(), runs.display(), run.is_dir());
        if is_folder {
            format!("{run} is not a run's folder, and there is none of that name below {below}")
        } else {
            format!("no run {run} here, nor below {below}")
        }
    })
}
