//! `lyceum health ADDRESS`: asks the standard gRPC health service, for containers, scripts and orchestrators.

use anyhow::bail;
use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::dial::Dial;
use crate::output::print;

/// Exits with status 0 where the server at ADDRESS says that it serves, else with 1.
#[derive(Args, Debug)]
pub(crate) struct Health {
    #[command(flatten)]
    server: Dial,
    /// The gRPC service to ask about; the server as a whole where left out
    #[arg(long, default_value = "")]
    service: String,
}

impl Health {
    /// Asks once, and prints `serving`.
    ///
    /// # Errors
    /// Where the address is none, nothing answers in time, or the answer is another than "serving".
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { server, service } = self;
        let channel = server.connect().await?;
        let answer = HealthClient::new(channel).check(HealthCheckRequest { service }).await;
        let answer = answer.map_err(|status| server.failed("does not tell its health", &status))?;
        match answer.into_inner().status() {
            ServingStatus::Serving => print("serving"),
            other => bail!("{} says {}", server.address, other.as_str_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic_health::ServingStatus;

    use super::{Dial, Health};

    fn of(address: String, service: &str) -> Health {
        Health { server: Dial { address, timeout: 10.0 }, service: service.to_owned() }
    }

    #[tokio::test]
    async fn tells_serving_from_not_serving_and_from_silence() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("asleep", ServingStatus::NotServing).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                    drop(stopped.await)
                }),
        );

        of(address.clone(), "").run().await?;
        of(format!("http://{address}"), "").run().await?;
        let asleep = of(address.clone(), "asleep").run().await.map_err(|error| error.to_string());
        assert_eq!(asleep, Err(format!("{address} says NOT_SERVING")));
        let unknown = of(address.clone(), "unknown").run().await.map_err(|error| error.to_string());
        assert_eq!(unknown, Err(format!("{address} does not tell its health")));

        drop(stop);
        server.await??;
        let silent = of(address.clone(), "").run().await.map_err(|error| error.to_string());
        assert_eq!(silent, Err(format!("nothing answers at {address}")));
        Ok(())
    }
}
