//! `POST /v1/batch`: many read requests in one, admitted once, each through the same routes and cache as alone. A request
//! that fails has a problem of its own and leaves the others as they are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix_web::web::Bytes;
use cinedex_recommender::View;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::body::{Object, invalid, parse, read_body, read_object};
use crate::cache::{Encoded, Outcome};
use crate::parameters::{read_id, read_query};
use crate::problem::{Code, Problem};
use crate::respond::{List, encode, refusal};
use crate::routes::{Found, Operation, find};
use crate::service::{Service, id_name, refuse_query};

/// The most requests of a batch.
pub(crate) const MAX_REQUESTS: usize = 100;

/// One request of a batch, borrowed from its body.
struct Member<'a> {
    method: String,
    path: String,
    body: Option<&'a RawValue>,
}

impl Service {
    /// Answers a batch on one thread of the pool.
    pub(crate) async fn batch(self: &Arc<Self>, body: Bytes, request_id: &str, deadline: Instant) -> Outcome {
        let (service, request_id) = (Arc::clone(self), request_id.to_owned());
        let (sender, answer) = oneshot::channel();
        let work = move || service.answer_batch(&body, &request_id, deadline);
        self.admit(&self.pool, work, move |outcome| {
            // Who has gone away needs no answer.
            sender.send(outcome).ok();
        });
        let late = |_| Problem::new(Code::Overloaded, "the answers were not ready in time").closing();
        timeout_at(deadline, answer).await.map_err(late)?.unwrap_or_else(|_| Err(Problem::internal()))
    }

    fn answer_batch(&self, body: &[u8], request_id: &str, deadline: Instant) -> Outcome {
        let members = read_members(body)?;
        let live = self.live()?;
        let mut answer = br#"{"responses":["#.to_vec();
        for (position, member) in members.iter().enumerate() {
            if Instant::now() >= deadline {
                // Nobody waits any more.
                return Err(Problem::overloaded());
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| self.answer_member(member, &live)));
            let outcome = outcome.unwrap_or_else(|_| {
                self.metrics.panics.inc();
                Err(Problem::internal())
            });
            if position > 0 {
                answer.push(b',');
            }
            match &outcome {
                Ok(encoded) => put(&mut answer, 200, &encoded.body),
                Err(problem) => put(&mut answer, problem.status(), &problem.encode(request_id)),
            }
        }
        answer.extend_from_slice(b"]}");
        Ok(Arc::new(Encoded::new(answer)))
    }

    fn answer_member(&self, member: &Member<'_>, live: &View) -> Outcome {
        if member.path.len() > self.options.uri_bytes {
            let most = self.options.uri_bytes;
            return Err(Problem::new(Code::TooLarge, format!("the path and query are at most {most} bytes")));
        }
        let (path, query) = member.path.split_once('?').map_or((&*member.path, None), |(p, q)| (p, Some(q)));
        let (route, segment) = match find(&member.method, path) {
            Found::Route(route, segment) if is_read(route.operation) && member.method != "HEAD" => {
                (route, segment)
            }
            Found::Nothing => return Err(Problem::new(Code::RouteNotFound, "no route has this path")),
            Found::Route(..) | Found::WrongMethod(_) => {
                let detail = "a batch takes what reads: GET, and POST of /v1/recommendations";
                return Err(Problem::new(Code::MethodNotAllowed, detail));
            }
        };
        let id = segment.map_or(Ok(String::new()), |segment| read_id(id_name(route), segment))?;
        let (parameters, history) = if route.has_body() {
            refuse_query(query)?;
            read_body(route, member.body.map_or("{}", RawValue::get).as_bytes())?
        } else if member.body.is_some() {
            return Err(invalid("body", "this route has none"));
        } else {
            (read_query(route, query.map(str::as_bytes))?, Vec::new())
        };
        if route.operation == Operation::Movie {
            let answer =
                live.movie(&id).map_err(|error| refusal(error, route.operation, &parameters.filter))?;
            return Ok(Arc::new(Encoded::new(encode(&answer)?)));
        }
        let mut list = List::new(route, id, parameters, history);
        if route.operation == Operation::History {
            return self.history(&list.asked);
        }
        let view = self.view_for(live.clone(), &mut list)?;
        if route.operation == Operation::ForHistory {
            return list.asked.answer(&view).map(|body| Arc::new(Encoded::new(body)));
        }
        let key = list.page_key(&view);
        if let Some(encoded) = self.cache.get(&key) {
            self.metrics.cache_hits.inc();
            return Ok(encoded);
        }
        self.metrics.cache_misses.inc();
        let encoded = list.asked.answer(&view).map(|body| Arc::new(Encoded::new(body)))?;
        self.cache.keep(key, &encoded);
        Ok(encoded)
    }
}

