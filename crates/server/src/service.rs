//! One request from its head to its answer: request id, route, parameters, cache, pool, problem document, figures and log.
//! The only file, with `run`, that knows actix.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use cinedex_feedback::Log;
use cinedex_recommender::{Engine, PlaceRequest, PopularRequest, View};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::body::read_body;
use crate::cache::{Encoded, Flight, Outcome, ResponseCache};
use crate::docs;
use crate::live::{Change, idempotency_key};
use crate::metrics::{Metrics, UNMATCHED};
use crate::openapi;
use crate::options::ServerOptions;
use crate::parameters::{decode_form, read_id, read_query};
use crate::pool::{Pool, Undone};
use crate::problem::{Code, Problem};
use crate::request_id::RequestIds;
use crate::respond::{Asked, List, encode, refusal};
use crate::routes::{Answer, Found, Operation, Route, find};

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// What answers.
    pub engine: Arc<Engine>,
    /// Where what happens is kept; its sink is the engine's `hear`. Without it what would change something is refused.
    pub log: Option<Arc<Log>>,
}

impl From<Arc<Engine>> for Parts {
    fn from(engine: Arc<Engine>) -> Self {
        Self { engine, log: None }
    }
}

/// Everything that requests share.
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) log: Option<Arc<Log>>,
    /// Whether the engine has heard all that the log had when the server started.
    pub(crate) heard: AtomicBool,
    pub(crate) metrics: Metrics,
    pub(crate) options: ServerOptions,
    pub(crate) pool: Pool,
    /// Threads that wait for the log.
    pub(crate) writers: Pool,
    pub(crate) cache: Arc<ResponseCache>,
    request_ids: RequestIds,
    openapi: Arc<Encoded>,
    docs: docs::Page,
}

impl Service {
    pub(crate) fn new(parts: Parts, options: &ServerOptions) -> std::io::Result<Self> {
        let deadline = Duration::from_millis(options.deadline_ms);
        Ok(Self {
            engine: parts.engine,
            heard: AtomicBool::new(parts.log.is_none()),
            log: parts.log,
            metrics: Metrics::new(),
            pool: Pool::new("compute", options.compute_threads, options.queue_length, deadline)?,
            writers: Pool::new("write", options.write_threads, options.queue_length, deadline)?,
            cache: Arc::new(ResponseCache::new(options.cache_bytes, options.cache_ttl_seconds)),
            request_ids: RequestIds::new(),
            openapi: Arc::new(Encoded::new(openapi::document())),
            docs: docs::Page::new(),
            options: options.clone(),
        })
    }

