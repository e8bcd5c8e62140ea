//! One request from its head to its answer: request id, route, key, limit, problem document, headers, figures, log and
//! audit. It answers what [`Service::route`] says.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use tokio::time::Instant;

use crate::access::Visitor;
use crate::audit::{Record, pseudonym};
use crate::cache::Encoded;
use crate::cors::{exposed, is_preflight, preflight};
use crate::metrics::UNMATCHED;
use crate::parameters::read_id;
use crate::problem::{Code, Problem};
use crate::routes::{Answer, Found, Operation, Route, find};
use crate::service::{Service, id_name};

/// The header that carries the name of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which address a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    /// That of the API.
    Api,
    /// That of probes and figures.
    Operations,
}

/// Answers any request to the API's address; never fails and never panics.
pub(crate) async fn handle(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(service.into_inner(), Listener::Api, request, payload).await
}

/// Answers any request to the address of probes and figures.
pub(crate) async fn handle_operations(
    service: Data<Service>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    answer(service.into_inner(), Listener::Operations, request, payload).await
}

async fn answer(
    service: Arc<Service>,
    listener: Listener,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let started = Instant::now();
    let id = service.request_ids.accept_or_make(request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes));
    let (method, path) = (request.method().as_str(), request.head().uri.path());
    let found = if is_served(&service, listener, path) { find(method, path) } else { Found::Nothing };
    let (route, segment) = match &found {
        Found::Route(route, segment) => (Some(*route), *segment),
        Found::WrongMethod(_) | Found::Nothing => (None, None),
    };
    if let Found::WrongMethod(allow) = &found
        && is_preflight(method, request.headers())
        && let Some(response) = preflighted(&service, &request, allow, &id)
    {
        service.metrics.count(UNMATCHED, method_label(method), response.status().as_u16(), started.elapsed());
        return response;
    }
    let (visitor, passed) = match listener {
        Listener::Api => {
            let address = request.peer_addr().map(|address| address.ip());
            service.access.check(route, authorization(&request), address)
        }
        Listener::Operations => (Visitor::default(), Ok(())),
    };
    let refused = passed.is_err();
    let deadline = started + Duration::from_millis(service.options.request_timeout_ms);
    let outcome = match passed {
        Ok(()) => {
            unwound(service.route(&request, payload, found, deadline, &id)).await.unwrap_or_else(|| {
                service.metrics.panics.inc();
                Err(Problem::internal())
            })
        }
        // What the request goes on to send is not read.
        Err(problem) if has_body(&request) => Err(problem.closing()),
        Err(problem) => Err(problem),
    };
    let mut response = match &outcome {
        Ok(encoded) => success(&service, &request, route, encoded, &id),
        Err(problem) => failure(problem, &id),
    };
    finish(&service, &request, &visitor, &mut response);
    let status = response.status().as_u16();
    let code = outcome.err().map(|problem| problem.code);
    if let Some(code) = code {
        service.metrics.refuse(code);
    }
    if let Some(route) = route.filter(|route| route.is_audited() && !(refused && visitor.holder.is_none())) {
        audit(&service, record(&request, &visitor, (route, segment), (status, code), &id)).await;
    }
    let line = Line {
        request_id: &id,
        route: route.map_or(UNMATCHED, |route| route.pattern),
        method: method_label(request.method().as_str()),
        status,
        elapsed: started.elapsed(),
        key: visitor.holder.as_ref().map_or("", |holder| &holder.name),
    };
    service.metrics.count(line.route, line.method, status, line.elapsed);
    log(&service, &line);
    response
}

/// Whether there may be a route at this path for who asks there.
fn is_served(service: &Service, listener: Listener, path: &str) -> bool {
    match listener {
        Listener::Operations => matches!(path, "/livez" | "/readyz" | "/metrics"),
        Listener::Api => {
            let elsewhere = service.options.operations_bind.is_some() && !service.options.public_metrics;
            !(elsewhere && path == "/metrics")
        }
    }
}

/// The one `Authorization` header of a request.
fn authorization(request: &HttpRequest) -> Option<&[u8]> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next()?;
    // Two contradict each other: neither counts, but it was tried.
    Some(if values.next().is_some() { b"" } else { value.as_bytes() })
}

fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// What a browser hears that asks whether a page of another origin may send a request; none if it may not.
fn preflighted(
    service: &Service,
    request: &HttpRequest,
    allow: &str,
    request_id: &str,
) -> Option<HttpResponse> {
    service.origins.allow(request.headers())?;
    let mut builder = HttpResponse::build(StatusCode::NO_CONTENT);
    common_headers(&mut builder, request_id);
    for header in preflight(allow) {
        builder.insert_header(header);
    }
    let mut response = builder.finish();
    finish(service, request, &Visitor::default(), &mut response);
    Some(response)
}

/// What every answer says of its caller: who may read it, and what may still be sent.
fn finish(service: &Service, request: &HttpRequest, visitor: &Visitor, response: &mut HttpResponse) {
    if service.is_draining() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    if let Some([policy, quota]) = service.access.quota_headers(visitor) {
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", quota)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    if service.origins.varies() {
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = service.origins.allow(request.headers()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let (name, value) = exposed();
        headers.insert(name, value);
    }
}

fn record(
    request: &HttpRequest,
    visitor: &Visitor,
    (route, segment): (&Route, Option<&str>),
    (status, code): (u16, Option<Code>),
    request_id: &str,
) -> Record {
    let id = segment.and_then(|segment| read_id(id_name(route), segment).ok());
    Record {
        at: jiff::Timestamp::now().to_string(),
        who: visitor.holder.as_ref().map_or("anonymous", |holder| &*holder.name).to_owned(),
        address: request.peer_addr().map(|address| address.ip().to_string()),
        method: route.method.as_str().to_owned(),
        route: route.pattern.to_owned(),
        target: if id_name(route) == "user_id" { id.as_deref().map(pseudonym) } else { id },
        status,
        code: code.map(|code| code.row().name.to_owned()),
        request_id: request_id.to_owned(),
    }
}

/// Writes a record before the answer goes out. What was done is done: if it cannot be written, the log says so.
async fn audit(service: &Arc<Service>, record: Record) {
    let (writer, record) = (Arc::clone(service), Arc::new(record));
    let written = Arc::clone(&record);
    let Record { who, route, target, status, .. } = &*record;
    match service.errand(move || writer.audit.append(&written)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::error!(%error, who, route, target, status, "cannot write the audit log");
        }
        None => tracing::error!(who, route, target, status, "no room to write the audit log"),
    }
}

/// What the log may say of a request.
struct Line<'a> {
    request_id: &'a str,
    route: &'static str,
    method: &'static str,
    status: u16,
    elapsed: Duration,
    /// The name of the caller's key, empty without one.
    key: &'a str,
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
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::OK);
    let mut builder = HttpResponse::build(if unchanged { StatusCode::NOT_MODIFIED } else { status });
    common_headers(&mut builder, request_id);
    let freshness = if tagged { "private, no-cache" } else { "no-store" };
    builder.insert_header((header::CACHE_CONTROL, freshness));
    if tagged {
        builder.insert_header((header::ETAG, encoded.etag.as_str()));
    }
    if let Some(location) = &encoded.location {
        builder.insert_header((header::LOCATION, location.as_str()));
    }
    if operation == Operation::Docs {
        builder.insert_header((header::CONTENT_SECURITY_POLICY, service.docs.policy()));
    }
    if unchanged {
        return builder.finish();
    }
    let media_type = match answer {
        Answer::Json(_) | Answer::Accepted(_) => "application/json",
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
    if problem.code == Code::Unauthorized {
        builder.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"cinedex\""));
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
    builder.insert_header((REQUEST_ID, request_id));
    builder.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

/// At most one event a request: what failed, then what was refused for overload or was slow, else one in so many. That a
/// client sent its body slowly is no warning: any client can.
fn log(service: &Service, line: &Line<'_>) {
    let Line { request_id, route, method, status, elapsed, key } = *line;
    let elapsed_us = elapsed.as_micros() as u64;
    if status == 500 {
        tracing::error!(request_id, route, method, status, elapsed_us, key, "request failed");
    } else if status == 503 && route.starts_with("/v1") {
        tracing::warn!(request_id, route, method, status, elapsed_us, key, "request refused");
    } else if status != 408 && elapsed >= Duration::from_millis(service.options.slow_ms) {
        tracing::warn!(request_id, route, method, status, elapsed_us, key, "request slow");
    } else if service.is_sampled() {
        tracing::info!(request_id, route, method, status, elapsed_us, key, "request answered");
    } else {
        tracing::debug!(request_id, route, method, status, elapsed_us, key, "request answered");
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
