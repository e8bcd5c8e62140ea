//! Keys, scopes and limits over real HTTP on loopback.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod support;

use std::path::Path;

use cinedex_recommender::EngineOptions;
use cinedex_server::{Key, KeyFile, Scope, Secret, ServerError, ServerOptions, hash_key};
use support::*;

const ADMIN: &str = "the-admin-key-of-the-tests";
const READER: &str = "the-key-of-an-app-that-reads";
const WRITER: &str = "the-key-of-an-app-that-writes";

fn write_keys(path: &Path, keys: &[(&str, Scope, &str)]) {
    let key = |(name, scope, key): &(&str, Scope, &str)| Key {
        name: (*name).to_owned(),
        scope: *scope,
        sha256: hash_key(key),
        created: "2026-01-31T00:00:00Z".to_owned(),
    };
    let file = KeyFile { keys: keys.iter().map(key).collect() };
    std::fs::write(path, toml::to_string(&file).unwrap()).unwrap();
}

fn world_of(change: impl FnOnce(&mut ServerOptions)) -> World {
    let mut options = options();
    change(&mut options);
    world_with(&options, EngineOptions::default())
}

#[test]
fn without_keys_reading_is_open_and_admin_is_off() {
    let world = world();
    let at = world.server.address();
    assert_eq!(get(at, "/v1/popular").status, 200);
    assert_eq!(call(at, "GET", "/v1/popular", Some("whatever"), "").status, 200);
    for (method, target) in [
        ("GET", "/v1/admin/indexes"),
        ("POST", "/v1/admin/indexes"),
        ("GET", "/v1/admin/tasks"),
        ("DELETE", "/v1/admin/indexes/20250131T235959Z-0123abcd"),
        ("GET", "/v1/admin/audit"),
    ] {
        let response = call(at, method, target, Some("whatever"), "");
        let problem = refused(&response, 403, "admin_disabled");
        assert!(problem["detail"].as_str().unwrap().contains("CINEDEX_ADMIN_KEY"), "{problem}");
    }
}

#[test]
fn a_key_of_a_scope_closes_it_and_a_larger_one_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    write_keys(&keys, &[("reader", Scope::Read, READER), ("writer", Scope::Write, WRITER)]);
    let world = world_of(|options| {
        options.keys_file = keys;
        options.admin_key = Secret::new(ADMIN);
    });
    let at = world.server.address();
    let missing = get(at, "/v1/popular");
    refused(&missing, 401, "unauthorized");
    assert!(missing.header("www-authenticate").unwrap().starts_with("Bearer"));
    for header in [
        "authorization: Bearer wrong",
        "authorization: Bearer",
        "authorization: Basic YTpi",
        "authorization: \u{1f511}",
    ] {
        refused(&get_with(at, "/v1/popular", header), 401, "unauthorized");
    }
    let twice = format!("authorization: Bearer {READER}\r\nauthorization: Bearer {READER}");
    refused(&get_with(at, "/v1/popular", &twice), 401, "unauthorized");
    for key in [READER, WRITER, ADMIN] {
        assert_eq!(call(at, "GET", "/v1/popular", Some(key), "").status, 200);
        assert_eq!(get_with(at, "/v1/popular", &format!("Authorization: bEaReR {key}")).status, 200);
    }
    for key in [READER, WRITER] {
        let response = call(at, "POST", "/v1/admin/cache/clear", Some(key), "");
        refused(&response, 403, "forbidden");
        assert!(!response.text().contains(key));
    }
    assert_eq!(call(at, "POST", "/v1/admin/cache/clear", Some(ADMIN), "").status, 200);
    // Its digest is no key.
    refused(&call(at, "GET", "/v1/popular", Some(&hash_key(READER)), ""), 401, "unauthorized");
    for open in ["/livez", "/readyz", "/docs", "/openapi.json"] {
        assert_eq!(get(at, open).status, 200, "{open}");
    }
    refused(&get(at, "/metrics"), 401, "unauthorized");
    // A body that comes with a refused request is not read as the next one.
    let mut stream = connect(at);
    let body = "GET /v1/popular HTTP/1.1\r\n\r\n";
    let head =
        format!("POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    std::io::Write::write_all(&mut stream, format!("{head}{body}").as_bytes()).unwrap();
    let response = read_response(&mut stream, false);
    refused(&response, 401, "unauthorized");
    assert_eq!(response.header("connection"), Some("close"));
}

