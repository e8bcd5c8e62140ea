//! Draining, an address of their own for probes, other origins and TLS, over real connections on loopback.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cinedex_recommender::EngineOptions;
use cinedex_server::{Secret, ServerError, ServerOptions, start};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use support::*;

fn world_of(change: impl FnOnce(&mut ServerOptions)) -> World {
    let mut options = options();
    change(&mut options);
    world_with(&options, EngineOptions::default())
}

/// A request on a connection that stays open.
fn ask(stream: &mut TcpStream, target: &str) -> Response {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).unwrap();
    read_response(stream, false)
}

#[test]
fn probes_and_figures_have_an_address_of_their_own() {
    let world = world_of(|options| {
        options.operations_bind = Some("127.0.0.1:0".parse().unwrap());
        // Neither a key nor a limit is asked for there.
        options.admin_key = Secret::new("the-admin-key-of-the-tests");
        options.rate_limit = 1;
    });
    let (api, probes) = (world.server.address(), world.server.operations_address().unwrap());
    assert_ne!(api, probes);
    for _ in 0..3 {
        assert_eq!(get(probes, "/livez").json()["status"], "live");
        assert_eq!(get(probes, "/readyz").json()["status"], "ready");
        assert!(get(probes, "/metrics").text().contains("\ncinedex_bundle_age_seconds "));
        assert_eq!(get(api, "/readyz").status, 200);
    }
    for elsewhere in ["/v1/popular", "/v1/admin/tasks", "/docs", "/openapi.json", "/"] {
        refused(&get(probes, elsewhere), 404, "route_not_found");
    }
    refused(&call(probes, "POST", "/livez", None, ""), 405, "method_not_allowed");
    refused(&get(api, "/metrics"), 404, "route_not_found");
    let told = world_of(|options| {
        options.operations_bind = Some("127.0.0.1:0".parse().unwrap());
        options.public_metrics = true;
    });
    assert_eq!(get(told.server.address(), "/metrics").status, 200);
}

#[test]
fn what_drains_says_so_and_answers_on() {
    let world = world_of(|options| {
        options.operations_bind = Some("127.0.0.1:0".parse().unwrap());
        options.drain_seconds = 2;
    });
    let World { server, root: _root, directory: _directory } = world;
    let (api, probes) = (server.address(), server.operations_address().unwrap());
    let mut open = connect(api);
    let before = ask(&mut open, "/v1/popular");
    assert_eq!((before.status, before.header("connection")), (200, None));
    let stopping = std::thread::spawn(move || {
        let started = Instant::now();
        server.stop().unwrap();
        started.elapsed()
    });
    for at in [probes, api] {
        let response = wait_until(at, "/readyz", |response| response.status == 503);
        refused(&response, 503, "draining");
    }
    assert_eq!(get(probes, "/livez").status, 200);
    assert!(get(probes, "/metrics").text().contains("\ncinedex_draining 1\n"));
    // New connections are still answered, open ones are let go.
    let after = ask(&mut open, "/v1/popular");
    assert_eq!((after.status, after.header("connection")), (200, Some("close")));
    assert_eq!(get(api, "/v1/popular").status, 200);
    let took = stopping.join().unwrap();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(TcpStream::connect(api).is_err() && TcpStream::connect(probes).is_err());
}

#[test]
fn pages_of_named_origins_may_read_answers() {
    let closed = world();
    let origin = "origin: https://films.example";
    let preflight = |at: SocketAddr, origin: &str, target: &str| {
        let head = format!(
            "OPTIONS {target} HTTP/1.1\r\nhost: test\r\n{origin}\r\naccess-control-request-method: POST\r\n\r\n"
        );
        send(at, head.as_bytes())
    };
    let response = get_with(closed.server.address(), "/v1/popular", origin);
    assert_eq!((response.header("access-control-allow-origin"), response.header("vary")), (None, None));
    refused(&preflight(closed.server.address(), origin, "/v1/recommendations"), 405, "method_not_allowed");

    let world = world_of(|options| options.cors_origins = "https://films.example".to_owned());
    let at = world.server.address();
    let response = get_with(at, "/v1/popular", origin);
    assert_eq!(response.header("access-control-allow-origin"), Some("https://films.example"));
    assert_eq!(response.header("vary"), Some("origin"));
    assert!(response.header("access-control-expose-headers").unwrap().contains("etag"));
    let other = get_with(at, "/v1/popular", "origin: https://evil.example");
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
    assert_eq!(other.header("vary"), Some("origin"));
    let asked = preflight(at, origin, "/v1/recommendations");
    assert_eq!((asked.status, asked.body.len()), (204, 0));
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://films.example"));
    assert_eq!(asked.header("access-control-allow-methods"), Some("POST"));
    assert!(asked.header("access-control-allow-headers").unwrap().contains("authorization"));
    refused(&preflight(at, "origin: https://evil.example", "/v1/recommendations"), 405, "method_not_allowed");
    refused(&preflight(at, origin, "/nowhere"), 404, "route_not_found");
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/server/tls").join(name)
}

/// An answer over TLS from a server whose certificate is the one of this name, if it is.
fn get_over_tls(at: SocketAddr, name: &str, target: &str) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate(&format!("{name}.pem"))).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = "localhost".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), host).unwrap();
    let mut socket = connect(at);
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // How the session is closed says nothing of the answer.
    std::io::Read::read_to_end(&mut stream, &mut answer).ok();
    String::from_utf8(answer).ok()
}

#[test]
fn tls_shows_the_certificate_that_is_there_now() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let put = |name: &str| {
        std::fs::copy(certificate(&format!("{name}.pem")), &chain).unwrap();
        std::fs::copy(certificate(&format!("{name}.key")), &key).unwrap();
    };
    put("one");
    let world = world_of(|options| {
        options.tls_certificate.clone_from(&chain);
        options.tls_key.clone_from(&key);
    });
    let at = world.server.address();
    let docs = get_over_tls(at, "one", "/docs").unwrap();
    assert!(docs.starts_with("HTTP/1.1 200") && docs.contains("https://localhost/v1/"), "{docs}");
    assert!(get_over_tls(at, "two", "/livez").is_none(), "another certificate is not trusted");
    // What does not fit together leaves the old one in place.
    std::fs::copy(certificate("two.pem"), &chain).unwrap();
    put("two");
    let started = Instant::now();
    while get_over_tls(at, "two", "/livez").is_none() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    assert!(get_over_tls(at, "one", "/livez").is_none());
    std::fs::write(&key, "nothing").unwrap();
    let mut plain = connect(at);
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert!(get_over_tls(at, "two", "/livez").unwrap().contains("live"), "a plain request stops nobody");
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_start() {
    let engine = || {
        let root = cinedex_index::IndexRoot::new("no-such-index");
        Arc::new(cinedex_recommender::Engine::new(root, EngineOptions::default()))
    };
    let check = |chain: PathBuf, key: PathBuf, expect: &str| {
        let options = ServerOptions { tls_certificate: chain, tls_key: key, ..options() };
        let error = start(engine(), &options).err().unwrap();
        assert!(matches!(error, ServerError::Certificate { .. }), "{error}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(certificate("one.pem"), certificate("two.key"), "does not fit");
    check(certificate("one.key"), certificate("one.key"), "one.key");
    check(certificate("none.pem"), certificate("one.key"), "none.pem");
}
