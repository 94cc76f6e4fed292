//! `lyceum coordinator`: holds a run, and waits for workers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use lyceum_common::wire::DEFAULT_PORT;
use lyceum_coordinator::server::Listener;
use tokio::task::block_in_place;

use crate::finished::print_if_over;
use crate::output::tell;
use crate::place::{Configuration, Places};
use crate::serve::{Job, STATUSES, STOPPING, Serving};
use crate::signals::Shutdown;

/// Holds a run and farms its episodes to workers that dial in.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUSES)]
pub(crate) struct Coordinator {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    places: Places,
    /// The address to listen on, as host:port (port 0 takes a free one) or unix:/path/of/a/socket
    #[arg(long, value_name = "ADDR", default_value_t = format!("127.0.0.1:{DEFAULT_PORT}"))]
    listen: String,
    /// Goes on with a run: its folder, or its name below --runs
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Ends with one JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

impl Coordinator {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let resume = self.resume.as_deref();
        self.configuration.check_beside(resume, &self.places.runs)?;
        let shutdown = Shutdown::at_signal(STOPPING)?;
        if let Some(run) = resume
            && block_in_place(|| print_if_over(&self.places, run, self.json))?
        {
            return Ok(ExitCode::SUCCESS);
        }
        let listener = Listener::bind(&self.listen).await?;
        let job = block_in_place(|| Job::new(&self.configuration, &self.places, resume))?;
        tell(&format!("listening on {listener}"));
        let dialled = dialled(listener.address());
        tell(&format!("waiting for workers: lyceum worker --coordinator {dialled}"));
        let (stop, json) = (shutdown.token().clone(), self.json);
        let resume = format!("lyceum coordinator --listen {} --resume", self.listen);
        let served = job.serve(listener, Serving { stop, resume, json }).await?;
        Ok(served.status(&shutdown))
    }
}

/// What a worker dials: of a coordinator that listens on all of its host's addresses, any of them.
fn dialled(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(socket) if socket.ip().is_unspecified() => format!("HOST:{}", socket.port()),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_workers_dial_it() {
        for (address, expected) in [
            ("127.0.0.1:7700", "127.0.0.1:7700"),
            ("0.0.0.0:7700", "HOST:7700"),
            ("[::]:7700", "HOST:7700"),
            ("unix:/run/lyceum.sock", "unix:/run/lyceum.sock"),
        ] {
            assert_eq!(dialled(address), expected);
        }
    }
}