#[test]
fn a_changed_file_counts_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let world = world_of(|options| options.keys_file.clone_from(&keys));
    let at = world.server.address();
    assert_eq!(get(at, "/v1/popular").status, 200);
    write_keys(&keys, &[("reader", Scope::Read, READER)]);
    wait_until(at, "/v1/popular", |response| response.status == 401);
    assert_eq!(call(at, "GET", "/v1/popular", Some(READER), "").status, 200);
    // What cannot be read leaves everything as it was; then a new key takes the old one's place.
    std::fs::write(&keys, "[[key]]\nname =").unwrap();
    write_keys(&keys, &[("reader", Scope::Read, WRITER)]);
    let started = std::time::Instant::now();
    while call(at, "GET", "/v1/popular", Some(WRITER), "").status != 200 {
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
        std::thread::yield_now();
    }
    refused(&call(at, "GET", "/v1/popular", Some(READER), ""), 401, "unauthorized");
}

#[test]
fn what_cannot_protect_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    std::fs::write(&keys, "[[key]]\nname = \"a\"\nscope = \"root\"\nsha256 = \"\"\ncreated = \"\"").unwrap();
    let engine = || {
        std::sync::Arc::new(cinedex_recommender::Engine::new(
            cinedex_index::IndexRoot::new(folder.path()),
            EngineOptions::default(),
        ))
    };
    let check = |change: &dyn Fn(&mut ServerOptions), expect: &str| {
        let mut options = options();
        change(&mut options);
        let error = cinedex_server::start(engine(), &options).err().unwrap();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(&|options| options.admin_key = Secret::new("fifteen bytes.."), "16 bytes");
    check(&|options| options.keys_file.clone_from(&keys), "root");
    check(&|options| options.bind = "0.0.0.0:0".parse().unwrap(), "no keys");
    std::fs::write(&keys, "").unwrap();
    let mut open = options();
    open.bind = "0.0.0.0:0".parse().unwrap();
    open.keys_file.clone_from(&keys);
    let refused = cinedex_server::start(engine(), &open).err().unwrap();
    assert!(matches!(refused, ServerError::OpenBind { .. }), "a file without keys: {refused}");
}

#[test]
fn a_limited_caller_is_told_what_is_left_and_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    write_keys(&keys, &[("writer", Scope::Write, WRITER)]);
    let world = world_of(|options| {
        options.keys_file = keys;
        (options.rate_limit, options.rate_burst) = (1, 3);
    });
    let at = world.server.address();
    for left in [2, 1, 0] {
        let response = get(at, "/v1/popular");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("ratelimit-policy"), Some("\"address\";q=3;w=3"));
        assert_eq!(
            response.header("ratelimit"),
            Some(format!("\"address\";r={left};t={}", 3 - left).as_str())
        );
    }
    let response = get(at, "/v1/popular");
    refused(&response, 429, "rate_limited");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("ratelimit"), Some("\"address\";r=0;t=3"));
    refused(&get(at, "/no/such/route"), 429, "rate_limited");
    refused(&call(at, "GET", "/v1/popular", Some("guessed"), ""), 429, "rate_limited");
    // A key has a limit of its own, and probes have none.
    let response = call(at, "GET", "/v1/popular", Some(WRITER), "");
    assert_eq!((response.status, response.header("ratelimit")), (200, Some("\"key\";r=2;t=1")));
    for _ in 0..5 {
        let response = get(at, "/livez");
        assert_eq!((response.status, response.header("ratelimit")), (200, None));
    }
    let metrics = call(at, "GET", "/metrics", Some(WRITER), "");
    assert!(
        metrics.text().contains("cinedex_refusals_total{code=\"rate_limited\"} 3\n"),
        "{}",
        metrics.text()
    );
}
