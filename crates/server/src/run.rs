//! The server's life: listening at once, following the live bundle beside it, and stopping so that what is in flight is
//! answered.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{App, HttpServer, rt, web};
use cinedex_recommender::{Followed, RecommendError};
use tokio::sync::oneshot;

use crate::service::{Parts, Service, handle};
use crate::{ServerError, ServerOptions};

/// How often the pointer to the live bundle is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Serves until the process is told to end (SIGINT or SIGTERM), then lets requests in flight end and returns. It listens at
/// once; an engine that is still empty is loaded beside, and until then data routes answer `not_ready`. `on_ready` hears the
/// address that is listened on. With a `log`, whose sink is the engine's `hear`, what happens is taken; nothing is answered before the
/// engine has heard what it had. Without one, what would change something is refused.
pub fn serve(
    parts: impl Into<Parts>,
    options: &ServerOptions,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    run(parts.into(), options, on_ready, Box::pin(told_to_end()))
}

/// Starts a server on a thread of its own, for embedding and for tests. It listens when this returns.
pub fn start(parts: impl Into<Parts>, options: &ServerOptions) -> Result<RunningServer, ServerError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, address) = channel();
    let (parts, options) = (parts.into(), options.clone());
    let announce = move |address| {
        // An error says that nobody waits any more.
        ready.send(address).ok();
    };
    let body = move || {
        let stopped = Box::pin(async move {
            stopped.await.ok();
        });
        run(parts, &options, announce, stopped)
    };
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(body)
        .map_err(|source| ServerError::Thread { name: "server", source })?;
    match address.recv() {
        Ok(address) => Ok(RunningServer { address, stop: Some(stop), thread: Some(thread) }),
        // It ended before it listened, and says why.
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Err(ServerError::Ended),
        },
    }
}

/// A server that runs beside the caller. Dropping it stops it.
pub struct RunningServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl RunningServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets requests in flight end, and returns when the server has.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), ServerError> {
        if let Some(stop) = self.stop.take() {
            // An error says that it has ended already.
            stop.send(()).ok();
        }
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(ServerError::Ended),
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.finish().ok();
    }
}

type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

fn run(
    parts: Parts,
    options: &ServerOptions,
    on_ready: impl FnOnce(SocketAddr),
    stop: Stop,
) -> Result<(), ServerError> {
    options.validate()?;
    let service = Service::new(parts, options)
        .map_err(|source| ServerError::Thread { name: "compute", source })
        .map(Arc::new)?;
    let follower = Follower::start(Arc::clone(&service))?;
    let data = Data::from(Arc::clone(&service));
    let result = rt::System::new().block_on(async move {
        let factory = move || App::new().app_data(data.clone()).default_service(web::to(handle));
        let bind_failed = |source| ServerError::Bind { bind: options.bind, source };
        let server = HttpServer::new(factory)
            .workers(options.workers)
            .max_connections(options.connections)
            .keep_alive(Duration::from_secs(options.keep_alive_seconds))
            .client_request_timeout(Duration::from_secs(5))
            .client_disconnect_timeout(Duration::from_secs(1))
            .shutdown_timeout(options.shutdown_seconds)
            .shutdown_signal(stop)
            .bind(options.bind)
            .map_err(bind_failed)?;
        let address = server.addrs().first().copied().unwrap_or(options.bind);
        let running = server.run();
        tracing::info!(%address, "listening");
        on_ready(address);
        running.await.map_err(|source| ServerError::Run { source })
    });
    follower.stop();
    tracing::info!("stopped");
    result
}

/// Waits for SIGINT or SIGTERM.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                let interrupt = tokio::signal::ctrl_c();
                let mut interrupt = std::pin::pin!(interrupt);
                std::future::poll_fn(|context| {
                    let told = terminate.poll_recv(context).is_ready()
                        || interrupt.as_mut().poll(context).is_ready();
                    if told { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                })
                .await;
                return;
            }
            Err(error) => tracing::warn!(%error, "cannot listen for SIGTERM"),
        }
    }
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "cannot listen for SIGINT");
        std::future::pending::<()>().await;
    }
}

/// The thread that loads the live bundle and follows it.
struct Follower {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Follower {
    fn start(service: Arc<Service>) -> Result<Self, ServerError> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("follow-current".to_owned())
            .spawn(move || follow(&service, &stopped))
            .map_err(|source| ServerError::Thread { name: "follow-current", source })?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        self.stop.send(()).ok();
        self.thread.join().ok();
    }
}

fn follow(service: &Service, stopped: &Receiver<()>) {
    // An engine that came with a snapshot is announced, too.
    announce(service);
    let mut last_failure = String::new();
    loop {
        let followed = service.engine.follow_current();
        if let Some(error) = news(&mut last_failure, &followed) {
            tracing::error!(error, "cannot follow the current index");
        }
        if let Ok(Followed::LastGood { refused }) = &followed {
            let error = full_message(refused);
            tracing::error!(error, "the current index is unusable, the last good one is live");
        }
        if let Ok(Followed::Swapped | Followed::LastGood { .. }) = followed {
            service.metrics.swaps.inc();
            announce(service);
        }
        service.replay();
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
        service.metrics.set_bundle(snapshot.version(), snapshot.movie_count());
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
