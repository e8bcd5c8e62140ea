//! A server that is told to end by a signal ends well. The test runs itself as the server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cinedex_index::IndexRoot;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::serve;
use support::*;

const AS_SERVER: &str = "CINEDEX_TEST_AS_SERVER";

/// Does nothing unless another test of this file runs it as a program of its own.
#[test]
fn runs_as_a_server_when_told_to() {
    if std::env::var_os(AS_SERVER).is_none() {
        return;
    }
    let engine = Arc::new(Engine::new(IndexRoot::new("no-such-index"), EngineOptions::default()));
    // On a line of its own: the harness has begun one.
    serve(engine, &options(), |address| println!("\nlistening on {address}")).unwrap();
    println!("\nended well");
}

fn check(signal: &str) {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runs_as_a_server_when_told_to", "--nocapture"])
        .env(AS_SERVER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
    // An idle connection, and one in the middle of a request, which is still answered.
    let mut idle = connect(address.parse().unwrap());
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut idle, false).status, 200);
    let mut busy = connect(address.parse().unwrap());
    let head = "POST /v1/recommendations HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                content-length: 14\r\nexpect: 100-continue\r\n\r\n";
    busy.write_all(head.as_bytes()).unwrap();
    // The request has reached its route once the server asks for the body.
    assert_eq!(read_response(&mut busy, true).status, 100);
    let told = Command::new("kill").args([signal, &server.id().to_string()]).status().unwrap();
    assert!(told.success());
    busy.write_all(br#"{"history":[]}"#).unwrap();
    assert_eq!(read_response(&mut busy, false).status, 503, "not ready: it has no index");
    assert!(lines.any(|line| line == "ended well"), "{signal}");
    assert!(server.wait().unwrap().success());
}

#[test]
fn sigterm_lets_requests_in_flight_end() {
    check("-TERM");
}

#[test]
fn sigint_lets_requests_in_flight_end() {
    check("-INT");
}
