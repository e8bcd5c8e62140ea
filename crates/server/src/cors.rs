//! Which pages of other origins may read answers (Fetch standard, section 3.2). Nothing unless origins are named.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, x-request-id";
const ANSWER_HEADERS: &str =
    "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";

/// How long a browser may remember what a preflight said, in seconds.
const MAX_AGE: &str = "600";

/// The origins that were named.
pub(crate) struct Origins {
    any: bool,
    named: Vec<String>,
}

impl Origins {
    /// Reads origins, `https://films.example`, separated by spaces; `*` is every one. Says which one is malformed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut origins = Self { any: false, named: Vec::new() };
        for origin in text.split_whitespace() {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let plain = |host: &str| {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
            };
            match host {
                _ if origin == "*" => origins.any = true,
                Some(host) if plain(host) => origins.named.push(origin.to_ascii_lowercase()),
                _ => return Err(origin.to_owned()),
            }
        }
        Ok(origins)
    }

    /// What `Access-Control-Allow-Origin` says to a request, if its origin may read the answer.
    pub(crate) fn allow(&self, request: &HeaderMap) -> Option<HeaderValue> {
        if !self.any && self.named.is_empty() {
            return None;
        }
        let origin = request.get(header::ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let named = self.named.iter().any(|named| origin.as_bytes() == named.as_bytes());
        named.then(|| origin.clone())
    }

    /// Whether answers differ by origin, so that caches must know.
    pub(crate) fn varies(&self) -> bool {
        !self.any && !self.named.is_empty()
    }
}

/// Whether a request only asks what it may ask.
pub(crate) fn is_preflight(method: &str, request: &HeaderMap) -> bool {
    method == "OPTIONS" && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a preflight of a route with these methods hears beside `Access-Control-Allow-Origin`.
pub(crate) fn preflight(methods: &str) -> [(HeaderName, HeaderValue); 3] {
    let methods = HeaderValue::from_str(methods).unwrap_or(HeaderValue::from_static("GET, HEAD"));
    [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS)),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE)),
    ]
}

/// What every answer to another origin says beside `Access-Control-Allow-Origin`.
pub(crate) fn exposed() -> (HeaderName, HeaderValue) {
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers
    }

    #[test]
    fn only_named_origins_are_allowed() {
        let check = |origins: &str, origin: &str, expect: Option<&str>| {
            let allowed = Origins::parse(origins).unwrap().allow(&asked(origin));
            assert_eq!(allowed.as_ref().map(|value| value.to_str().unwrap()), expect, "{origins} {origin}");
        };
        check("", "https://films.example", None);
        let two = "https://films.example http://localhost:3000";
        check(two, "https://films.example", Some("https://films.example"));
        check(two, "http://localhost:3000", Some("http://localhost:3000"));
        check(two, "http://localhost", None);
        check(two, "https://films.example.evil.example", None);
        check(two, "null", None);
        check("*", "https://anywhere.example", Some("*"));
        assert!(Origins::parse("*").unwrap().allow(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_malformed_origin_is_named() {
        for wrong in ["films.example", "https://", "https://films.example/", "https://*.example", "ftp://a"] {
            assert_eq!(Origins::parse(&format!("https://a.example {wrong}")).err(), Some(wrong.to_owned()));
        }
    }
}