/// Whether a batch may have it.
fn is_read(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Search
            | Operation::Movie
            | Operation::Similar
            | Operation::ForUser
            | Operation::ForHistory
            | Operation::Neighbors
            | Operation::Popular
            | Operation::Trending
            | Operation::History
    )
}

fn put(answer: &mut Vec<u8>, status: u16, body: &[u8]) {
    answer.extend_from_slice(format!(r#"{{"status":{status},"body":"#).as_bytes());
    answer.extend_from_slice(body);
    answer.push(b'}');
}

fn read_members(bytes: &[u8]) -> Result<Vec<Member<'_>>, Problem> {
    let expected = "must be a list of {method?, path, body?}";
    let mut members = None;
    for (name, value) in read_object(bytes, "requests")? {
        if name != "requests" {
            return Err(invalid(&name, "unknown; the body has requests"));
        }
        let list: Vec<&RawValue> = parse(value).ok_or_else(|| invalid("requests", expected))?;
        if list.len() > MAX_REQUESTS {
            return Err(invalid("requests", &format!("at most {MAX_REQUESTS} requests")));
        }
        members = Some(list);
    }
    let members = members.ok_or_else(|| invalid("requests", "missing; a list of {method?, path, body?}"))?;
    members.into_iter().enumerate().map(|(position, member)| read_member(position, member)).collect()
}

fn read_member(position: usize, member: &RawValue) -> Result<Member<'_>, Problem> {
    let field = |name: &str| format!("requests[{position}]{name}");
    let object: Object<'_> =
        parse(member).ok_or_else(|| invalid(&field(""), "must be an object {method?, path, body?}"))?;
    let (mut method, mut path, mut body) = ("GET".to_owned(), None::<String>, None);
    for (name, raw) in object {
        match name.as_str() {
            "method" => {
                let text = parse::<String>(raw).filter(|text| text.len() <= 16);
                method = text.ok_or_else(|| invalid(&field(".method"), "must be GET or POST"))?;
            }
            "path" => {
                let text = parse::<String>(raw).filter(|text| text.starts_with('/'));
                let expected = "must be a path such as /v1/popular?limit=5";
                path = Some(text.ok_or_else(|| invalid(&field(".path"), expected))?);
            }
            "body" => body = (raw.get() != "null").then_some(raw),
            other => {
                return Err(invalid(
                    &field(&format!(".{other}")),
                    "unknown; a request has method, path, body",
                ));
            }
        }
    }
    let path = path.ok_or_else(|| invalid(&field(".path"), "missing"))?;
    Ok(Member { method, path, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, field: Option<&str>) {
        let problem = read_members(body.as_bytes()).err().unwrap_or_else(|| panic!("{body}"));
        let found = problem.errors.first().map(|error| error.field.as_str());
        assert_eq!((problem.code, found), (Code::InvalidBody, field), "{body}");
    }

    #[test]
    fn a_malformed_batch_names_what_is_wrong() {
        check("", None);
        check("[]", None);
        check("{}", Some("requests"));
        check(r#"{"requests":{}}"#, Some("requests"));
        check(r#"{"requests":[],"limit":5}"#, Some("limit"));
        check(r#"{"requests":[1]}"#, Some("requests[0]"));
        check(r#"{"requests":[{"path":"/v1/popular"},{}]}"#, Some("requests[1].path"));
        check(r#"{"requests":[{"path":"v1/popular"}]}"#, Some("requests[0].path"));
        check(r#"{"requests":[{"path":"/v1/popular","method":5}]}"#, Some("requests[0].method"));
        check(r#"{"requests":[{"path":"/v1/popular","headers":{}}]}"#, Some("requests[0].headers"));
        let many = vec![r#"{"path":"/livez"}"#; MAX_REQUESTS + 1].join(",");
        check(&format!(r#"{{"requests":[{many}]}}"#), Some("requests"));
    }

    #[test]
    fn a_method_left_out_is_get_and_a_body_of_null_is_none() {
        let body = br#"{"requests":[{"path":"/v1/popular?limit=1","body":null}]}"#;
        let members = read_members(body).unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!((members[0].method.as_str(), members[0].body.is_none()), ("GET", true));
    }
}
