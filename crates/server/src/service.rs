//! What requests share, and what a request that may pass is answered: by its route, from the cache or the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use cinedex_feedback::Log;
use cinedex_recommender::{Engine, PlaceRequest, PopularRequest, View};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::ServerError;
use crate::access::Access;
use crate::admin::Call;
use crate::audit::AuditLog;
use crate::body::read_body;
use crate::cache::{Encoded, Flight, Outcome, ResponseCache};
use crate::cors::Origins;
use crate::docs;
use crate::keys::Scope;
use crate::live::{Change, idempotency_key};
use crate::metrics::{Figures, Metrics};
use crate::openapi;
use crate::operations::Operations;
use crate::options::ServerOptions;
use crate::parameters::{decode_form, read_id, read_query};
use crate::pool::{Pool, Undone};
use crate::problem::{Code, Problem};
use crate::request_id::RequestIds;
use crate::respond::{Asked, List, encode, refusal};
use crate::routes::{Found, Operation, Route};

/// Threads for what operators ask, and what is written beside answers.
const ERRAND_THREADS: usize = 2;

/// Errands that may wait, and how long.
const ERRANDS: usize = 256;
const ERRAND_DEADLINE: Duration = Duration::from_secs(5);

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// What answers.
    pub engine: Arc<Engine>,
    /// Where what happens is kept; its sink is the engine's `hear`. Without it what would change something is refused.
    pub log: Option<Arc<Log>>,
    /// What operators may do; without it the admin routes that build and keep indexes are off.
    pub operations: Option<Arc<dyn Operations>>,
}

impl From<Arc<Engine>> for Parts {
    fn from(engine: Arc<Engine>) -> Self {
        Self { engine, log: None, operations: None }
    }
}

/// Everything that requests share.
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) log: Option<Arc<Log>>,
    /// Whether the engine has heard all that the log had when the server started.
    pub(crate) heard: AtomicBool,
    pub(crate) operations: Option<Arc<dyn Operations>>,
    pub(crate) metrics: Metrics,
    pub(crate) options: ServerOptions,
    pub(crate) pool: Pool,
    /// Threads that wait for the log.
    pub(crate) writers: Pool,
    /// What may block, but computes nothing.
    pub(crate) errands: Pool,
    pub(crate) cache: Arc<ResponseCache>,
    pub(crate) access: Access,
    pub(crate) audit: AuditLog,
    pub(crate) origins: Origins,
    pub(crate) request_ids: RequestIds,
    /// Whether the server has been told to stop.
    pub(crate) draining: AtomicBool,
    /// Requests answered, to log one in so many.
    logged: AtomicU64,
    live: Arc<Encoded>,
    openapi: Arc<Encoded>,
    pub(crate) docs: docs::Page,
}

