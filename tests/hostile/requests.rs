//! Requests that are malformed, too large or malicious: each gets one problem document, and the server goes on.

use std::io::Write;
use std::net::TcpStream;

use crate::report;
use crate::support::Place;
use crate::support::client::{Answer, request_line};
use crate::support::fixture::ready;
use crate::support::served::Served;

/// A server of the fixture for one test; its place goes with it.
fn serve() -> (Served, Place) {
    let place = ready();
    (Served::start(&place), place)
}

fn row(case: &str, answer: &Answer) {
    let problem = answer.json();
    report(
        case,
        &format!(
            "{} `{}`: {}",
            answer.status,
            problem["code"].as_str().unwrap(),
            problem["detail"].as_str().unwrap()
        ),
    );
}

#[test]
fn parameters() {
    let (served, _place) = serve();
    let long = "x".repeat(10_000);
    for (case, target, field) in [
        ("limit=0", "/v1/popular?limit=0", "limit"),
        ("limit=1000000000", "/v1/popular?limit=1000000000", "limit"),
        ("limit=-1", "/v1/popular?limit=-1", "limit"),
        ("similar: limit=0", "/v1/movies/1/similar?limit=0", "limit"),
        ("similar: limit=1e9", "/v1/movies/1/similar?limit=1e9", "limit"),
        ("similar: limit=18446744073709551615", "/v1/movies/1/similar?limit=18446744073709551615", "limit"),
        ("for a user: limit=NaN", "/v1/users/1/recommendations?limit=NaN", "limit"),
        (
            "for a user: limit=-9223372036854775808",
            "/v1/users/1/recommendations?limit=-9223372036854775808",
            "limit",
        ),
        ("neighbours: limit=0", "/v1/users/1/neighbors?limit=0", "limit"),
        ("neighbours: limit=1000000000", "/v1/users/1/neighbors?limit=1000000000", "limit"),
        ("a movie id of 10,000 characters", &format!("/v1/movies/{long}"), "movie_id"),
        ("a user id of 10,000 characters", &format!("/v1/users/{long}/recommendations"), "user_id"),
        ("the same, of neighbours", &format!("/v1/users/{long}/neighbors"), "user_id"),
        ("an empty user id", "/v1/users//neighbors", "user_id"),
        ("a query of 10,000 characters", &format!("/v1/movies?q={long}"), "q"),
        ("invalid UTF-8 in the path (`%ff`)", "/v1/movies/%ff", "movie_id"),
        ("overlong UTF-8 in the path (`%c0%ae`)", "/v1/movies/%c0%ae", "movie_id"),
        ("invalid UTF-8 in the query (`%ff`)", "/v1/movies?q=%ff", "q"),
        ("a broken escape (`%zz`)", "/v1/movies/%zz", "movie_id"),
        ("an empty id", "/v1/movies/", "movie_id"),
        ("1,001 exclusions", &format!("/v1/popular?{}", "exclude=1&".repeat(1001)), "exclude"),
        ("NaN as diversity", "/v1/users/1/recommendations?diversity=NaN", "diversity"),
    ] {
        let answer = served.raw(&request_line("GET", target.as_bytes())).unwrap();
        answer.problem(400, "invalid_parameter", Some(field));
        row(case, &answer);
    }
    served.json("/v1/popular");
}

#[test]
fn paths() {
    let (served, _place) = serve();
    for (case, target, status, code) in [
        ("a path of 50,000 characters", &*format!("/v1/movies/{}", "x".repeat(50_000)), 413, "too_large"),
        ("`%2e%2e` as an id", "/v1/movies/%2e%2e", 404, "movie_not_found"),
        ("`%2e%2e%2fetc%2fpasswd` as an id", "/v1/movies/%2e%2e%2fetc%2fpasswd", 404, "movie_not_found"),
        ("`/v1/../../etc/passwd`", "/v1/../../etc/passwd", 404, "route_not_found"),
        ("`%00` as an id", "/v1/movies/%00", 404, "movie_not_found"),
        ("8,000 parameters", &format!("/v1/popular?{}", "a=1&".repeat(8000)), 400, "unknown_parameter"),
    ] {
        let answer = served.raw(&request_line("GET", target.as_bytes())).unwrap();
        answer.problem(status, code, None);
        row(case, &answer);
    }
    served.json("/v1/popular");
}