    async fn route(
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
        let (route, segment) = match found {
            Found::Route(route, segment) => (route, segment),
            Found::WrongMethod(allow) => {
                let detail = format!("this route has {allow}");
                return Err(Problem { allow: Some(allow), ..Problem::new(Code::MethodNotAllowed, detail) });
            }
            Found::Nothing => {
                return Err(Problem::new(
                    Code::RouteNotFound,
                    "no route has this path; /docs lists them all",
                ));
            }
        };
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
            let idempotency_key = idempotency_key(request.headers())?;
            let change = Change { operation: route.operation, id, body, idempotency_key };
            return self.change(change, deadline).await;
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
            Operation::Live => Ok(Arc::new(Encoded::new(br#"{"status":"live"}"#.to_vec()))),
            Operation::Ready => self.ready(),
            Operation::Metrics => Ok(Arc::new(Encoded::new(self.metrics.encode().into_bytes()))),
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
        Arc::new(Encoded::new(self.docs.html(host, movie_id).into_bytes()))
    }

    fn ready(&self) -> Result<Arc<Encoded>, Problem> {
        #[derive(serde::Serialize)]
        struct Ready<'a> {
            status: &'a str,
            index_version: &'a str,
            movies: usize,
            users: usize,
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

/// Answers any request; never fails and never panics.
pub(crate) async fn handle(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let started = Instant::now();
    let service = service.into_inner();
    let id =
        service.request_ids.accept_or_make(request.headers().get("x-request-id").map(HeaderValue::as_bytes));
    let found = find(request.method().as_str(), request.head().uri.path());
    let route = if let Found::Route(route, _) = &found { Some(*route) } else { None };
    let deadline = started + Duration::from_millis(service.options.request_timeout_ms);
    let outcome =
        unwound(service.route(&request, payload, found, deadline, &id)).await.unwrap_or_else(|| {
            service.metrics.panics.inc();
            Err(Problem::internal())
        });
    let response = match &outcome {
        Ok(encoded) => success(&service, &request, route, encoded, &id),
        Err(problem) => failure(problem, &id),
    };
    let elapsed = started.elapsed();
    let pattern = route.map_or(UNMATCHED, |route| route.pattern);
    let method = method_label(request.method().as_str());
    let status = response.status().as_u16();
    service.metrics.count(pattern, method, status, elapsed);
    log(&service, &id, pattern, method, status, elapsed);
    response
}

fn success(
    service: &Service,
    request: &HttpRequest,
    route: Option<&Route>,
    encoded: &Encoded,
    request_id: &str,
) -> HttpResponse {
    let (operation, answer) =
        route.map_or((Operation::Live, Answer::Json("Health")), |route| (route.operation, route.answer));
    let tagged = route.is_some_and(Route::is_tagged);
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = tagged && known.is_some_and(|known| matches_etag(known, &encoded.etag));
    let mut builder = HttpResponse::build(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    common_headers(&mut builder, request_id);
    let freshness = if tagged { "private, no-cache" } else { "no-store" };
    builder.insert_header((header::CACHE_CONTROL, freshness));
    if tagged {
        builder.insert_header((header::ETAG, encoded.etag.as_str()));
    }
    if operation == Operation::Docs {
        builder.insert_header((header::CONTENT_SECURITY_POLICY, service.docs.policy()));
    }
    if unchanged {
        return builder.finish();
    }
    let media_type = match answer {
        Answer::Json(_) => "application/json",
        Answer::Text(media_type) => media_type,
    };
    builder.insert_header((header::CONTENT_TYPE, media_type)).body(encoded.body.clone())
}

fn failure(problem: &Problem, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    common_headers(&mut builder, request_id);
    builder.insert_header((header::CACHE_CONTROL, "no-store"));
    builder.insert_header((header::CONTENT_TYPE, "application/problem+json"));
    if let Some(seconds) = problem.retry_after_seconds() {
        builder.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if let Some(allow) = &problem.allow {
        builder.insert_header((header::ALLOW, allow.as_str()));
    }
    if problem.close {
        builder.force_close();
    }
    builder.body(problem.encode(request_id))
}

fn common_headers(builder: &mut HttpResponseBuilder, request_id: &str) {
    builder.insert_header(("x-request-id", request_id));
    builder.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

/// At most one event a request: what failed, then what was refused for overload or was slow, else for debugging. That a
/// client sent its body slowly is no warning: any client can.
fn log(service: &Service, request_id: &str, route: &str, method: &str, status: u16, elapsed: Duration) {
    let elapsed_us = elapsed.as_micros() as u64;
    if status == 500 {
        tracing::error!(request_id, route, method, status, elapsed_us, "request failed");
    } else if status == 503 && route.starts_with("/v1") {
        tracing::warn!(request_id, route, method, status, elapsed_us, "request refused");
    } else if status != 408 && elapsed >= Duration::from_millis(service.options.slow_ms) {
        tracing::warn!(request_id, route, method, status, elapsed_us, "request slow");
    } else {
        tracing::debug!(request_id, route, method, status, elapsed_us, "request answered");
    }
}

/// Runs a future; `None` if it panicked. It is not polled again after that, so nothing half-done is seen.
async fn unwound<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
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

pub(crate) fn id_name(route: &Route) -> &'static str {
    let start = route.pattern.find('{').map_or(0, |brace| brace + 1);
    let end = route.pattern.find('}').unwrap_or(start);
    &route.pattern[start..end]
}

fn matches_etag(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn method_label(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_answering_becomes_an_answer() {
        let outcome = actix_web::rt::System::new().block_on(async {
            let panicking = unwound(async {
                tokio::task::yield_now().await;
                panic!("on purpose")
            });
            let fine = unwound(async { 7 });
            (panicking.await, fine.await)
        });
        assert_eq!(outcome, (None::<()>, Some(7)));
        let response = failure(&Problem::internal(), "r-1");
        assert_eq!(response.status().as_u16(), 500);
    }

    #[test]
    fn tags_compare_weakly() {
        assert!(matches_etag("\"a\", W/\"b\"", "\"b\"") && matches_etag("*", "\"b\""));
        assert!(!matches_etag("\"a\"", "\"b\"") && !matches_etag("", "\"b\""));
    }
}
