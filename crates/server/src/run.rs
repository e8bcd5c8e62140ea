//! The server's life: listening at once, following the live bundle beside it, and stopping so that what is in flight is
//! answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{App, HttpServer, rt, web};
use tokio::sync::oneshot;

use crate::follow::Follower;
use crate::handle::{handle, handle_operations};
use crate::service::{Parts, Service};
use crate::stopping::StopWord;
use crate::tls::Certificate;
use crate::{ServerError, ServerOptions};

/// Connections open at once for probes and figures.
const PROBE_CONNECTIONS: usize = 256;

/// Serves until the process is told to end (SIGINT or SIGTERM), drains, lets requests in flight end and returns. It listens at
/// once; an engine that is still empty is loaded beside, and until then data routes answer `not_ready`. `on_ready` hears the
/// address that is listened on. `parts` may be an engine alone. With a log nothing is answered before the engine has heard what
/// it had.
pub fn serve(
    parts: impl Into<Parts>,
    options: &ServerOptions,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    run(parts.into(), options, |addresses| on_ready(addresses.api), StopWord::Signals)
}

/// Starts a server on a thread of its own, for embedding and for tests. It listens when this returns.
pub fn start(parts: impl Into<Parts>, options: &ServerOptions) -> Result<RunningServer, ServerError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, addresses) = channel();
    let (parts, options) = (parts.into(), options.clone());
    let announce = move |addresses| {
        // An error says that nobody waits any more.
        ready.send(addresses).ok();
    };
    let body = move || run(parts, &options, announce, StopWord::Told(stopped));
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(body)
        .map_err(|source| ServerError::Thread { name: "server", source })?;
    match addresses.recv() {
        Ok(addresses) => Ok(RunningServer { addresses, stop: Some(stop), thread: Some(thread) }),
        // It ended before it listened, and says why.
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Err(ServerError::Ended),
        },
    }
}

/// A server that runs beside the caller. Dropping it stops it.
pub struct RunningServer {
    addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl RunningServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses.api
    }

    /// Where it answers probes and figures alone, if it does.
    pub fn operations_address(&self) -> Option<SocketAddr> {
        self.addresses.operations
    }

    /// Begins to drain, lets requests in flight end, and returns when the server has.
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

/// Where a server listens.
#[derive(Clone, Copy)]
struct Addresses {
    api: SocketAddr,
    operations: Option<SocketAddr>,
}

fn run(
    parts: Parts,
    options: &ServerOptions,
    on_ready: impl FnOnce(Addresses),
    stop: StopWord,
) -> Result<(), ServerError> {
    options.validate()?;
    let certificate = Certificate::open(options)?.map(Arc::new);
    let service = Arc::new(Service::new(parts, options)?);
    // An engine that came with a bundle answers from the first request on.
    service.replay();
    let follower = Follower::start(Arc::clone(&service), certificate.clone())?;
    let result = rt::System::new().block_on(listen(service, certificate.as_deref(), on_ready, stop));
    follower.stop();
    tracing::info!("stopped");
    result
}

async fn listen(
    service: Arc<Service>,
    certificate: Option<&Certificate>,
    on_ready: impl FnOnce(Addresses),
    stop: StopWord,
) -> Result<(), ServerError> {
    let options = service.options.clone();
    let data = Data::from(Arc::clone(&service));
    let shared = data.clone();
    let failed = |bind| move |source| ServerError::Bind { bind, source };
    let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(handle)))
        .workers(options.workers)
        .max_connections(options.connections)
        .keep_alive(Duration::from_secs(options.keep_alive_seconds))
        .client_request_timeout(Duration::from_secs(5))
        .client_disconnect_timeout(Duration::from_secs(1))
        .shutdown_timeout(options.shutdown_seconds)
        .shutdown_signal(stop.heard(service));
    let server = match certificate {
        Some(certificate) => server.bind_rustls_0_23(options.bind, certificate.listener()?),
        None => server.bind(options.bind),
    };
    let server = server.map_err(failed(options.bind))?;
    let mut addresses =
        Addresses { api: server.addrs().first().copied().unwrap_or(options.bind), operations: None };
    // It goes on until the API has ended: who asks whether it drains must be answered.
    let mut probes = None;
    if let Some(bind) = options.operations_bind {
        let app = move || App::new().app_data(shared.clone()).default_service(web::to(handle_operations));
        let server = HttpServer::new(app)
            .workers(1)
            .max_connections(PROBE_CONNECTIONS)
            .client_request_timeout(Duration::from_secs(5))
            .disable_signals()
            .bind(bind)
            .map_err(failed(bind))?;
        addresses.operations = server.addrs().first().copied();
        let running = server.run();
        probes = Some(running.handle());
        rt::spawn(running);
    }
    let running = server.run();
    tracing::info!(address = %addresses.api, operations = ?addresses.operations, "listening");
    on_ready(addresses);
    let result = running.await.map_err(|source| ServerError::Run { source });
    if let Some(probes) = probes {
        probes.stop(false).await;
    }
    result
}