#[test]
fn bodies() {
    let (served, _place) = serve();
    let post = |body: &[u8]| served.post("/v1/recommendations", "application/json", body);
    let deep = format!("{{\"history\":{}", "[".repeat(200_000));
    let large = format!("{{\"history\":[],\"location\":\"{}\"}}", "x".repeat(2 << 20));
    let many = format!("{{\"history\":[{}]}}", vec!["{\"movie_id\":\"1\"}"; 5_001].join(","));
    for (case, body, status, code) in [
        ("broken JSON", &b"{\"history\":["[..], 400, "invalid_body"),
        ("an empty body", b"", 400, "invalid_body"),
        ("JSON that is no object", b"[]", 400, "invalid_body"),
        ("two JSON documents", b"{\"history\":[]}{}", 400, "invalid_body"),
        ("invalid UTF-8 in JSON", b"{\"history\":[{\"movie_id\":\"\xff\"}]}", 400, "invalid_body"),
        ("JSON 200,000 brackets deep", deep.as_bytes(), 400, "invalid_body"),
        ("a body of 2 MiB", large.as_bytes(), 413, "too_large"),
        ("a history of 5,001 entries", many.as_bytes(), 400, "invalid_body"),
        ("1e999 as a rating", b"{\"history\":[{\"movie_id\":\"1\",\"value\":1e999}]}", 400, "invalid_body"),
        ("NaN as a rating", b"{\"history\":[{\"movie_id\":\"1\",\"value\":NaN}]}", 400, "invalid_body"),
        (
            "infinity as a rating",
            b"{\"history\":[{\"movie_id\":\"1\",\"value\":Infinity}]}",
            400,
            "invalid_body",
        ),
        (
            "NaN as a rating, as text",
            b"{\"history\":[{\"movie_id\":\"1\",\"value\":\"NaN\"}]}",
            400,
            "invalid_body",
        ),
        ("limit 0 in a body", b"{\"history\":[],\"limit\":0}", 400, "invalid_body"),
        ("limit -1 in a body", b"{\"history\":[],\"limit\":-1}", 400, "invalid_body"),
        ("limit 1e9 in a body", b"{\"history\":[],\"limit\":1e9}", 400, "invalid_body"),
        ("limit NaN in a body", b"{\"history\":[],\"limit\":NaN}", 400, "invalid_body"),
        ("a negative id", b"{\"history\":[{\"movie_id\":-1}]}", 400, "invalid_body"),
    ] {
        let answer = post(body);
        answer.problem(status, code, None);
        row(case, &answer);
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let answer = served.post("/v1/recommendations", media_type, b"{\"history\":[]}");
        answer.problem(415, "unsupported_media_type", None);
        row(&format!("content type {media_type}"), &answer);
    }
    for value in ["3e38", "-3e38", "1e-45", "-0.0", "0"] {
        let body = format!("{{\"history\":[{{\"movie_id\":\"1\",\"value\":{value}}}]}}");
        let answer = post(body.as_bytes());
        assert!([200, 400].contains(&answer.status), "a rating of {value}: {}", answer.text());
        report(&format!("a rating of {value}"), &answer.status.to_string());
    }
    assert_eq!(post(b"{\"history\":[{\"movie_id\":\"1\"}]}").status, 200, "and it goes on");
}

#[test]
fn methods_and_bytes_that_are_no_request() {
    let (served, _place) = serve();
    for method in ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = served.raw(&request_line(method, b"/v1/movies/1/similar")).unwrap();
        answer.problem(405, "method_not_allowed", None);
        row(&format!("method {method}"), &answer);
    }
    for (case, bytes) in [
        ("raw invalid UTF-8 in the request line", request_line("GET", b"/v1/movies/\xff")),
        ("raw control characters", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("another HTTP version", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("a negative content length", b"GET /livez HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_vec()),
        (
            "two content lengths",
            b"POST /v1/recommendations HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        ),
        (
            "100 KB of headers",
            [b"GET /livez HTTP/1.1\r\n".to_vec(), b"x-filler: y\r\n".repeat(20_000), b"\r\n".to_vec()]
                .concat(),
        ),
    ] {
        let answer = served.raw(&bytes);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!(answer.is_none() || (400..500).contains(&status), "{case}: {answer:?}");
        report(
            case,
            &answer.map_or("the connection is closed".to_owned(), |answer| {
                format!("{}, the connection is closed", answer.status)
            }),
        );
        assert_eq!(served.get("/livez").status, 200, "{case}");
    }
}

#[test]
fn a_client_that_never_ends_its_request_does_not_stop_the_others() {
    let (served, _place) = serve();
    let half: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    for mut stream in &half {
        stream.write_all(b"GET /v1/popular HTTP/1.1\r\nhost: t").unwrap();
    }
    for _ in 0..20 {
        served.json("/v1/popular");
    }
    report("200 connections that never end their request", "the others are answered");
    drop(half);
}
