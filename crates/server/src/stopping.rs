//! How a server is told to stop, and how it goes on for a while after that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::service::Service;

/// Where the word to stop comes from.
pub(crate) enum StopWord {
    /// SIGINT or SIGTERM.
    Signals,
    /// Who started the server.
    Told(oneshot::Receiver<()>),
}

impl StopWord {
    /// Waits for the word, and then as long as the server is to drain; a second signal cuts that short.
    pub(crate) async fn heard(self, service: Arc<Service>) {
        let drain = Duration::from_secs(service.options.drain_seconds);
        match self {
            Self::Signals => {
                let mut signals = Signals::listen();
                signals.next().await;
                begin_to_drain(&service);
                // Either the time is over, or there was another signal.
                timeout(drain, signals.next()).await.ok();
            }
            Self::Told(word) => {
                // An error says that nobody is left to tell it.
                word.await.ok();
                begin_to_drain(&service);
                sleep(drain).await;
            }
        }
    }
}

fn begin_to_drain(service: &Service) {
    service.draining.store(true, Ordering::Relaxed);
    tracing::info!(seconds = service.options.drain_seconds, "draining");
}

/// SIGINT and SIGTERM, from now on.
struct Signals {
    #[cfg(unix)]
    streams: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [("SIGINT", SignalKind::interrupt()), ("SIGTERM", SignalKind::terminate())];
        let listen = |(name, kind)| match signal(kind) {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::warn!(%error, name, "cannot listen for a signal");
                None
            }
        };
        Self { streams: kinds.into_iter().filter_map(listen).collect() }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        use std::task::Poll;
        std::future::poll_fn(|context| {
            let told = self.streams.iter_mut().any(|stream| stream.poll_recv(context).is_ready());
            if told { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "cannot listen for SIGINT");
            std::future::pending::<()>().await;
        }
    }
}
