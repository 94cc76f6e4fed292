//! `lyceum coordinator`: holds a run, and waits for workers.

use std::path::PathBuf;

use lyceum_coordinator::server::Listener;
use tokio::task::block_in_place;

use crate::output::tell;
use crate::place::{Configuration, Places};
use crate::serve::Job;
use crate::signals;

/// Holds a run and farms its episodes to workers that dial in.
#[derive(Debug, clap::Args)]
pub(crate) struct Coordinator {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    places: Places,
    /// The address to listen on, as host:port (port 0 takes a free one) or unix:/path/of/a/socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    listen: String,
    /// Goes on with a run: its folder, or its name below --runs
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "overrides", "data"])]
    resume: Option<PathBuf>,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Coordinator {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = signals::shutdown()?;
        let listener = Listener::bind(&self.listen).await?;
        let resume = self.resume.as_deref();
        let job = block_in_place(|| Job::new(&self.configuration, &self.places, resume))?;
        tell(&format!("listening on {listener}"));
        job.serve(listener, shutdown, self.json).await
    }
}
