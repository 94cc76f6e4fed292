//! A coordinator's address on the command line, and the connection to it.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use lyceum_common::wire;
use tonic::Status;
use tonic::transport::Channel;

/// Which coordinator to ask, and how long to wait for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Dial {
    /// A coordinator's address, as host:port, http://host:port or unix:/path/of/its/socket
    pub(crate) address: String,
    /// How long to wait for an answer, in seconds
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub(crate) timeout: f64,
}

impl Dial {
    /// Connects; every call on the connection may take as long as the connecting itself.
    ///
    /// # Errors
    /// Where the address is none, or nothing answers in time.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let Self { address, timeout } = self;
        let timeout = Duration::try_from_secs_f64(*timeout)
            .with_context(|| format!("--timeout {timeout}"))?;
        let endpoint = wire::endpoint(address)
            .with_context(|| format!("{address} is no address"))?
            .connect_timeout(timeout)
            .timeout(timeout);
        endpoint.connect().await.with_context(|| format!("nothing answers at {address}"))
    }

    /// What to say of a call that failed; `silence` is what the coordinator does not do then, as in "does not say".
    pub(crate) fn failed(&self, silence: &str, status: &Status) -> anyhow::Error {
        let Self { address, timeout } = self;
        if wire::is_stranger(status) {
            return anyhow!("{address} answers, but is no Lyceum coordinator");
        }
        let problem = if wire::is_late(status) {
            format!(
                "no answer within {timeout} seconds; it may still be preparing its data, and --timeout waits longer"
            )
        } else {
            wire::words(status)
        };
        anyhow!(problem).context(format!("{address} {silence}"))
    }
}