impl Service {
    pub(crate) fn new(parts: Parts, options: &ServerOptions) -> Result<Self, ServerError> {
        let deadline = Duration::from_millis(options.deadline_ms);
        let thread_failed = |name| move |source| ServerError::Thread { name, source };
        let metrics = Metrics::new();
        let evictions = metrics.cache_evictions.clone();
        let origins = Origins::parse(&options.cors_origins).map_err(|_| ServerError::Option {
            option: "cors_origins",
            reason: "must be origins such as https://films.example",
        })?;
        Ok(Self {
            engine: parts.engine,
            heard: AtomicBool::new(parts.log.is_none()),
            log: parts.log,
            operations: parts.operations,
            metrics,
            pool: Pool::new("compute", options.compute_threads, options.queue_length, deadline)
                .map_err(thread_failed("compute"))?,
            writers: Pool::new("write", options.write_threads, options.queue_length, deadline)
                .map_err(thread_failed("write"))?,
            errands: Pool::new("errand", ERRAND_THREADS, ERRANDS, ERRAND_DEADLINE)
                .map_err(thread_failed("errand"))?,
            cache: Arc::new(ResponseCache::new(options.cache_bytes, options.cache_ttl_seconds, evictions)),
            access: Access::new(options)?,
            audit: AuditLog::new(options.audit_file.clone()),
            origins,
            request_ids: RequestIds::new(),
            draining: AtomicBool::new(false),
            logged: AtomicU64::new(0),
            live: Arc::new(Encoded::new(br#"{"status":"live"}"#.to_vec())),
            openapi: Arc::new(Encoded::new(openapi::document())),
            docs: docs::Page::new(),
            options: options.clone(),
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether this request is one of those that are logged though nothing is the matter with them.
    pub(crate) fn is_sampled(&self) -> bool {
        let every = u64::from(self.options.access_log_every);
        every > 0 && self.logged.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
    }

    /// What the route answers, if the request may pass.
    pub(crate) async fn route(
        self: &Arc<Self>,
        request: &HttpRequest,
        payload: Payload,
        found: Found<'_>,
        deadline: Instant,
        request_id: &str,
    ) -> Outcome {
        let uri = &request.head().uri;
        if uri.path_and_query().map_or(0, |text| text.as_str().len()) > self.options.uri_bytes {
            let most = self.options.uri_bytes;
            return Err(Problem::new(Code::TooLarge, format!("the path and query are at most {most} bytes")));
        }
        let (route, segment) = routed(found)?;
        let id = match segment {
            Some(segment) => read_id(id_name(route), segment)?,
            None => String::new(),
        };
        let body = if route.has_body() {
            refuse_query(uri.query())?;
            let body = timeout_at(deadline, self.body(request, payload));
            let late = |_| Problem::new(Code::RequestTimeout, "the body was not complete in time").closing();
            body.await.map_err(late)??
        } else {
            Bytes::new()
        };
        if route.is_change() {
            if !route.has_body() {
                read_query(route, uri.query().map(str::as_bytes))?;
            }
            let idempotency_key = idempotency_key(request.headers())?;
            let change = Change { operation: route.operation, id, body, idempotency_key };
            return self.change(change, deadline).await;
        }
        if route.scope == Some(Scope::Admin) {
            let query = uri.query().map(str::as_bytes);
            let limit = if route.has_body() { 0 } else { read_query(route, query)?.limit };
            let call = self.administer(Call { operation: route.operation, id, body, limit });
            let late = |_| Problem::new(Code::Overloaded, "the operation did not end in time").closing();
            return timeout_at(deadline, call).await.map_err(late)?;
        }
        if route.operation == Operation::Batch {
            return self.batch(body, request_id, deadline).await;
        }
        let (parameters, history) = if route.has_body() {
            read_body(route, &body)?
        } else {
            (read_query(route, uri.query().map(str::as_bytes))?, Vec::new())
        };
        match route.operation {
            Operation::Live => Ok(Arc::clone(&self.live)),
            Operation::Ready => self.ready(),
            Operation::Metrics => Ok(Arc::new(Encoded::new(self.figures().into_bytes()))),
            Operation::OpenApi => Ok(Arc::clone(&self.openapi)),
            Operation::Docs => Ok(self.docs(request)),
            Operation::Movie => {
                let view = self.live()?;
                let refused = |error| refusal(error, Operation::Movie, &parameters.filter);
                let answer = view.movie(&id).map_err(refused)?;
                Ok(Arc::new(Encoded::new(encode(&answer)?)))
            }
            _ => {
                let late = |_| Problem::new(Code::Overloaded, "the answer was not ready in time").closing();
                let list = self.list(List::new(route, id, parameters, history));
                timeout_at(deadline, list).await.map_err(late)?
            }
        }
    }

    /// A list, from the cache or computed; a later page from the snapshot on which it began.
    async fn list(self: &Arc<Self>, mut list: List) -> Outcome {
        if list.asked.operation == Operation::History {
            let (service, (sender, answer)) = (Arc::clone(self), oneshot::channel());
            self.admit(
                &self.pool,
                move || service.history(&list.asked),
                move |outcome| {
                    sender.send(outcome).ok();
                },
            );
            return answer.await.unwrap_or_else(|_| Err(Problem::internal()));
        }
        let view = self.view_for(self.live()?, &mut list)?;
        if list.asked.operation == Operation::ForHistory {
            let (sender, answer) = oneshot::channel();
            self.compute(view, list.asked, move |outcome| {
                sender.send(outcome).ok();
            });
            return answer.await.unwrap_or_else(|_| Err(Problem::internal()));
        }
        let key = list.page_key(&view);
        let asked = list.asked;
        if let Some(encoded) = self.cache.get(&key) {
            self.metrics.cache_hits.inc();
            return Ok(encoded);
        }
        let answer = match self.cache.join(key.into()) {
            Flight::Follow(answer) => {
                self.metrics.joined.inc();
                answer
            }
            Flight::Lead(landing, answer) => {
                self.metrics.cache_misses.inc();
                self.compute(view, asked, move |outcome| landing.land(&outcome));
                answer
            }
        };
        answer.await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// Computes on the pool; `done` hears the outcome on one of its threads, or at once on this one.
    fn compute(self: &Arc<Self>, view: View, asked: Asked, done: impl FnOnce(Outcome) + Send + 'static) {
        self.admit(&self.pool, move || asked.answer(&view).map(|body| Arc::new(Encoded::new(body))), done);
    }

    /// Runs work on a pool; `done` hears the outcome on one of its threads, or at once on this one.
    pub(crate) fn admit(
        self: &Arc<Self>,
        pool: &Pool,
        work: impl FnOnce() -> Outcome + Send + 'static,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) {
        let service = Arc::clone(self);
        pool.run(work, move |result| {
            done(result.unwrap_or_else(|undone| match undone {
                Undone::Full | Undone::Late => {
                    service.metrics.refused.inc();
                    Err(Problem::overloaded())
                }
                Undone::Panicked => {
                    service.metrics.panics.inc();
                    Err(Problem::internal())
                }
            }));
        });
    }

    /// The page with the address that the client knows this server by, and a film of the live catalogue.
    fn docs(&self, request: &HttpRequest) -> Arc<Encoded> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let favourite =
            PopularRequest { location: PlaceRequest::World, limit: 1, ..PopularRequest::default() };
        let snapshot = self.engine.snapshot().ok();
        let list = snapshot.as_ref().and_then(|snapshot| snapshot.popular(&favourite).ok());
        let movie_id = list.as_ref().and_then(|list| Some(list.items.first()?.movie_id));
        let scheme = self.options.scheme();
        Arc::new(Encoded::new(self.docs.html(scheme, host, movie_id).into_bytes()))
    }

    /// The figures, those that are only looked up when they are asked for among them.
    fn figures(&self) -> String {
        let (cache_entries, cache_bytes) = self.cache.size();
        self.metrics.set(&Figures {
            cache_entries,
            cache_bytes,
            queue_length: self.pool.waiting() as u64,
            is_draining: self.is_draining(),
            keys: self.access.keys.len() as u64,
        });
        self.metrics.live.set(self.log.as_ref().map(|log| log.status()), self.engine.live().status());
        self.metrics.encode()
    }

    fn ready(&self) -> Result<Arc<Encoded>, Problem> {
        #[derive(serde::Serialize)]
        struct Ready<'a> {
            status: &'a str,
            index_version: &'a str,
            movies: usize,
            users: usize,
        }
        if self.is_draining() {
            return Err(Problem::new(Code::Draining, "the server has been told to stop"));
        }
        let view = self.live()?;
        let snapshot = view.snapshot();
        let ready = Ready {
            status: "ready",
            index_version: snapshot.version(),
            movies: snapshot.movie_count(),
            users: snapshot.user_count(),
        };
        Ok(Arc::new(Encoded::new(encode(&ready)?)))
    }

    /// The body, if it is JSON by its type and not too large.
    async fn body(&self, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = "send the body with content-type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail).closing());
        }
        if request.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
            let detail = "send the body without content-encoding";
            return Err(Problem::new(Code::UnsupportedMediaType, detail).closing());
        }
        let most = self.options.body_bytes;
        let too_large =
            || Problem::new(Code::TooLarge, format!("the body is at most {most} bytes")).closing();
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        match payload.to_bytes_limited(most).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(Problem::new(Code::InvalidBody, "the body ended early").closing()),
            Err(_) => Err(too_large()),
        }
    }
}

/// A body's fields are its parameters; in the query it has none.
pub(crate) fn refuse_query(query: Option<&str>) -> Result<(), Problem> {
    first_name(query.unwrap_or_default()).map_or(Ok(()), |name| {
        let detail = "this route's parameters go into the body";
        Err(Problem::field(Code::UnknownParameter, &name, detail).closing())
    })
}

/// The name of the first parameter of a query; `query` if it cannot be decoded.
fn first_name(query: &str) -> Option<String> {
    let pair = query.split('&').find(|pair| !pair.is_empty())?;
    let name = pair.split('=').next().unwrap_or_default();
    Some(decode_form(name.as_bytes()).unwrap_or_else(|_| "query".to_owned()))
}

/// The route and what stands for its id, or why there is none.
fn routed(found: Found<'_>) -> Result<(&'static Route, Option<&str>), Problem> {
    match found {
        Found::Route(route, segment) => Ok((route, segment)),
        Found::WrongMethod(allow) => {
            let detail = format!("this route has {allow}");
            Err(Problem { allow: Some(allow), ..Problem::new(Code::MethodNotAllowed, detail) })
        }
        Found::Nothing => {
            Err(Problem::new(Code::RouteNotFound, "no route has this path; /docs lists them all"))
        }
    }
}

pub(crate) fn id_name(route: &Route) -> &'static str {
    let start = route.pattern.find('{').map_or(0, |brace| brace + 1);
    let end = route.pattern.find('}').unwrap_or(start);
    &route.pattern[start..end]
}
