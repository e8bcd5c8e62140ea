//! The thread beside the requests: it loads the live bundle and follows it, reads keys and certificates again when their
//! files change, and asks how tasks stand.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use cinedex_recommender::{Followed, RecommendError};

use crate::ServerError;
use crate::service::Service;
use crate::tls::Certificate;

/// How often everything is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// The thread.
pub(crate) struct Follower {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Follower {
    pub(crate) fn start(
        service: Arc<Service>,
        certificate: Option<Arc<Certificate>>,
    ) -> Result<Self, ServerError> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("follow-current".to_owned())
            .spawn(move || follow(&service, certificate.as_deref(), &stopped))
            .map_err(|source| ServerError::Thread { name: "follow-current", source })?;
        Ok(Self { stop, thread })
    }

    pub(crate) fn stop(self) {
        self.stop.send(()).ok();
        self.thread.join().ok();
    }
}

impl Service {
    /// Loads the bundle that `CURRENT` names, unless it is live already.
    pub(crate) fn follow(&self) -> Result<Followed, RecommendError> {
        let followed = self.engine.follow_current()?;
        if let Followed::LastGood { refused } = &followed {
            let error = full_message(refused);
            tracing::error!(error, "the current index is unusable, the last good one is live");
        }
        if let Followed::Swapped | Followed::LastGood { .. } = followed {
            self.metrics.swaps.inc();
            announce(self);
        }
        Ok(followed)
    }
}

fn follow(service: &Service, certificate: Option<&Certificate>, stopped: &Receiver<()>) {
    // An engine that came with a snapshot is announced, too.
    announce(service);
    let mut last_failure = String::new();
    loop {
        if let Some(error) = news(&mut last_failure, &service.follow()) {
            tracing::error!(error, "cannot follow the current index");
        }
        service.replay();
        match service.access.keys.refresh() {
            Ok(false) => {}
            Ok(true) => tracing::info!(keys = service.access.keys.len(), "keys were read"),
            Err(error) => tracing::error!(%error, "cannot read the keys, they stay as they were"),
        }
        match certificate.map(Certificate::refresh) {
            None | Some(Ok(false)) => {}
            Some(Ok(true)) => tracing::info!("the certificate was read"),
            Some(Err((path, error))) => {
                let path = path.display();
                tracing::error!(%path, error, "cannot read the certificate, it stays as it was");
            }
        }
        if let Some(operations) = &service.operations {
            service.metrics.set_tasks(operations.tasks().iter().map(|task| task.status));
        }
        match stopped.recv_timeout(FOLLOW_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The failure, if it is to be logged: not the same one each time that it is met, but once more after it was over.
fn news(last_failure: &mut String, followed: &Result<Followed, RecommendError>) -> Option<String> {
    let Err(error) = followed else {
        last_failure.clear();
        return None;
    };
    let error = full_message(error);
    if error == *last_failure {
        return None;
    }
    last_failure.clone_from(&error);
    Some(error)
}

fn announce(service: &Service) {
    if let Ok(snapshot) = service.engine.snapshot() {
        let created = snapshot.bundle().manifest().created.parse::<jiff::Timestamp>();
        let created = created.map_or(0, jiff::Timestamp::as_second);
        service.metrics.set_bundle(snapshot.version(), snapshot.movie_count(), created);
        tracing::info!(version = snapshot.version(), movies = snapshot.movie_count(), "index is live");
    }
}

/// An error with all its causes.
fn full_message(error: &RecommendError) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_once_while_it_lasts_and_again_when_it_recurs() {
        let mut last_failure = String::new();
        let mut check = |followed: Result<Followed, RecommendError>, expect: bool| {
            assert_eq!(news(&mut last_failure, &followed).is_some(), expect, "{followed:?}");
        };
        let unknown = || RecommendError::UnknownMovie { movie_id: "1".to_owned() };
        check(Ok(Followed::Unchanged), false);
        check(Err(RecommendError::NotReady), true);
        check(Err(RecommendError::NotReady), false);
        check(Err(unknown()), true);
        check(Err(RecommendError::NotReady), true);
        check(Ok(Followed::Unchanged), false);
        check(Err(RecommendError::NotReady), true);
        check(Ok(Followed::Swapped), false);
        check(Err(RecommendError::NotReady), true);
        check(Ok(Followed::LastGood { refused: unknown() }), false);
        check(Err(RecommendError::NotReady), true);
    }
}
