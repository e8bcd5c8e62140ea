//! What a server gets that is wrong, malicious or half: each answered by one problem document, and the server goes on.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use cinedex_recommender::EngineOptions;
use cinedex_server::{ServerError, ServerOptions, start};
use support::*;

/// Holds a problem document against everything that is promised of it.
fn check(response: &Response, status: u16, code: &str, field: Option<&str>) {
    let context = format!("{code} {}", String::from_utf8_lossy(&response.body));
    assert_eq!(response.status, status, "{context}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{context}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let json = response.json();
    assert_eq!(json["code"], code, "{context}");
    assert_eq!(json["status"], status);
    assert_eq!(json["type"], format!("/docs#{code}"));
    assert_eq!(json["request_id"].as_str(), response.header("x-request-id"));
    assert!(json["title"].is_string() && json["detail"].is_string());
    assert_eq!(json["errors"][0]["field"].as_str(), field, "{context}");
    for leak in ["serde", "expected value", "panicked", ".rs", "actix"] {
        assert!(!response.text().contains(leak), "{context}");
    }
}

#[test]
fn wrong_targets() {
    let world = world();
    let at = world.server.address();
    let long = "x".repeat(10_000);
    let longer = "x".repeat(40_000);
    for (target, status, code, field) in [
        ("/", 404, "route_not_found", None),
        ("/v1", 404, "route_not_found", None),
        ("/v1/movies/1/2", 404, "route_not_found", None),
        ("/v1/admin/indexes", 403, "admin_disabled", None),
        ("/v1/trends", 404, "route_not_found", None),
        ("/v1/../livez", 404, "route_not_found", None),
        ("/etc/passwd", 404, "route_not_found", None),
        ("/v1/recommendations", 405, "method_not_allowed", None),
        ("/v1/movies/99", 404, "movie_not_found", None),
        ("/v1/movies/%2e%2e%2f%2e%2e", 404, "movie_not_found", None),
        ("/v1/movies/%00/similar", 404, "movie_not_found", None),
        ("/v1/movies/", 400, "invalid_parameter", Some("movie_id")),
        ("/v1/movies/%ff", 400, "invalid_parameter", Some("movie_id")),
        ("/v1/movies/%c3%28/similar", 400, "invalid_parameter", Some("movie_id")),
        ("/v1/movies/%zz", 400, "invalid_parameter", Some("movie_id")),
        ("/v1/movies/%", 400, "invalid_parameter", Some("movie_id")),
        ("/v1/users/%ff/recommendations", 400, "invalid_parameter", Some("user_id")),
        ("/v1/users/%ff/neighbors", 400, "invalid_parameter", Some("user_id")),
        ("/v1/users//neighbors", 400, "invalid_parameter", Some("user_id")),
        ("/v1/users/42/neighbors/", 404, "route_not_found", None),
        ("/v1/users/42/neighbors?limit=101", 400, "invalid_parameter", Some("limit")),
        ("/v1/users/42/neighbors?cursor=AAAA", 400, "invalid_parameter", Some("cursor")),
        ("/v1/users/42/neighbors?genre=Drama", 400, "unknown_parameter", Some("genre")),
        ("/v1/users/42/neighbors?user=42", 400, "unknown_parameter", Some("user")),
        (&format!("/v1/users/{long}/neighbors"), 400, "invalid_parameter", Some("user_id")),
        (&format!("/v1/movies/{long}"), 400, "invalid_parameter", Some("movie_id")),
        (&format!("/v1/users/{long}/recommendations"), 400, "invalid_parameter", Some("user_id")),
        (&format!("/v1/popular?user={long}"), 400, "invalid_parameter", Some("user")),
        (&format!("/v1/movies?q={long}"), 400, "invalid_parameter", Some("q")),
        (&format!("/v1/movies/{longer}"), 413, "too_large", None),
        ("/v1/movies?q=%ff", 400, "invalid_parameter", Some("q")),
        ("/v1/movies?limit=0", 400, "invalid_parameter", Some("limit")),
        ("/v1/movies?limit=1000000000", 400, "invalid_parameter", Some("limit")),
        ("/v1/movies?limit=-1", 400, "invalid_parameter", Some("limit")),
        ("/v1/movies?limit=5&limit=6", 400, "invalid_parameter", Some("limit")),
        ("/v1/movies?genre=Drama", 400, "unknown_parameter", Some("genre")),
        ("/v1/movies/1?explain=true", 400, "unknown_parameter", Some("explain")),
        ("/v1/movies/1/similar?user=42", 400, "unknown_parameter", Some("user")),
        ("/v1/popular?window=7d", 400, "invalid_parameter", Some("window")),
        ("/livez?x", 400, "unknown_parameter", Some("x")),
        ("/v1/popular?genre=Westrn", 400, "invalid_parameter", Some("genre")),
        ("/v1/popular?genre_all=Drama&genre_all=Westrn", 400, "invalid_parameter", Some("genre_all")),
        ("/v1/popular?genre_none=Westrn", 400, "invalid_parameter", Some("genre_none")),
        ("/v1/popular?location=Narnia", 400, "invalid_parameter", Some("location")),
        ("/v1/popular?year_min=1e3", 400, "invalid_parameter", Some("year_min")),
        ("/v1/popular?adult=1", 400, "invalid_parameter", Some("adult")),
        ("/v1/users/42/recommendations?diversity=NaN", 400, "invalid_parameter", Some("diversity")),
        ("/v1/users/42/recommendations?diversity=2", 400, "invalid_parameter", Some("diversity")),
        ("/v1/users/42/recommendations?cursor=AAAA", 400, "invalid_parameter", Some("cursor")),
    ] {
        check(&get(at, target), status, code, field);
    }
    let unknown = get(at, "/v1/popular?genre=Westrn").json();
    assert!(unknown["detail"].as_str().unwrap().contains("Comedy, Drama"), "{unknown}");
    assert_eq!(get(at, "/v1/popular").status, 200);
}

#[test]
fn wrong_methods_and_bodies() {
    let world = world();
    let at = world.server.address();
    for method in ["DELETE", "PUT", "PATCH", "OPTIONS", "BREW"] {
        let raw = format!("{method} /v1/popular HTTP/1.1\r\nhost: test\r\n\r\n");
        let response = send(at, raw.as_bytes());
        check(&response, 405, "method_not_allowed", None);
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
        let raw = format!("{method} /v1/users/42/neighbors HTTP/1.1\r\nhost: test\r\n\r\n");
        check(&send(at, raw.as_bytes()), 405, "method_not_allowed", None);
    }
    let target = "/v1/recommendations";
    let body = br#"{"history":[]}"#;
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/json5", ""] {
        check(&post(at, target, media_type, body), 415, "unsupported_media_type", None);
    }
    assert_eq!(post(at, target, "Application/JSON; charset=utf-8", body).status, 200);
    let untyped = format!("POST {target} HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{{}}");
    check(&send(at, untyped.as_bytes()), 415, "unsupported_media_type", None);
    let zipped = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    check(&send(at, zipped.as_bytes()), 415, "unsupported_media_type", None);
    check(
        &post(at, &format!("{target}?limit=5"), "application/json", body),
        400,
        "unknown_parameter",
        Some("limit"),
    );
    for (body, field) in [
        ("", None),
        ("{", None),
        ("null", None),
        ("{\"history\":[{\"movie_id\":\"1\"}", None),
        ("\u{feff}{}", None),
        ("{}", Some("history")),
        (r#"{"history":[{"movie_id":"1","kind":"rating","value":9}]}"#, Some("history[0].value")),
        (r#"{"history":[],"genre":"Westrn"}"#, Some("genre")),
        (r#"{"history":[],"colour":"red"}"#, Some("colour")),
    ] {
        check(&recommend(at, body), 400, "invalid_body", field);
    }
    check(
        &post(at, target, "application/json", b"{\"history\":[{\"movie_id\":\"\xff\"}]}"),
        400,
        "invalid_body",
        None,
    );
    let deep = format!(r#"{{"history":{}"#, "[".repeat(200_000));
    check(&recommend(at, &deep), 400, "invalid_body", None);
}

#[test]
fn bodies_too_large() {
    let small = ServerOptions { body_bytes: 1000, ..options() };
    let world = world_with(&small, EngineOptions::default());
    let at = world.server.address();
    let body = format!(r#"{{"history":[],"location":"{}"}}"#, "x".repeat(2000));
    check(&recommend(at, &body), 413, "too_large", None);
    // Announced, but never sent.
    let huge = "POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                content-length: 99999999999\r\n\r\n";
    check(&send(at, huge.as_bytes()), 413, "too_large", None);
    // Not announced.
    let head = "POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    check(&send(at, format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes()), 413, "too_large", None);
}

#[test]
fn a_stalled_body_is_cut_off() {
    let impatient = ServerOptions { request_timeout_ms: 200, ..options() };
    let world = world_with(&impatient, EngineOptions::default());
    let mut stream = connect(world.server.address());
    let head = "POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let response = read_response(&mut stream, false);
    check(&response, 408, "request_timeout", None);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("retry-after"), None);
    // The connection is closed: the rest would be taken for another request.
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// What is not HTTP never reaches a route; actix answers 400 without a body or closes the connection.
#[test]
fn bytes_that_are_not_http() {
    let world = world();
    let at = world.server.address();
    for bytes in [
        &b"GET /v1/movies/\xff HTTP/1.1\r\nhost: test\r\n\r\n"[..],
        b"GET /v1/movies?q=\xff HTTP/1.1\r\nhost: test\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ] {
        let mut stream = connect(at);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert_eq!(get(at, "/livez").status, 200);
    }
}

#[test]
fn request_ids_are_accepted_or_made() {
    let world = world();
    let at = world.server.address();
    assert_eq!(get_with(at, "/livez", "x-request-id: abc-1").header("x-request-id"), Some("abc-1"));
    let response = get_with(at, "/nowhere", "x-request-id: abc-2");
    assert_eq!(response.json()["request_id"], "abc-2");
    let made = get_with(at, "/livez", "x-request-id: <script>");
    assert_eq!(made.header("x-request-id").unwrap().len(), 16);
}

#[test]
fn an_address_in_use_or_open_is_refused() {
    let world = world();
    let engine = || {
        let root = world.root.clone();
        std::sync::Arc::new(cinedex_recommender::Engine::new(root, EngineOptions::default()))
    };
    let taken = ServerOptions { bind: world.server.address(), ..options() };
    assert!(matches!(start(engine(), &taken), Err(ServerError::Bind { .. })));
    let open = ServerOptions { bind: "0.0.0.0:0".parse().unwrap(), ..options() };
    assert!(matches!(start(engine(), &open), Err(ServerError::OpenBind { .. })));
}
