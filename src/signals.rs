//! Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::output::tell;

/// SIGINT's number: Ctrl-C.
const INTERRUPT: u8 = 2;
/// SIGTERM's number.
#[cfg(unix)]
const TERMINATE: u8 = 15;

/// The end of a process that a signal asks for.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    token: CancellationToken,
    /// The first signal.
    signal: Arc<OnceLock<u8>>,
}

impl Shutdown {
    /// Waits for the first signal, and says `what` is done about it.
    pub(crate) fn at_signal(what: &'static str) -> anyhow::Result<Self> {
        let shutdown = Self { token: CancellationToken::new(), signal: Arc::default() };
        let told = shutdown.clone();
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            let first = signals.next().await;
            // It is the first.
            let _ = told.signal.set(first);
            tell(&format!("{what}; once more to end at once"));
            told.token.cancel();
            let second = signals.next().await;
            std::process::exit(i32::from(status(second)));
        });
        Ok(shutdown)
    }

    /// The token that the first signal cancels.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// What a process ends with that has stopped: as shells have it where a signal asked for it, and success where somebody
    /// did in another way, who is not to see it begin anew.
    pub(crate) fn status(&self) -> ExitCode {
        self.signal.get().map_or(ExitCode::SUCCESS, |signal| ExitCode::from(status(*signal)))
    }
}

/// The status of a process that a signal ended.
fn status(signal: u8) -> u8 {
    128 + signal
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next signal.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        // Where the handler cannot be installed, Ctrl-C ends the process as it always does.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_shells() {
        assert_eq!([INTERRUPT, TERMINATE].map(status), [130, 143]);
    }
}
